"""What goes wrong when a test wants it to, or happens in the middle of something. The replacement of a method
gets the method as its first argument."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dp3.store.ports.leases import Lease

Replacement = Callable[..., Any]
Fault = AbstractContextManager[Any]


def instead(owner: Any, method: str, replacement: Replacement) -> Fault:
    return patch.object(owner, method, partial(replacement, getattr(owner, method)))


# -- what is written to the state and read from it ---------------------------------------------------------
def run_writes(store: Any, replacement: Replacement) -> Fault:
    """Slices of snapshot runs are written by this."""
    return instead(store.snapshots, "write", replacement)


def run_reads(store: Any, replacement: Replacement) -> Fault:
    """The snapshots of an entity are read by this."""
    return instead(store.snapshots, "of", replacement)


def update_writes(store: Any, replacement: Replacement) -> Fault:
    """What comes of periodic hooks and creation hooks is written by this."""
    return instead(store.updates, "write", replacement)


def update_reads(store: Any, replacement: Replacement) -> Fault:
    """The entities that periodic hooks visit are read by this."""
    return instead(store.entities, "between", replacement)


def weak_reads(store: Any, replacement: Replacement) -> Fault:
    """Weak entities are read by this."""
    return instead(store.lifetimes, "weak_entities", replacement)


def control_sends(store: Any, replacement: Replacement) -> Fault:
    """Control messages are sent by this."""
    return instead(store.control, "send", replacement)


def control_results(store: Any, replacement: Replacement) -> Fault:
    """Results of control messages are read by this."""
    return instead(store.control, "results", replacement)


def heartbeats(store: Any, replacement: Replacement) -> Fault:
    """Heartbeats are written by this."""
    return instead(store.leases, "heartbeat", replacement)


def durability(store: Any, replacement: Replacement) -> Fault:
    """The state is brought to the disk by this."""
    return instead(store.batches, "make_durable", replacement)


def renames(replacement: Replacement) -> Fault:
    """Files are renamed by this, which gets nothing else."""
    return patch.object(Path, "rename", replacement)


# -- snapshot runs -----------------------------------------------------------------------------------------
@contextmanager
def broken_linked_work(lease: Lease) -> Iterator[None]:
    """The worker with this lease fails at linked entities."""
    work = import_module("dp3.engine.jobs.snapshots.work").RunWork
    do_linked = work._do_linked

    def broken(self: Any, *args: Any) -> Any:
        if self._lease == lease:
            raise RuntimeError("broken")
        return do_linked(self, *args)

    with patch.object(work, "_do_linked", broken):
        yield


@contextmanager
def broken_values(eid: Any) -> Iterator[None]:
    """The values of one entity can not be computed by a run."""
    loading = import_module("dp3.engine.jobs.snapshots.loading")
    compute = loading.compute

    def broken(of: Any, *args: Any) -> Any:
        if of == eid:
            raise RuntimeError("broken")
        return compute(of, *args)

    with patch.object(loading, "compute", broken):
        yield
