"""The primary module: looks at this machine every two seconds and sends what it sees."""

import socket
import threading
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dp3.client import Client, ClientError
from dp3.demo import host, network
from dp3.demo.points import Interval, Once, Point
from dp3.demo.processes import Processes, running

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

    def __init__(self, url: str, machine: Machine | None = None, every_s: float = EVERY_S) -> None:
        super().__init__(name="watcher", daemon=True)
        self.failure: Exception | None = None
        self.sent = 0
        self._stopping = threading.Event()
        self._client = Client(url, sleep=self._stopping.wait)
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
