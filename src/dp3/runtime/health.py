"""Judges workers for the supervisor: by what they say of themselves, never by the time of day."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dp3.engine.heartbeat import LEASE_TTL_S, STARTING, WORKING
from dp3.runtime.resources import DataDir
from dp3.store.ports.leases import LeaseState

LOOK_EVERY_S = 2.0

SILENT_LOOKS = round(LEASE_TTL_S / LOOK_EVERY_S)
"""So many looks in a row without a new sign of life, and a worker counts as dead. Looks are counted, not
seconds: a clock that is set, or a machine that stood still, makes nobody older."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A worker at the latest look. `sign` differs whenever it has given a new sign of life."""

    state: LeaseState
    sign: tuple[int, int]
    silent_looks: int


class WorkerHealth:
    """Looks at the workers of a data directory every `LOOK_EVERY_S`.

    A sign of life is a new heartbeat in the lease or, from a worker whose heartbeat the disk refuses, a new
    time of its file in `run/`. A worker that does not work `start_limit_s` after its start is sick too.
    """

    def __init__(
        self, leases: Callable[[], Sequence[LeaseState]], data: DataDir, start_limit_s: float
    ) -> None:
        self._leases = leases
        self._data = data
        self._start_limit_s = start_limit_s
        self._seen: dict[int, _Seen] = {}

    def look(self) -> None:
        """Take notice of all workers."""
        self._seen = {state.holder.process: self._look_at(state) for state in self._leases()}

    def complaint(self, pid: int, age_s: float) -> str:
        """Why the worker with this process number, started `age_s` ago, should be replaced; or nothing."""
        seen = self._seen.get(pid)
        if seen is not None and seen.silent_looks >= SILENT_LOOKS:
            return f"no sign of life for {seen.silent_looks * LOOK_EVERY_S:.0f} s"
        if seen is None or seen.state.status == STARTING:
            return f"does not work {age_s:.0f} s after its start" if age_s > self._start_limit_s else ""
        return "" if seen.state.status == WORKING else seen.state.status

    def _look_at(self, state: LeaseState) -> _Seen:
        sign = (state.heartbeat, self._touched(state.lease.index))
        before = self._seen.get(state.holder.process)
        silent = before.silent_looks + 1 if before is not None and before.sign == sign else 0
        return _Seen(state, sign, silent)

    def _touched(self, worker: int) -> int:
        try:
            return self._data.sign_of_life(worker).stat().st_mtime_ns
        except FileNotFoundError:
            return 0
