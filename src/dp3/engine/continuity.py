"""Log and state must fit together, which is looked at when both are opened."""

import logging
from collections.abc import Iterator

from dp3.log.port import Lane, Log, LogIncomplete
from dp3.store.ports.batches import Batches

logger = logging.getLogger(__name__)


def require_continuity(log: Log, batches: Batches, *, accept_loss: bool) -> None:
    """Raise `LogIncomplete` if the log has not all that the state needs of it, unless that is accepted: then
    the log goes on above everything that was applied, and workers set aside what is missing."""
    problems = list(_problems(log, batches))
    if not problems:
        return
    if not accept_loss:
        raise LogIncomplete(
            f"{'; '.join(problems)}. Restore log and state from copies of the same moment; "
            "or go on without what is missing (--accept-loss)"
        )
    for problem in problems:
        logger.warning("%s; accepted", problem)
    for lane, (_, highest) in _reached(batches).items():
        if log.head(lane).offset < highest:
            log.resume_after(lane, highest, batches.order())


def gaps(lane: Lane, begin: int, end: int, lowest: int, highest: int) -> Iterator[str]:
    """Sentences about what is missing in a lane that has the entries `begin` to `end`, when partitions of the
    state have applied those up to offsets from `lowest` to `highest`."""
    name = lane.name.lower()
    if end < highest:
        yield f"the log's {name} lane ends at entry {end}, but the state has applied entry {highest}"
    if begin > lowest + 1:
        applied = f"entry {lowest}" if lowest else "none"
        yield f"the log's {name} lane begins at entry {begin}, but of those before {applied} was applied"


def _problems(log: Log, batches: Batches) -> Iterator[str]:
    for lane, reached in _reached(batches).items():
        yield from gaps(lane, log.begin(lane), log.head(lane).offset, *reached)


def _reached(batches: Batches) -> dict[Lane, tuple[int, int]]:
    """The lowest and the highest offset that partitions have reached in each lane."""
    reached: dict[Lane, tuple[int, int]] = {}
    for _, number, offset in batches.positions():
        lane = Lane(number)
        lowest, highest = reached.get(lane, (offset, offset))
        reached[lane] = min(lowest, offset), max(highest, offset)
    return reached
