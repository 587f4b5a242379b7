"""Small lives of small applications, in which everything that matters happens often."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st
from sample_settings import EIDS, SETTINGS, setting

from dp3.model.attrspec import AttrSpecObservations, AttrSpecReadOnly, AttrSpecTimeseries, AttrSpecType
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, TextMatches, Where

SECOND_US = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Put:
    """A task; times of its points are relative to when it is sent. `processed`: the worker gets to
    it at once; otherwise with the next one that is, so runs in between do not know of it."""

    etype: str
    eid: int | str
    points: tuple[WirePoint, ...]
    processed: bool

    def at(self, now_us: int) -> "Put":
        """The same with absolute times, of which 0 is the last full second."""
        zero = now_us // SECOND_US * SECOND_US
        return replace(self, points=tuple(_moved(point, zero) for point in self.points))


def _moved(point: WirePoint, us: int) -> WirePoint:
    if point.t1 is None or point.t2 is None:
        return point
    return WirePoint(point.attr, point.v, point.t1 + us, point.t2 + us, point.c)


@dataclass(frozen=True)
class Delete:
    etype: str
    eid: int | str


@dataclass(frozen=True)
class Wait:
    """Until some full second, or a µs before or after it."""

    seconds: int
    offset_us: int

    def moment_after(self, now_us: int) -> int:
        full = -(-now_us // SECOND_US) + self.seconds
        return max(now_us, full * SECOND_US + self.offset_us)


@dataclass(frozen=True)
class Run:
    """A snapshot run."""


@dataclass(frozen=True)
class Clean:
    """What is older than some seconds is to go; so many of the smallest slices remove something at once, each
    done by the worker named."""

    seconds: int
    slices: tuple[int, ...]


@dataclass(frozen=True)
class Restart:
    """All workers end; so many begin, with this setting."""

    setting: int
    processes: int


@dataclass(frozen=True)
class Moment:
    """In the midst of a run: after some of its smallest pieces, so many done by which worker, something
    happens."""

    pieces: tuple[tuple[int, int], ...]
    then: Put | Delete | Restart | Clean


@dataclass(frozen=True)
class BusyRun:
    """A snapshot run while other things happen."""

    moments: tuple[Moment, ...]


Action = Put | Delete | Wait | Run | BusyRun | Restart | Clean


def _link(etype: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from([{"eid": eid} for eid in EIDS[etype]])


def _links(etype: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(_link(etype), max_size=3, unique_by=lambda link: link["eid"])


_NUMBER = st.integers(0, 3)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "p": _NUMBER,
    "s": st.sampled_from(["x", "y", "zz"]),
    "ip": st.sampled_from(["10.0.0.9", "10.0.0.10"]),
    "o": st.integers(0, 1),
    "om": st.sampled_from(["k", "m", "n"]),
    "l": _link("b"),
    "lp": st.builds(lambda link, data: {**link, "data": data}, _link("b"), st.integers(0, 1)),
    "la": _links("a"),
    "lo": _links("c"),
    "told": _NUMBER,
    "heard": st.sampled_from(["a1", "o"]),
    "score": _NUMBER,
    "far": st.sampled_from(["near", "here"]),
    "n": _NUMBER,
    "c": _link("c"),
    "q": st.sampled_from(["q", "r"]),
    "back": _link("a"),
    "when": st.sampled_from(["k", "m"]),
}
_CONFIDENCES = st.sampled_from(
    [CONFIDENCE_UNIT, CONFIDENCE_UNIT // 3, CONFIDENCE_UNIT // 2, CONFIDENCE_UNIT // 2 - 1, 0]
)


def _up_to(most: int, one: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    """Any number of them with the same probability; `st.lists` makes short ones."""
    return st.integers(0, most).flatmap(lambda size: st.lists(one, min_size=size, max_size=size))


_LOADS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), min_size=2, max_size=3).map(
    lambda rows: {"who": [who for who, _ in rows], "load": [load for _, load in rows]}
)


def _observation(attr: str, v: Any, begin: int, length: int, c: int | None) -> WirePoint:
    return WirePoint(attr, v, begin * SECOND_US, (begin + length) * SECOND_US, c)


def _point(name: str, spec: AttrSpecType) -> st.SearchStrategy[WirePoint]:
    times = st.integers(-6, 6), st.integers(0, 5)
    if isinstance(spec, AttrSpecTimeseries):
        return st.builds(_observation, st.just(name), _LOADS, *times, st.none())
    if isinstance(spec, AttrSpecObservations):
        return st.builds(_observation, st.just(name), _VALUES[name], *times, _CONFIDENCES)
    return st.builds(WirePoint, st.just(name), _VALUES[name])


@cache
def _puts(number: int, etype: str, *, links: bool) -> st.SearchStrategy[Put]:
    """With points of all attributes, or only links."""
    model = setting(number).model
    points = [
        _point(name, spec)
        for name, spec in model.attribs(etype).items()
        if not isinstance(spec, AttrSpecReadOnly) and (not links or (etype, name) in model.relations)
    ]
    some = _up_to(8, st.one_of(points)).map(tuple) if points else st.just(())
    processed = st.integers(0, 7).map(lambda one_of_eight: one_of_eight > 0)
    return st.builds(Put, st.just(etype), st.sampled_from(EIDS[etype]), some, processed)


_DELETIONS = st.sampled_from([Delete(etype, eid) for etype, eids in EIDS.items() for eid in eids])


@cache
def _tasks(number: int, *, links: bool = False) -> st.SearchStrategy[Put | Delete]:
    """Everything, or what changes who is linked with whom."""
    of_a, of_b, of_c = (_puts(number, etype, links=links) for etype in EIDS)
    return st.one_of(of_a, of_a, of_a, of_b, of_b, of_c, _DELETIONS)


@cache
def _any_tasks(number: int) -> st.SearchStrategy[Put | Delete]:
    return st.one_of(_tasks(number), _tasks(number, links=True))


_WAITS = st.builds(Wait, st.integers(0, 6), st.sampled_from([0, 0, -1, 1]))

_CLEANINGS = st.builds(Clean, st.integers(0, 6), st.lists(st.integers(0, 2), max_size=20).map(tuple))

_RESTARTS = st.builds(Restart, st.integers(0, SETTINGS - 1), st.integers(1, 3))

_PIECES = _up_to(6, st.tuples(st.integers(0, 2), st.integers(1, 12))).map(tuple)


@st.composite
def _busy_runs(draw: st.DrawFn, restart: Restart) -> tuple[BusyRun, Restart]:
    """With what the workers have been started with last."""
    moments = []
    for _ in range(draw(st.integers(1, 3))):
        then: Put | Delete | Restart | Clean
        match draw(st.integers(0, 10)):
            case 0:
                then = restart
            case 1:
                then = restart = draw(_RESTARTS)
            case 2 | 3:
                then = draw(_DELETIONS)
            case 4:
                then = draw(_CLEANINGS)
            case _:
                then = draw(_any_tasks(restart.setting))
        moments.append(Moment(draw(_PIECES), then))
    return BusyRun(tuple(moments)), restart


@st.composite
def scenarios(draw: st.DrawFn) -> list[Action]:
    """Begins with a `Restart` and ends with a `Run`; settings are given by number."""
    restart = draw(_RESTARTS)
    actions: list[Action] = [restart]
    for _ in range(draw(st.integers(1, 4))):
        actions += draw(_up_to(16, _any_tasks(restart.setting)))
        run: Run | BusyRun = Run()
        if draw(st.booleans()):
            run, restart = draw(_busy_runs(restart))
        actions += [draw(_WAITS), run]
        if draw(st.booleans()):
            actions += [draw(_WAITS), Run()]
        if draw(st.integers(0, 2)) == 0:
            actions.append(draw(_CLEANINGS))
        if draw(st.integers(0, 4)) == 0:
            restart = draw(_RESTARTS)
            actions.append(restart)
    return [*actions, Run()]


_TEXT_TESTS = st.sampled_from([lambda text: "x" in text, lambda text: text > "k", str.isdecimal])
_PATHS = {
    "a": ["p", "s", "o", "om", "l.eid", "lp.data", "la.eid", "score", "far", "note.list", "eid"],
    "b": ["p", "n", "c.eid", "as.eid", "eid"],
    "c": ["q", "back.eid", "when", "eid"],
}
_KEYS = st.sampled_from([0, 1, 2, 3, 10, 0.5, "x", "k", "q", "a1", "a2", "c2", "", b"\x0a\x00\x00\x09"])


def _simple(path: str) -> st.SearchStrategy[Where]:
    return st.one_of(
        st.just(Has(path)),
        st.builds(OneOf, st.just(path), st.lists(_KEYS, max_size=3).map(tuple)),
        st.builds(Between, st.just(path), _KEYS, st.none(), st.booleans()),
        st.builds(Between, st.just(path), st.none(), _KEYS, st.booleans(), st.booleans()),
        st.builds(TextMatches, st.just(path), _TEXT_TESTS),
    )


def _both(parts: st.SearchStrategy[Where]) -> st.SearchStrategy[Where]:
    several = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(st.builds(And, several), st.builds(Or, several), st.builds(Not, parts))


@cache
def _condition(etype: str) -> st.SearchStrategy[tuple[str, Where]]:
    simple = st.sampled_from(_PATHS[etype]).flatmap(_simple)
    return st.tuples(st.just(etype), st.recursive(simple, _both, max_leaves=4))


def conditions() -> st.SearchStrategy[list[tuple[str, Where]]]:
    """Entity types, each with a condition on its latest snapshots."""
    return st.lists(st.one_of([_condition(etype) for etype in EIDS]), min_size=5, max_size=15)
