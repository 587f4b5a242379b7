"""Values in the form that statements take and give: objects as JSON, the own part of a worker."""

from collections.abc import Iterator
from typing import Any

import msgspec

from dp3.store.ports.leases import ENTITY_SHIFT, Lease

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def to_json(value: dict[str, Any]) -> str:
    """A JSON-friendly object as text."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> dict[str, Any]:
    """The inverse of `to_json`."""
    return _decode(text)


def of_worker(lease: Lease, **values: int) -> dict[str, int]:
    """Parameters of a statement about own partitions, with others."""
    return {"worker": lease.index, "worker_processes": lease.worker_processes, **values}


def own_ranges(lease: Lease, partitions: int, after: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys (both ends excluded) of own partitions above a key."""
    for partition in lease.partitions(partitions):
        end = (partition + 1) << ENTITY_SHIFT
        if end > after:
            yield max(after, (partition << ENTITY_SHIFT) - 1), end
