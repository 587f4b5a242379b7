"""Adds data-points to packed rows. Pure.

Lossless: data-points that touch or overlap and say the same become one stretch, which readers would do
anyway; other than that all stay as they are.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from dp3.store.history import FreshGroup, PackedRow, Subject, tag_of
from dp3.store.stretches import Stretch, decode_stretches, encode_stretches

MOST_STRETCHES = 64
"""In one row: about a kilobyte. A row is written anew for each slice that brings something for its value."""


def subject_of(group: FreshGroup) -> Subject:
    """Under what the data-points of a group are packed."""
    return Subject(group.entity, group.attr, tag_of(group.v, group.timeseries))


def packed_with(
    groups: Mapping[Subject, Sequence[FreshGroup]],
    last: Mapping[Subject, PackedRow],
    united: Container[int],
    most: int = MOST_STRETCHES,
) -> list[PackedRow]:
    """The packed rows that are new or change when fresh data-points are added; `last` are the last rows of
    the subjects so far. Stretches of attributes that are `united` become one where they touch; a row has at
    most `most`."""
    rows: list[PackedRow] = []
    for subject, values in groups.items():
        row = last.get(subject)
        for group in values:
            stretches = group.stretches
            first = 0 if row is None else row.part + 1
            if row is not None and row.v == group.v:
                first = row.part
                stretches = [*decode_stretches(row.segments), *stretches]
            for row in _rows(subject, first, group.v, _in_order(stretches, subject.attr in united), most):
                rows.append(row)
    return rows


def _rows(subject: Subject, first: int, v: bytes, stretches: list[Stretch], most: int) -> Iterator[PackedRow]:
    for part, at in enumerate(range(0, len(stretches), most), first):
        some = stretches[at : at + most]
        oldest = min([stretch[1] for stretch in some])
        points = sum([stretch[3] for stretch in some])
        yield PackedRow(*subject, part, oldest, points, v, encode_stretches(some))


def _in_order(stretches: list[Stretch], united: bool) -> list[Stretch]:
    if len(stretches) == 1:
        return stretches
    stretches.sort(key=_times)
    return unite(stretches) if united else stretches


_times = itemgetter(0, 1)


def unite(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join those of one value that touch or overlap; in the order of `t1`."""
    united: list[Stretch] = []
    end = None
    for stretch in stretches:
        t1, t2, c_sum, n = stretch
        if end is None or t1 > end or c_sum is None:
            united.append(stretch)
            end = t2
            continue
        before = united[-1]
        end = max(end, t2)
        united[-1] = (before[0], end, (before[2] or 0) + c_sum, before[3] + n)
    return united
