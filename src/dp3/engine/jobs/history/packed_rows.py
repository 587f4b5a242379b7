"""Adds data-points to packed rows. Pure.

Lossless: data-points that touch or overlap and say the same become one stretch, which readers would do
anyway; other than that all stay as they are.
"""

from collections.abc import Container, Iterable, Mapping
from operator import itemgetter

from dp3.history.packed import Stretch, decode_stretches, encode_stretches
from dp3.store.ports.history import FreshValues, PackedRow, Subject

MOST_STRETCHES = 64
"""In one row: about a kilobyte. A row is written anew for each slice that brings something for its value."""


def packed_with(
    fresh: FreshValues,
    last: Mapping[Subject, PackedRow],
    united: Container[int],
    most: int = MOST_STRETCHES,
) -> list[PackedRow]:
    """The packed rows that are new or change when fresh data-points are added; `last` are the last rows of
    the subjects so far. Stretches of attributes that are `united` become one where they touch; a row has at
    most `most`."""
    rows: list[PackedRow] = []
    for subject, values in fresh.items():
        row = last.get(subject)
        for v, stretches in values:
            part, noted = 0, None
            if row is not None:
                same = row.v == v
                part = row.part if same else row.part + 1
                if same:
                    noted = min(row.oldest, min([stretch[1] for stretch in stretches]))
                    stretches = [*decode_stretches(row.segments), *stretches]
            if len(stretches) > 1:
                stretches = _in_order(stretches, subject[1] in united)
            for at in range(0, len(stretches), most):
                row = _row(subject, part, v, stretches[at : at + most], noted)
                rows.append(row)
                part += 1
    return rows


def _row(subject: Subject, part: int, v: bytes, stretches: list[Stretch], noted: int | None) -> PackedRow:
    """`noted`: before which nothing of the row goes, if that was found out before."""
    if len(stretches) == 1:
        ((_, oldest, _, points),) = stretches
    else:
        oldest = min([stretch[1] for stretch in stretches])
        points = sum([stretch[3] for stretch in stretches])
    entity, attr, tag = subject
    return PackedRow(
        entity, attr, tag, part, oldest if noted is None else noted, points, v, encode_stretches(stretches)
    )


def _in_order(stretches: list[Stretch], united: bool) -> list[Stretch]:
    stretches = sorted(stretches, key=_times)
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
