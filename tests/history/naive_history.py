"""History by definition: fractions, every pair, every tick. Slow, and short enough to be believed."""

from collections.abc import Callable, Iterable
from fractions import Fraction

from dp3.history import Params
from dp3.model.wire import CONFIDENCE_UNIT
from kit.history import Observation, Segment


def order(segment: Segment) -> tuple[int, int, bytes, int, int]:
    return segment.t1, segment.t2, segment.v, segment.c_sum, segment.n


def canonical(observations: Iterable[Observation], params: Params) -> list[Segment]:
    segments = [Segment(o.t1, o.t2, o.c, 1, o.v) for o in observations]
    if params.aggregate:
        segments = _join_related(segments, _touch)
        united = segments
        segments = _join_related(united, lambda a, b: _bridged(a, b, united, params))
    return sorted(segments, key=order)


def _touch(a: Segment, b: Segment) -> bool:
    return a.v == b.v and a.t1 <= b.t2 and b.t1 <= a.t2


def _bridged(a: Segment, b: Segment, united: list[Segment], params: Params) -> bool:
    if a.v != b.v or a.t1 >= b.t1 or a.t2 + params.post < b.t1 - params.pre:
        return False
    return params.multi_value or not any(x.v != a.v and a.t1 < x.t1 < b.t1 for x in united)


def _join_related(segments: list[Segment], related: Callable[[Segment, Segment], bool]) -> list[Segment]:
    """Groups that the relation connects, directly or through others, each as one segment."""
    groups: list[list[Segment]] = []
    for segment in segments:
        mine = [g for g in groups if any(related(x, segment) or related(segment, x) for x in g)]
        groups = [g for g in groups if g not in mine] + [[segment, *(x for g in mine for x in g)]]
    return [_sum(group) for group in groups]


def _sum(group: list[Segment]) -> Segment:
    return Segment(
        min(s.t1 for s in group),
        max(s.t2 for s in group),
        sum(s.c_sum for s in group),
        sum(s.n for s in group),
        group[0].v,
    )


def confidence(segment: Segment, t: int, params: Params) -> Fraction:
    c = Fraction(segment.c_sum, segment.n * CONFIDENCE_UNIT)
    if segment.t1 <= t <= segment.t2:
        return c
    if t < segment.t1:
        return Fraction(0) if t <= segment.t1 - params.pre else c * (1 - Fraction(segment.t1 - t, params.pre))
    return Fraction(0) if t >= segment.t2 + params.post else c * (1 - Fraction(t - segment.t2, params.post))


def value(segments: list[Segment], t: int, params: Params) -> tuple[bytes, Fraction] | None:
    rated = [(confidence(s, t, params), s.t1, s.t2, s.v) for s in segments]
    best = max(rated, default=None)
    return None if best is None or best[0] == 0 else (best[3], best[0])


def values(segments: list[Segment], t: int, params: Params) -> list[tuple[bytes, Fraction]]:
    best = [
        max((confidence(s, t, params), order(s)) for s in segments if s.v == v)
        for v in {s.v for s in segments}
    ]
    holding = sorted((place, c) for c, place in best if c > 0)
    return [(v, c) for (_, _, v, _, _), c in holding]


def next_change(segments: list[Segment], t: int, params: Params) -> int | None:
    def seen(at: int) -> object:
        if params.multi_value:
            return {v for v, _ in values(segments, at, params)}
        current = value(segments, at, params)
        return current and current[0]

    horizon = max((s.t2 + params.post + 1 for s in segments), default=t)
    return next((at for at in range(t + 1, horizon + 1) if seen(at) != seen(t)), None)
