"""The product's form of history in the words of the model, so that the same rules are told of both."""

from collections.abc import Iterable, Sequence

from dp3 import history
from dp3.history import Params
from dp3.history.confidence import Ratio, confidence, margins, terms_of
from dp3.history.segments import SegmentRow
from kit.history import Current, Observation, Segment


def row_of(part: Observation | Segment) -> SegmentRow[bytes]:
    if isinstance(part, Segment):
        return part.t1, part.t2, part.c_sum, part.v, part.n
    return part.t1, part.t2, part.c, part.v, 1


def ours(segment: Segment) -> history.Segment[bytes]:
    return history.Segment(segment.t1, segment.t2, segment.v, segment.c_sum, segment.n, segment.t1)


def theirs(segment: history.Segment[bytes]) -> Segment:
    return Segment(segment.t1, segment.t2, segment.c_sum, segment.n, segment.v)


def canonical(parts: Iterable[Observation | Segment], params: Params) -> list[Segment]:
    return list(map(theirs, history.segments_of(map(row_of, parts), params)))


def unite(parts: Iterable[Observation | Segment]) -> list[Segment]:
    return list(map(theirs, history.unite(map(row_of, parts))))


def mean_confidence(segment: Segment) -> float:
    return history.mean_confidence(ours(segment))


def confidence_at(segment: Segment, t: int, params: Params) -> Ratio:
    return history.confidence_at(ours(segment), t, params)


def validity(segment: Segment, params: Params) -> tuple[int, int]:
    before, after = margins(params)
    return segment.t1 - before, segment.t2 + after


def winner_at(segments: Sequence[Segment], t: int, params: Params) -> Segment | None:
    """The very one of the segments."""
    candidates = list(map(ours, segments))
    winner = history.winner_at(candidates, t, params)
    return next((segments[at] for at, one in enumerate(candidates) if one is winner), None)


def value_at(segments: Sequence[Segment], t: int, params: Params) -> Current | None:
    winner = history.winner_at(list(map(ours, segments)), t, params)
    return winner and Current(winner.v, confidence(terms_of(winner.row, params), t))


def values_at(segments: Sequence[Segment], t: int, params: Params) -> list[Current]:
    winners = history.winners_at(list(map(ours, segments)), t, params)
    return [Current(winner.v, confidence(terms_of(winner.row, params), t)) for winner in winners]


def next_change(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    """From one time at which another segment wins, as the product tells it, to the next, until the value
    differs."""
    candidates = list(map(ours, segments))
    before, change = _seen_until(candidates, t, params)
    seen = before
    while change is not None and seen == before:
        at = change
        seen, change = _seen_until(candidates, at, params)
    return None if seen == before else at


def _seen_until(segments: list[history.Segment[bytes]], t: int, params: Params) -> tuple[object, int | None]:
    if params.multi_value:
        winners, change = history.winners_until(segments, t, params)
        return {winner.v for winner in winners}, change
    winner, change = history.winner_until(segments, t, params)
    return winner and winner.v, change
