"""Whether a process of this host still runs."""

import psutil

START_TOLERANCE_S = 2.0
"""The system computes a start time from the wall clock, so it may move when the clock is corrected."""


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None if that cannot be told."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_gone(pid: int, started: float | None) -> bool:
    """Whether the process that had this number and start time has ended (waiting for its parent counts)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return started is not None and abs(process.create_time() - started) > START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
