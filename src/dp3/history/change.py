"""When will the current value change by the mere passing of time?

Only moments that matter are looked at: starts and ends of validity, and crossings of the linear pieces of
two confidences. All arithmetic is on integers, so the answer is the first microsecond, exactly.
"""

from collections.abc import Iterator, Sequence

from dp3.history.confidence import confidence_at, validity
from dp3.history.segments import Params, Segment
from dp3.history.values import winner_at


def next_change(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    """The earliest time after `t` (µs) at which the value differs from that at `t`, without new data.

    For a single-valued attribute that is another winning value, for a multi-valued one another set of
    values; becoming or ceasing to be empty counts for both. A change of confidence alone does not.
    None when nothing changes any more. `segments` are in canonical form.
    """
    valid = [segment for segment in segments if segment.c_sum]
    if params.multi_value:
        return _next_other_set(valid, t, params)
    return _next_other_winner(valid, t, params)


def _next_other_set(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    """The earliest end of a present value's uninterrupted validity, or start of an absent value's."""
    until: dict[bytes, int] = {}
    changes = []
    for segment in segments:
        start, end = validity(segment, params)
        if end < t:
            continue
        present_until = until.get(segment.v, t - 1)
        if start <= max(t, present_until + 1):
            until[segment.v] = max(end, present_until)
        else:
            changes.append(start)
    changes.extend(end + 1 for end in until.values())
    return min(changes, default=None)


def _next_other_winner(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    winner = winner_at(segments, t, params)
    if winner is None:
        return _next_start(segments, t, params)
    value = winner.v
    while winner is not None and winner.v == value:
        t = _challenge(winner, segments, t, params)
        winner = winner_at(segments, t, params)
    return t


def _next_start(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    starts = (validity(segment, params)[0] for segment in segments)
    return next((start for start in starts if start > t), None)


def _challenge(winner: Segment, segments: Sequence[Segment], t: int, params: Params) -> int:
    """The earliest time after `t` at which the winner is not valid or another value is ahead of it.

    Until then the value stays. It may stay then, too, by another segment of the same value.
    """
    _, last = validity(winner, params)
    for rival in segments:
        start, end = validity(rival, params)
        if start > last:
            break
        if rival.v != winner.v:
            overtaken = _first_ahead(rival, winner, max(t + 1, start), min(last, end), params)
            if overtaken is not None:
                last = overtaken - 1
    return last + 1


def _first_ahead(rival: Segment, winner: Segment, first: int, last: int, params: Params) -> int | None:
    """The earliest time in `first` … `last`, where both are valid, at which `rival` is preferred."""
    wins_ties = (rival.t1, rival.t2, rival.v) > (winner.t1, winner.t2, winner.v)
    needed = 0 if wins_ties else 1
    for start, end in _linear_pieces(rival, winner, first, last):
        lead = _lead(rival, winner, start, params)
        if lead >= needed:
            return start
        missing = needed - lead
        gain = _lead(rival, winner, end, params) - lead
        if gain >= missing:
            return start + -(-missing * (end - start) // gain)
    return None


def _linear_pieces(a: Segment, b: Segment, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Split `first` … `last` where one of the two confidences changes from one line to another."""
    if first > last:
        return
    cuts = sorted({cut for cut in (a.t1, a.t2 + 1, b.t1, b.t2 + 1) if first < cut <= last})
    for cut in cuts:
        yield first, cut - 1
        first = cut
    yield first, last


def _lead(rival: Segment, winner: Segment, t: int, params: Params) -> int:
    """By how much `rival` is ahead at `t`, in units that stay the same within one linear piece."""
    rival_numerator, rival_denominator = confidence_at(rival, t, params)
    winner_numerator, winner_denominator = confidence_at(winner, t, params)
    return rival_numerator * winner_denominator - winner_numerator * rival_denominator
