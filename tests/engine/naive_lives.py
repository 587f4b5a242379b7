"""Lives of entities by definition: no database, no positions, no slices; everything looks at everything."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dp3.model.spec import ModelSpec
from kit.specs import a_type, observed_attr, plain_attr, series_attr

HOUR = 3_600_000_000
DAY = 24 * HOUR
FOREVER = 1 << 62

Ref = tuple[str, str]
"""Entity type, entity id."""


def _seen(data_type: str, ttl: str = "0", **params: Any) -> dict[str, Any]:
    return observed_attr(data_type, {"aggregate": False, **params}, multi_value=True, ttl=ttl)


def _series(max_age: str) -> dict[str, Any]:
    return series_attr("irregular", {"max_age": max_age}, series={"n": {"data_type": "int"}})


def _entity(etype: str, attribs: dict[str, Any], **lifetime: Any) -> dict[str, Any]:
    return a_type(etype, attribs, lifetime=lifetime)


MODEL = ModelSpec(
    {
        "tag": _entity(
            "tag",
            {
                "n": plain_attr("int", ttl="1d"),
                "one": plain_attr("link<dev>"),
                "many": plain_attr("array<link<dev>>"),
                "near": _seen("link<dev>", post_validity="2d"),
                "port": plain_attr("link<port>"),
                "used": _seen("link<port>", post_validity="3d"),
            },
            type="immortal",
        ),
        "dev": _entity(
            "dev",
            {
                "n": plain_attr("int", ttl="3d"),
                "q": plain_attr("int"),
                "o": _seen("int", "2d"),
                "m": _seen("int", "1d", max_age="20d"),
                "ts": _series("9d"),
                "port": plain_attr("link<port>"),
            },
            type="ttl",
            on_create="5d",
        ),
        "bare": _entity(
            "bare",
            {
                "n": plain_attr("int", ttl="3d"),
                "m": _seen("int", max_age="20d"),
                "o": _seen("int", "4d", max_age="9d"),
            },
            type="ttl",
            on_create="1d",
            mirror_data=False,
        ),
        "port": _entity("port", {"n": plain_attr("int"), "port": plain_attr("link<port>")}, type="weak"),
    }
)

ON_CREATE = {"dev": 5 * DAY, "bare": 1 * DAY}
KEEPS = {
    ("dev", "n"): 3 * DAY,
    ("dev", "o"): 2 * DAY,
    ("dev", "m"): 20 * DAY,
    ("dev", "ts"): 9 * DAY,
    ("bare", "n"): 3 * DAY,
    ("bare", "o"): 4 * DAY,
}
"""How long data of an attribute keeps its entity, from the moment it came (plain), or from its end."""

TARGETS = {"one": "dev", "many": "dev", "near": "dev", "port": "port", "used": "port"}
POST = {"near": 2 * DAY, "used": 3 * DAY}


@dataclass(slots=True)
class Life:
    """What is known of an entity; `links` has the end of (attribute, target)."""

    tokens: dict[str, int] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[str, int, int, Any]] = field(default_factory=list)
    links: dict[tuple[str, Ref], int] = field(default_factory=dict)
    unreferenced: bool = False
    """Whether it was so at the last collection."""

    def give(self, name: str, until: int) -> None:
        self.tokens[name] = max(until, self.tokens.get(name, until))

    def unlink(self, target: Ref, at: int) -> None:
        """What leads to it through links that hold goes."""
        for (attr, linked), until in list(self.links.items()):
            if linked == target and until > at:
                self.links[attr, linked] = at
                self.history = [
                    row for row in self.history if row[0] != attr or target[1] not in eids_in(row[3])
                ]
                if attr in self.plain:
                    self._unlinkplain_attr(attr, target[1])

    def _unlinkplain_attr(self, attr: str, eid: str) -> None:
        value = self.plain.pop(attr)
        left = [link for link in value if link["eid"] != eid] if isinstance(value, list) else []
        if left:
            self.plain[attr] = left


def eids_in(value: Any) -> list[str]:
    return [link["eid"] for link in (value if isinstance(value, list) else [value])]


class NaiveLives:
    """Takes the same data, tokens, deletions and collections as the engine. Times in µs."""

    def __init__(self) -> None:
        self.lives: dict[Ref, Life] = {}

    def put(self, ref: Ref, attr: str, value: Any, end: int, now: int) -> None:
        """A data-point came at `now`; `end` is when its interval (of one hour) ends."""
        life = self._living(ref, now)
        is_plain = MODEL.attr(ref[0], attr).type == "plain"
        if is_plain:
            life.plain[attr] = value
            life.links |= {key: min(until, now) for key, until in life.links.items() if key[0] == attr}
        else:
            life.history.append((attr, end - HOUR, end, value))
        if attr in TARGETS:
            until = FOREVER if is_plain else end + POST[attr]
            for eid in eids_in(value):
                key = attr, (TARGETS[attr], eid)
                life.links[key] = until if is_plain else max(until, life.links.get(key, until))
        if ref[0] in ON_CREATE and (ref[0], attr) in KEEPS:
            life.give("data", (now if is_plain else end) + KEEPS[ref[0], attr])

    def token(self, ref: Ref, name: str, until: int, now: int) -> None:
        self._living(ref, now).give(name, until)

    def _living(self, ref: Ref, now: int) -> Life:
        if ref not in self.lives:
            self.lives[ref] = Life()
            if ref[0] in ON_CREATE:
                self.lives[ref].give("base", now + ON_CREATE[ref[0]])
        return self.lives[ref]

    def delete(self, refs: Iterable[Ref], at: int) -> None:
        """Whether they are known or not, nothing mentions them any more."""
        for ref in refs:
            self.lives.pop(ref, None)
            for life in self.lives.values():
                life.unlink(ref, at)

    def collect(self, is_looked_at: Callable[[Ref], bool], now: int) -> None:
        """A collection of some workers; what it deletes is found before anything is deleted."""
        mine = {ref: life for ref, life in self.lives.items() if is_looked_at(ref)}
        over = [ref for ref, life in mine.items() if self._is_over(ref, life, now)]
        for ref, life in mine.items():
            if ref[0] in ON_CREATE:
                life.tokens = {name: until for name, until in life.tokens.items() if until >= now}
            life.unreferenced = not self._is_referred_to(ref, now)
        self.delete(over, now)

    def _is_over(self, ref: Ref, life: Life, now: int) -> bool:
        if ref[0] in ON_CREATE:
            return all(until < now for until in life.tokens.values())
        return ref[0] == "port" and life.unreferenced and not self._is_referred_to(ref, now)

    def _is_referred_to(self, ref: Ref, now: int) -> bool:
        return any(
            until > now
            for life in self.lives.values()
            for (_, linked), until in life.links.items()
            if linked == ref
        )
