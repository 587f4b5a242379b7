"""Remarks about data-points that are right, but not what their sender may believe: keys that mean nothing,
times far ahead. The client is warned, the log tells each source once, and `/metrics` counts."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from dp3.clock import to_datetime
from dp3.http.answers import MAX_ERRORS, Error, Loc, too_many_errors
from dp3.http.unknown_names import near_name
from dp3.http.warnings import MOST_WARNINGS, Warnings
from dp3.model.attrspec import AttrSpecPlain, AttrSpecType
from dp3.model.canonical import time_to_text
from dp3.model.errors import Reject
from dp3.model.unknown_keys import UnknownKey
from dp3.repetitions import Repetitions, so_often

KEYS = ("type", "id", "attr", "v", "t1", "t2", "c", "src")

MEANT: Mapping[str, str] = {
    **dict.fromkeys(("etype", "entity_type"), "type"),
    **dict.fromkeys(("eid", "entity", "entity_id"), "id"),
    "attribute": "attr",
    **dict.fromkeys(("value", "val"), "v"),
    **dict.fromkeys(("time", "timestamp", "ts", "from", "start", "valid_from"), "t1"),
    **dict.fromkeys(("to", "end", "until", "valid_to", "valid_until"), "t2"),
    **dict.fromkeys(("confidence", "conf"), "c"),
    "source": "src",
}
"""Words that senders take for keys: what they mean."""

AHEAD_US = 86_400_000_000
"""Times that are further ahead of the clock are remarked: no zone accounts for more."""

MOST_REMARKS = 100
"""Remarks of one request that are told apart; further ones count as one of another source and key."""

MAX_SHOWN = 80
"""Characters of a key or of the name of a source in a message."""

OTHER = "others"

logger = logging.getLogger(__name__)


class About(StrEnum):
    """The kinds of remarks."""

    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_VALUE_KEY = "unknown_value_key"
    PLAIN_VALIDITY = "plain_validity"
    TIME_AHEAD = "time_ahead"


class Remark(NamedTuple):
    """The kind, the source, and the key. A key in a value is `within` an attribute, or a part of it
    (`device.seen_by.data`), where others are `known`."""

    about: About
    source: str
    key: str
    within: str = ""
    known: tuple[str, ...] = ()


class Remarks:
    """Remarks about the data-points of one request.

    `now` (µs) is the present. With `refuses`, keys that mean nothing are mistakes: then they raise `Reject`,
    and whoever lists mistakes asks for `mistakes`."""

    def __init__(self, client: str, now: int, *, refuses: bool = False) -> None:
        self.latest = now + AHEAD_US
        self.refuses = refuses
        self.client = client
        self.forget()

    def forget(self) -> None:
        """Begin anew; called before the data-points are read again, from the first one."""
        self._points: dict[Remark, int] = {}
        self._furthest = 0

    def unknown_key(self, key: str, src: str | None) -> None:
        """A data-point has a key that is not known."""
        self._note(src, About.UNKNOWN_KEY, key, known=KEYS)

    def unknown_in_value(self, attr: str, found: Iterable[UnknownKey], src: str | None) -> None:
        """The value of a data-point of `attr`, with its type of entity, has keys that are not known."""
        if self.refuses:
            raise Reject
        apart = dict.fromkeys((_within(attr, each.path), each.path[-1], each.known) for each in found)
        for within, key, known in apart:
            self._note(src, About.UNKNOWN_VALUE_KEY, str(key), within, known)

    def plain(self, src: str | None, *, has_time: bool, has_confidence: bool) -> None:
        """A data-point of a plain attribute has what plain values have not."""
        if self.refuses:
            raise Reject
        if has_time:
            self._note(src, About.PLAIN_VALIDITY, "t1")
        if has_confidence:
            self._note(src, About.PLAIN_VALIDITY, "c")

    def ahead(self, t2: int, src: str | None) -> None:
        """A data-point is valid until `t2` (µs), later than `latest`."""
        self._furthest = max(self._furthest, t2)
        self._note(src, About.TIME_AHEAD, "t2")

    def item(self, item: Mapping[str, Any], spec: AttrSpecType, t2: int | None) -> None:
        """Look at a data-point as it was sent, which is right; `t2` as it is stored."""
        src = item.get("src")
        for key in item:
            if key not in KEYS:
                self.unknown_key(key, src)
        self.value(item["type"], spec, item["v"], src)
        has_time, has_confidence = _has_for_plain(item, spec)
        if has_time or has_confidence:
            self.plain(src, has_time=has_time, has_confidence=has_confidence)
        if t2 is not None and t2 > self.latest:
            self.ahead(t2, src)

    def value(self, etype: str, spec: AttrSpecType, v: Any, src: str | None) -> None:
        """Look at a value as it was sent, which is right."""
        if spec.unknown_keys and (found := spec.unknown_keys(v)):
            self.unknown_in_value(f"{etype}.{spec.id}", found, src)

    def _note(
        self, src: str | None, about: About, key: str, within: str = "", known: tuple[str, ...] = ()
    ) -> None:
        remark = Remark(about, shown(self.client if src is None else src), shown(key), within, known)
        if remark not in self._points and len(self._points) >= MOST_REMARKS:
            remark = Remark(about, OTHER, OTHER, within and OTHER)
        self._points[remark] = self._points.get(remark, 0) + 1

    def __iter__(self) -> Iterator[tuple[Remark, int]]:
        """Each remark, and about how many data-points it was made."""
        return iter(self._points.items())

    def __bool__(self) -> bool:
        return bool(self._points)

    def warn(self, warnings: Warnings) -> None:
        """Tell the client, whatever the sources."""
        by_key: Counter[Remark] = Counter()
        for remark, points in self:
            by_key[remark._replace(source="")] += points
        for i, (remark, points) in enumerate(by_key.items()):
            if remark.about is About.TIME_AHEAD:
                more = f"; the furthest is {time_to_text(to_datetime(self._furthest))}"
            else:
                more = _hint(remark) if i < MOST_WARNINGS else ""
            warnings.add(f"{_text(remark)}{_in(points)}{more}")


_TEXTS: Mapping[About, str] = {
    About.UNKNOWN_KEY: "unknown key '{}' has no effect",
    About.UNKNOWN_VALUE_KEY: "unknown key '{}' in values of {} has no effect",
    About.PLAIN_VALIDITY: "'{}' has no effect on plain attributes, which keep only the last value",
    About.TIME_AHEAD: "more than a day ahead of the clock",
}


def _text(remark: Remark) -> str:
    return _TEXTS[remark.about].format(remark.key, remark.within)


def _hint(remark: Remark) -> str:
    return _meant(remark.about, remark.key, remark.known)


def _within(attr: str, path: Iterable[str | int]) -> str:
    """The place of the key at the end of a path through a value of an attribute, without numbers of
    elements."""
    *way, _ = path
    return ".".join([attr, *(part for part in way if isinstance(part, str))])


def _in(points: int) -> str:
    return f" ({points} data-point{'' if points == 1 else 's'})"


def shown(name: str) -> str:
    """A name that a client chose, as it is kept and told."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"


