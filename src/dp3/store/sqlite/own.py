"""The own part of a worker, as ranges of entity keys and as parameters of statements."""

from collections.abc import Iterator

from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease


def own_ranges(lease: Lease, partitions: int, after: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys (both ends excluded) of own partitions above a key."""
    for partition in range(lease.index, partitions, lease.worker_processes):
        end = (partition + 1) << ENTITY_SHIFT
        if end > after:
            yield max(after, (partition << ENTITY_SHIFT) - 1), end


def of_worker(lease: Lease, **values: int) -> dict[str, int]:
    """Parameters of a statement about own partitions, with others."""
    return {"worker": lease.index, "worker_processes": lease.worker_processes, **values}
