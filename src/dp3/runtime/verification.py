"""Looking for damage in a data directory that nobody uses."""

from collections.abc import Iterator

from dp3.engine.continuity import gaps
from dp3.log.port import Lane
from dp3.log.sqlite import log_extents, verify_log
from dp3.runtime.resources import DataDir
from dp3.store.sqlite import renew_state, verify_state

__all__ = ["renew_state", "verify"]


def verify(data: DataDir) -> Iterator[str]:
    """The faults of log and state, and of both together, one sentence each. Reads everything, changes
    nothing."""
    if not data.root.is_dir():
        yield f"{data.root}: there is no such directory"
        return
    yield from verify_log(data.root)
    problems, reached = verify_state(data.state)
    yield from problems
    extents = log_extents(data.root)
    for number, (lowest, highest) in reached.items():
        if (extent := extents.get(Lane(number))) is not None:
            yield from gaps(Lane(number), *extent, lowest, highest)
