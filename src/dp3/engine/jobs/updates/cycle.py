"""Spreads the entities of a partition over the batches of a cycle. Pure."""

from typing import NamedTuple

from dp3.store.ports.entities import ENTITY_SHIFT, EncodedProfile
from dp3.store.ports.updates import UpdateProgress

EVERYTHING = 1 << 62
"""The target of the last batch of a cycle: all that is left."""

EARLIEST = 0.9
"""A batch is begun when so much of the batch period has passed since the one before: a schedule that comes
more often than the period says would visit entities too often. Days of 23 hours are long enough."""


class Subject(NamedTuple):
    """An entity to visit: `eid` as text; `profile` is empty if the hooks get no record."""

    key: int
    eid: str
    profile: EncodedProfile = ""


def first_key(partition: int) -> int:
    """A key below all those of entities of a partition."""
    return (partition << ENTITY_SHIFT) - 1


def end_key(partition: int) -> int:
    """A key above all those of entities of a partition."""
    return (partition + 1) << ENTITY_SHIFT


def may_begin(before: UpdateProgress | None, tick: int, batch_period: int) -> bool:
    """True if a batch may begin at the moment `tick`; times are microseconds. If the one before was begun
    later than that, the clock was set back."""
    if before is None or before.open:
        return before is None
    return not -batch_period < tick - before.tick < EARLIEST * batch_period


def missed_batches(before: UpdateProgress | None, tick: int, batch_period: int) -> int:
    """The number of batches that should have been between the one before and one that begins at `tick`."""
    return 0 if before is None else max(0, round((tick - before.tick) / batch_period) - 1)


def next_batch(before: UpdateProgress | None, partition: int, tick: int, batches: int) -> UpdateProgress:
    """The batch that follows, of a cycle of so many; it has all that is left to visit. A cycle with another
    number of batches than before goes on at the same share of it."""
    if before is None or before.batch >= before.batches:
        return UpdateProgress(
            partition=partition,
            begun=tick,
            tick=tick,
            batch=1,
            batches=batches,
            target=EVERYTHING,
            done=0,
            after=first_key(partition),
            open=True,
        )
    batch = before.batch * batches // before.batches + 1
    return before._replace(tick=tick, batch=batch, batches=batches, target=EVERYTHING, open=True)


def is_last(row: UpdateProgress) -> bool:
    """True if the batch is the last one of its cycle."""
    return row.batch >= row.batches


def with_target(row: UpdateProgress, remaining: int, partitions: int) -> UpdateProgress:
    """The batch with its share of the `remaining` entities.

    After batch k of n, k/n of all entities are visited. What is between whole numbers is rounded up sooner in
    one partition than in another, so that also few entities are spread over the cycle.
    """
    everything = row.done + remaining
    share = row.batch * everything * partitions + row.partition * row.batches
    due = share // (row.batches * partitions)
    return row._replace(target=max(row.done, min(due, everything)))


def visited(row: UpdateProgress, keys: list[int], wanted: int) -> UpdateProgress:
    """The place after the next entities of the partition; fewer than `wanted` are the last."""
    done = row.done + len(keys)
    after = keys[-1] if keys else row.after
    is_open = len(keys) == wanted and done < row.target
    return row._replace(done=done, after=after, open=is_open, tries=0)
