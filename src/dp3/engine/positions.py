"""The places in the log that the workers have reached."""

from dp3.store.ports.state import State


def reached_by_all(store: State) -> dict[int, int]:
    """The offset that all partitions of all workers have reached, by lane."""
    reached: dict[int, int] = {}
    for _, lane, offset in store.batches.positions():
        reached[lane] = min(reached.get(lane, offset), offset)
    return reached
