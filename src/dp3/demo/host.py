"""What the machine as a whole is and does."""

import platform
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from dp3.demo.points import Interval, Point, plain, seen, series

LOAD_STEP_S = 2


def facts(host: str) -> list[Point]:
    """What does not change while the machine is up."""
    values = {
        "os": platform.system(),
        "kernel": platform.release(),
        "cpus": psutil.cpu_count() or 1,
        "memory": psutil.virtual_memory().total,
        "booted": datetime.fromtimestamp(psutil.boot_time(), UTC),
        "disks": disks(),
    }
    return [plain("host", host, attr, value) for attr, value in values.items()]


def disks() -> dict[str, Any]:
    """Mount point → size in bytes and use in percent; those that must not be read are left out."""
    found = {}
    for partition in psutil.disk_partitions():
        try:
            usage = psutil.disk_usage(partition.mountpoint)
        except OSError:
            continue
        found[partition.mountpoint] = {"size": usage.total, "used_percent": usage.percent}
    return found


def load(host: str, during: Interval) -> list[Point]:
    """How busy it is. The CPU use is that since the last call, so there is none at the first look."""
    cpu = psutil.cpu_percent()
    points = [seen("host", host, "memory_percent", psutil.virtual_memory().percent, during)]
    if during.seconds > 0:
        points.append(seen("host", host, "cpu_percent", cpu, during))
    points.append(load_average(host, during.t2))
    return points


def load_average(host: str, now: datetime) -> Point:
    """One step of a regular series: steps start at even seconds."""
    start = datetime.fromtimestamp(int(now.timestamp()) // LOAD_STEP_S * LOAD_STEP_S, UTC)
    step = Interval(start, start + timedelta(seconds=LOAD_STEP_S))
    return series("host", host, "load", {"load_1m": [psutil.getloadavg()[0]]}, step)


def users(host: str, during: Interval) -> list[Point]:
    """Who has a session, and where."""
    points = []
    for session in psutil.users():
        points.append(seen("host", host, "users", {"eid": session.name}, during))
        if session.terminal:
            points.append(seen("user", session.name, "terminals", session.terminal, during))
    return points


class Traffic:
    """Bytes through the network interfaces between two calls."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def points(self, host: str, during: Interval) -> list[Point]:
        """One interval of an irregular series; none at the first call or when a counter was set back."""
        counters = psutil.net_io_counters()
        if counters is None:
            return []
        now = (counters.bytes_sent, counters.bytes_recv)
        before, self._before = self._before, now
        if before is None or now < before or now[1] < before[1] or during.seconds <= 0:
            return []
        values: dict[str, list[Any]] = {
            "time_first": [during.t1],
            "time_last": [during.t2],
            "bytes_sent": [now[0] - before[0]],
            "bytes_received": [now[1] - before[1]],
        }
        return [series("host", host, "network", values, during)]
