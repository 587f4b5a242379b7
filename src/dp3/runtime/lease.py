"""Holding the lease of a worker."""

import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dp3.engine.heartbeat import LEASE_TTL_S
from dp3.runtime.modules import WorkerIdentity
from dp3.runtime.signals import STOP_LIMIT_S
from dp3.store.ports.errors import LeaseRefused
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.state import State

PATIENCE_S = STOP_LIMIT_S + 5.0
"""A worker that has lost its supervisor stops within `STOP_LIMIT_S`; its successor under the next supervisor
waits for that."""

RETRY_S = 0.5

logger = logging.getLogger(__name__)


@contextmanager
def held_lease(
    store: State, identity: WorkerIdentity, stop: threading.Event, *, supervised: bool
) -> Iterator[Lease]:
    """Hold the lease while the block runs. Raises `LeaseRefused`: at once if the worker was started by hand
    and the holder lives, otherwise when the holder has not gone in time or `stop` is set."""
    lease = _take_lease(store, identity, stop, supervised)
    try:
        yield lease
    finally:
        store.leases.release(lease)


def _take_lease(store: State, identity: WorkerIdentity, stop: threading.Event, supervised: bool) -> Lease:
    holder = Holder(platform.node(), os.getpid())
    start = time.monotonic()
    waiting = False
    while True:
        try:
            return store.leases.take(identity.index, identity.processes, holder, LEASE_TTL_S)
        except LeaseRefused as refused:
            if stop.is_set() or time.monotonic() - start >= _patience_s(store, holder.host, supervised):
                raise
            if not waiting:
                logger.warning("%s; waiting for its end", refused)
            waiting = True
            stop.wait(RETRY_S)


def _patience_s(store: State, host: str, supervised: bool) -> float:
    if supervised:
        return PATIENCE_S
    elsewhere = all(state.holder.host != host for state in store.leases.all())
    return LEASE_TTL_S + 1 if elsewhere else 0.0  # a holder on another host has to prove that it lives
