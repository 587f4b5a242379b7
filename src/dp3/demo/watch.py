"""The primary module: looks at this machine every two seconds and sends what it sees."""

import platform
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psutil

from dp3.client import Client, ClientError
from dp3.demo import network
from dp3.demo import watch as host
from dp3.demo.points import Interval, Once, Point, plain, seen, series
from dp3.demo.processes import Processes, running

LOAD_STEP_S = 2


def facts(host: str) -> list[Point]:
    """Data-points of what does not change while the machine is up."""
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
    """Points of its load. The CPU use is that since the last call, so there is none at the first look."""
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
    """Data-points of users with a session, and where."""
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


EVERY_S = 2.0


class Machine:
    """Looks at this machine; remembers only what it needs to tell what changed since the last look."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else socket.gethostname()
        self._last: datetime | None = None
        self._once = Once()
        self._processes = Processes()
        self._traffic = host.Traffic()

    def look(self) -> list[Point]:
        """Everything that this user may see, as data-points for the time since the last look."""
        now = datetime.now(UTC)
        during = Interval(self._last if self._last is not None and self._last <= now else now, now)
        self._last = now
        processes = running()
        listeners, conversations = network.sockets()
        process_ids = {process.pid: process.eid for process in processes}
        return [
            *self._once.of(self.name, lambda: host.facts(self.name)),
            *host.load(self.name, during),
            *host.users(self.name, during),
            *self._traffic.points(self.name, during),
            *self._processes.points(self.name, processes, during),
            *network.points(listeners, conversations, process_ids, during),
        ]


class Watcher(threading.Thread):
    """Sends what `machine` sees to the platform at `url` until `stop` is called or the platform refuses it.

    While it looks it keeps a connection to the platform open, so that there is something to see on a machine
    that talks to nobody. `failure` says why it ended by itself; `sent` counts data-points.
    """

    def __init__(
        self, url: str, machine: Machine | None = None, every_s: float = EVERY_S, token: str | None = None
    ) -> None:
        super().__init__(name="watcher", daemon=True)
        self.failure: Exception | None = None
        self.sent = 0
        self._stopping = threading.Event()
        self._client = Client(url, token=token, sleep=self._stopping.wait)
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)
        self._machine = machine if machine is not None else Machine()
        self._every_s = every_s

    def run(self) -> None:
        """The body of the thread."""
        try:
            while not self._stopping.is_set():
                self.step()
                self._stopping.wait(self._every_s)
        except (ClientError, OSError) as error:
            self.failure = error

    def step(self, *, wait: bool = False) -> bool:
        """Look once and send; returns what `Client.send` returns."""
        with socket.create_connection(self._address, timeout=10):
            points = self._machine.look()
        applied = self._client.send(points, wait=wait)
        self.sent += len(points)
        return applied

    def stop(self) -> None:
        """End the thread after the request that is under way."""
        self._stopping.set()
        self.join()
