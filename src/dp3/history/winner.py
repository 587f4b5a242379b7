"""The segment that gives an attribute its value at a time, and until when it does.

A single-valued attribute has the value of the segment with the highest confidence; one with several values
has each that has any confidence. Confidences are compared exactly, as ratios; of equal ones the later segment
in canonical order wins. All functions take segments in canonical order, as `segments_of` returns them.

The next change is found among the starts and ends of validity and the crossings of straight pieces of two
confidences (see `dp3.history.confidence`). All arithmetic is on integers, so the answer is the first
microsecond, exactly.
"""

from collections.abc import Iterable, Iterator, Sequence

from dp3.history.confidence import margins, share_at
from dp3.history.segments import Params, Segment, V


def winner_at(segments: Sequence[Segment[V]], t: int, params: Params) -> Segment[V] | None:
    """The segment with the highest confidence at `t` (µs); None if there is none with a confidence above 0.

    `segments` compete for one place: all of a single-valued attribute, or those of one value.
    """
    before, after = margins(params)
    return _highest(_not_over(segments, t - after), t, t + before, params)


def winners_at(segments: Iterable[Segment[V]], t: int, params: Params) -> list[Segment[V]]:
    """The winner of each value of a multi-valued attribute at `t` (µs), as far as it has one.

    In canonical order: the value that began first among those that hold comes first.
    """
    winners = [winner_at(of_value, t, params) for of_value in _by_value(segments)]
    return sorted([winner for winner in winners if winner is not None])


def winner_until(
    segments: Sequence[Segment[V]], t: int, params: Params
) -> tuple[Segment[V] | None, int | None]:
    """The winner at `t` (µs), and the earliest time after it at which another segment, or none, wins.

    None for no winner, and for never. The winner may change without its value: then its confidence is that
    of another segment.
    """
    before, after = margins(params)
    oldest, latest = t - after, t + before
    if len(segments) == 1 and segments[0].t1 <= latest:
        (segment,) = segments
        lasts = segment.t2 >= oldest and segment.c_sum
        return (segment, segment.t2 + after + 1) if lasts else (None, None)
    live = _not_over(segments, oldest)
    winner = _highest(live, t, latest, params)
    if winner is None:
        return None, live[0].t1 - before if live else None
    return winner, _end(winner, live, t, params)


def winners_until(
    segments: Iterable[Segment[V]], t: int, params: Params
) -> tuple[list[Segment[V]], int | None]:
    """The winner of each value as `winners_at` returns them, and when the first of them changes or another
    value gets one."""
    found = [winner_until(of_value, t, params) for of_value in _by_value(segments)]
    return (
        sorted([winner for winner, _ in found if winner is not None]),
        min([change for _, change in found if change is not None], default=None),
    )


def _by_value(segments: Iterable[Segment[V]]) -> Iterable[list[Segment[V]]]:
    by_value: dict[V, list[Segment[V]]] = {}
    for segment in segments:
        by_value.setdefault(segment.v, []).append(segment)
    return by_value.values()


def _not_over(segments: Iterable[Segment[V]], oldest: int) -> list[Segment[V]]:
    """Segments that have or will have a confidence, the oldest of which end at `oldest`."""
    return [segment for segment in segments if segment.t2 >= oldest and segment.c_sum]


def _highest(live: Sequence[Segment[V]], t: int, latest: int, params: Params) -> Segment[V] | None:
    """The winner at `t` of segments that are not over; they are valid if they begin until `latest`.

    Mostly it is the last one, which makes the others short work.
    """
    winner: Segment[V] | None = None
    for segment in reversed(live):
        if segment.t1 > latest:
            continue
        if winner is None:
            winner = segment
        elif (
            segment.t2 < t
            and segment.t2 < winner.t2
            and winner.t1 <= t
            and segment.c_sum * winner.n <= winner.c_sum * segment.n
        ):
            continue  # it was not higher, and has been falling for longer
        else:
            lead = _lead(segment, winner, t, params)
            if lead > 0 or (lead == 0 and segment > winner):
                winner = segment
    return winner


def _end(winner: Segment[V], live: Iterable[Segment[V]], t: int, params: Params) -> int:
    """The earliest time after `t` at which the winner is not valid or another one is ahead of it."""
    before, after = margins(params)
    end = winner.t2 + after + 1
    last, rises = winner.t2, winner.t1 > t
    for rival in live:
        if rival.t1 - before >= end:
            break
        if (rival.t2 > last or rival.t1 > t or rises) and rival is not winner:
            first, until = max(t + 1, rival.t1 - before), min(end - 1, rival.t2 + after)
            overtaken = _first_ahead(rival, winner, first, until, params)
            if overtaken is not None:
                end = overtaken
    return end


def _first_ahead(rival: Segment[V], winner: Segment[V], first: int, last: int, params: Params) -> int | None:
    """The earliest time in `first` … `last`, where both are valid, at which `rival` wins."""
    needed = 0 if rival > winner else 1
    for start, end in _straight_pieces(rival, winner, first, last):
        lead = _lead(rival, winner, start, params)
        if lead >= needed:
            return start
        missing = needed - lead
        gain = _lead(rival, winner, end, params) - lead
        if gain >= missing:
            return start + -(-missing * (end - start) // gain)
    return None


def _straight_pieces(a: Segment[V], b: Segment[V], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Split `first` … `last` where one of the two confidences changes from one line to another."""
    if first > last:
        return
    for bend in sorted({bend for bend in (a.t1, a.t2 + 1, b.t1, b.t2 + 1) if first < bend <= last}):
        yield first, bend - 1
        first = bend
    yield first, last


def _lead(rival: Segment[V], winner: Segment[V], t: int, params: Params) -> int:
    """By how much `rival` is ahead at `t`, in units that stay the same within one straight piece."""
    pre, post = params.pre, params.post
    share, whole = share_at(t, rival.t1, rival.t2, pre, post)
    winner_share, winner_whole = share_at(t, winner.t1, winner.t2, pre, post)
    return rival.c_sum * winner.n * share * winner_whole - winner.c_sum * rival.n * winner_share * whole
