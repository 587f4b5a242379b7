"""Remarks about data-points that are right, but not what their sender may believe: keys that mean nothing,
times far ahead. The client is warned, the log tells each source once, and `/metrics` counts."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dp3.clock import to_datetime
from dp3.http.answers import Error, Loc
from dp3.http.unknown_names import near_name
from dp3.http.warnings import Warnings
from dp3.model.attrspec import AttrSpecPlain, AttrSpecType
from dp3.model.canonical import time_to_text
from dp3.model.errors import Reject
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
    PLAIN_VALIDITY = "plain_validity"
    TIME_AHEAD = "time_ahead"


Remark = tuple[About, str, str]
"""What it is about, the source, and the key."""


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
        self._note(About.UNKNOWN_KEY, key, src)

    def plain(self, src: str | None, *, has_time: bool, has_confidence: bool) -> None:
        """A data-point of a plain attribute has what plain values have not."""
        if self.refuses:
            raise Reject
        if has_time:
            self._note(About.PLAIN_VALIDITY, "t1", src)
        if has_confidence:
            self._note(About.PLAIN_VALIDITY, "c", src)

    def ahead(self, t2: int, src: str | None) -> None:
        """A data-point is valid until `t2` (µs), later than `latest`."""
        self._furthest = max(self._furthest, t2)
        self._note(About.TIME_AHEAD, "t2", src)

    def item(self, item: Mapping[str, Any], spec: AttrSpecType, t2: int | None) -> None:
        """Look at a data-point as it was sent, which is right; `t2` as it is stored."""
        src = item.get("src")
        for key in item:
            if key not in KEYS:
                self.unknown_key(key, src)
        has_time, has_confidence = _has_for_plain(item, spec)
        if has_time or has_confidence:
            self.plain(src, has_time=has_time, has_confidence=has_confidence)
        if t2 is not None and t2 > self.latest:
            self.ahead(t2, src)

    def _note(self, about: About, key: str, src: str | None) -> None:
        remark = about, shown(self.client if src is None else src), shown(key)
        if remark not in self._points and len(self._points) >= MOST_REMARKS:
            remark = about, OTHER, OTHER
        self._points[remark] = self._points.get(remark, 0) + 1

    def __iter__(self) -> Iterator[tuple[Remark, int]]:
        """Each remark, and about how many data-points it was made."""
        return iter(self._points.items())

    def __bool__(self) -> bool:
        return bool(self._points)

    def warn(self, warnings: Warnings) -> None:
        """Tell the client, whatever the sources."""
        by_key: Counter[tuple[About, str]] = Counter()
        for (about, _, key), points in self:
            by_key[about, key] += points
        for (about, key), points in by_key.items():
            if about is About.TIME_AHEAD:
                furthest = f"; the furthest is {time_to_text(to_datetime(self._furthest))}"
                warnings.add(f"{_TEXTS[about]}{_in(points)}{furthest}")
            else:
                warnings.add(f"{_TEXTS[about].format(key)}{_in(points)}{_meant(about, key)}")


_TEXTS: Mapping[About, str] = {
    About.UNKNOWN_KEY: "unknown key '{}' has no effect",
    About.PLAIN_VALIDITY: "'{}' has no effect on plain attributes, which keep only the last value",
    About.TIME_AHEAD: "more than a day ahead of the clock",
}


def _in(points: int) -> str:
    return f" ({points} data-point{'' if points == 1 else 's'})"


def shown(name: str) -> str:
    """A name that a client chose, as it is kept and told."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"


def _meant(about: About, key: str) -> str:
    """`; did you mean …?` for an unknown key."""
    if about is not About.UNKNOWN_KEY:
        return ""
    meant = MEANT.get(key.lower()) or near_name(key, KEYS)
    return f"; did you mean '{meant}'?" if meant else f"; known are {', '.join(KEYS)}"


def _has_for_plain(item: Mapping[str, Any], spec: AttrSpecType) -> tuple[bool, bool]:
    """Whether a data-point has a time and a confidence, if it is of a plain attribute. A confidence of 1 is
    what plain values count as."""
    if not isinstance(spec, AttrSpecPlain):
        return False, False
    return item.get("t1") is not None, item.get("c", 1) != 1


def mistakes(item: Mapping[str, Any], spec: AttrSpecType | None, loc: Loc) -> list[Error]:
    """Keys that mean nothing, where they are refused. `spec` is None if the attribute is not known."""
    unknown = [key for key in item if key not in KEYS]
    found = [(key, f"Unknown key '{shown(key)}'{_meant(About.UNKNOWN_KEY, key)}") for key in unknown]
    if spec is not None:
        has = zip(("t1", "c"), _has_for_plain(item, spec), strict=True)
        text = _TEXTS[About.PLAIN_VALIDITY]
        found += [(key, text.format(key)) for key, is_there in has if is_there]
    return [
        {"type": "extra_forbidden", "loc": [*loc, key], "msg": message, "input": item[key]}
        for key, message in found
    ]


@dataclass(frozen=True, slots=True)
class Remarked:
    """What was remarked in this process: counts of data-points, and lines of the log."""

    counts: Counter[About]
    repetitions: Repetitions

    def note(self, remarks: Remarks, client: str) -> None:
        """Count the remarks of a request that was accepted, and tell the log if it is time to."""
        for remark, points in remarks:
            about, source, key = remark
            self.counts[about] += points
            if times := self.repetitions.due(remark):
                text = _TEXTS[about].format(key)
                logger.warning(
                    "data-points of source '%s' from %s%s: %s%s",
                    source,
                    client,
                    so_often(times),
                    text,
                    _meant(about, key),
                )