def _meant(about: About, key: str, known: Sequence[str]) -> str:
    """`; did you mean …?` for an unknown key, unless nothing is known."""
    if not known:
        return ""
    alias = MEANT.get(key.lower()) if about is About.UNKNOWN_KEY else None
    meant = alias or near_name(key, known)
    return f"; did you mean '{meant}'?" if meant else f"; known are {', '.join(known)}"


def _has_for_plain(item: Mapping[str, Any], spec: AttrSpecType) -> tuple[bool, bool]:
    """The presence of a time and of a confidence in a data-point, if it is of a plain attribute. A confidence
    of 1 is what plain values count as."""
    if not isinstance(spec, AttrSpecPlain):
        return False, False
    return item.get("t1") is not None, item.get("c", 1) != 1


def mistakes(item: Mapping[str, Any], spec: AttrSpecType | None, suggestions: int, loc: Loc) -> list[Error]:
    """Keys that mean nothing, where they are refused; more than `MAX_ERRORS` become one error. `spec` is None
    if the attribute is not known. At most so many `suggestions` are made."""
    return _listed(_without_meaning(item, spec), suggestions, loc)


def mistakes_in_value(v: Any, spec: AttrSpecType, suggestions: int, loc: Loc) -> list[Error]:
    """The same for a value of its own."""
    return _listed(_without_meaning_in_value(v, spec), suggestions, loc)


def _listed(mistaken: Iterable[tuple[About, UnknownKey]], suggestions: int, loc: Loc) -> list[Error]:
    found = list(islice(mistaken, MAX_ERRORS + 1))
    if len(found) > MAX_ERRORS:
        return [too_many_errors(loc, f"more than {MAX_ERRORS} keys mean nothing")]
    return [_mistake(about, key, loc, i < suggestions) for i, (about, key) in enumerate(found)]


def _without_meaning(
    item: Mapping[str, Any], spec: AttrSpecType | None
) -> Iterator[tuple[About, UnknownKey]]:
    for key, sent in item.items():
        if key not in KEYS:
            yield About.UNKNOWN_KEY, UnknownKey((key,), sent, KEYS)
    if spec is None:
        return
    for key, has in zip(("t1", "c"), _has_for_plain(item, spec), strict=True):
        if has:
            yield About.PLAIN_VALIDITY, UnknownKey((key,), item[key], ())
    for about, found in _without_meaning_in_value(item["v"], spec):
        yield about, found._replace(path=("v", *found.path))


def _without_meaning_in_value(v: Any, spec: AttrSpecType) -> Iterator[tuple[About, UnknownKey]]:
    for found in spec.unknown_keys(v) if spec.unknown_keys else ():
        yield About.UNKNOWN_VALUE_KEY, found


def _mistake(about: About, found: UnknownKey, loc: Loc, suggest: bool) -> Error:
    key = str(found.path[-1])
    if about is About.PLAIN_VALIDITY:
        message = _TEXTS[about].format(key)
    else:
        message = f"Unknown key '{shown(key)}'{_meant(about, key, found.known) if suggest else ''}"
    return {"type": "extra_forbidden", "loc": [*loc, *found.path], "msg": message, "input": found.sent}


@dataclass(frozen=True, slots=True)
class Remarked:
    """The remarks of this process: counts of data-points, and lines of the log."""

    counts: Counter[About]
    repetitions: Repetitions

    def note(self, remarks: Remarks, client: str) -> None:
        """Count the remarks of a request that was accepted, and tell the log if it is time to."""
        for remark, points in remarks:
            self.counts[remark.about] += points
            if times := self.repetitions.due(remark):
                logger.warning(
                    "data-points of source '%s' from %s%s: %s%s",
                    remark.source,
                    client,
                    so_often(times),
                    _text(remark),
                    _hint(remark),
                )
