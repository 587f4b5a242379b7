"""Running programs and what they use."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import psutil

from dp3.demo.points import Interval, Once, Point, plain, seen

MAX_PROCESSES = 300

# psutil's states in the words of the model. What a look at one moment tells about the time between two looks
# depends on how long the state usually lasts.
STATES = {
    psutil.STATUS_RUNNING: ("running", 0.5),
    psutil.STATUS_SLEEPING: ("sleeping", 0.7),
    psutil.STATUS_IDLE: ("sleeping", 0.7),
    psutil.STATUS_DISK_SLEEP: ("waiting", 0.5),
    psutil.STATUS_STOPPED: ("stopped", 1.0),
    psutil.STATUS_ZOMBIE: ("zombie", 1.0),
}
FIELDS = ["pid", "name", "create_time", "username", "uids", "status", "cpu_percent", "memory_info", "exe"]


@dataclass(frozen=True, slots=True)
class Process:
    """One running program; what this user must not see of it is None."""

    pid: int
    name: str
    started: float | None
    user: str | None
    uid: int | None
    status: str | None
    cpu_percent: float
    memory: int | None
    executable: str | None

    @property
    def eid(self) -> str:
        """Name and number."""
        return f"{self.name}:{self.pid}"


def running() -> list[Process]:
    """The processes that use most, at most `MAX_PROCESSES`. CPU use is that since the last call."""
    return heapq.nlargest(MAX_PROCESSES, _all(), key=lambda each: (each.cpu_percent, each.memory or 0))


def _all() -> Iterator[Process]:
    for found in psutil.process_iter(FIELDS):
        info = found.info
        process = Process(
            pid=info["pid"],
            name=info["name"] or "unknown",
            started=info["create_time"],
            user=info["username"],
            uid=info["uids"].real if info.get("uids") else None,
            status=info["status"],
            cpu_percent=info["cpu_percent"] or 0.0,
            memory=info["memory_info"].rss if info["memory_info"] else None,
            executable=info["exe"] or None,
        )
        if process.memory != 0 or process.status == psutil.STATUS_ZOMBIE:  # the others are kernel threads
            yield process


class Processes:
    """Turns processes into data-points."""

    def __init__(self) -> None:
        self._once = Once()
        self._users_once = Once()

    def points(self, host: str, processes: list[Process], during: Interval) -> list[Point]:
        """Data-points of what runs on the host and what it uses."""
        points = []
        for process in processes:
            points += self._once.of(process.eid, partial(facts, process))
            points += self._users_once.of(process.user or "", partial(owner, process))
            points += use(process, during)
            points.append(seen("host", host, "processes", {"eid": process.eid}, during))
        return points


def facts(process: Process) -> list[Point]:
    """Data-points of what does not change while it runs."""
    values = {
        "name": process.name,
        "executable": process.executable,
        "started": datetime.fromtimestamp(process.started, UTC) if process.started else None,
        "user": {"eid": process.user} if process.user else None,
    }
    return [plain("process", process.eid, attr, value) for attr, value in values.items() if value is not None]


def owner(process: Process) -> list[Point]:
    """The user it belongs to, where the system has numbers for users."""
    if process.user is None or process.uid is None:
        return []
    return [plain("user", process.user, "uid", process.uid)]


def use(process: Process, during: Interval) -> list[Point]:
    """Data-points of its use between the last two looks; CPU use needs two of them."""
    state, confidence = STATES.get(process.status or "", ("other", 0.5))
    points = [seen("process", process.eid, "state", state, during, confidence)]
    if process.memory is not None:
        points.append(seen("process", process.eid, "memory", process.memory, during))
    if during.seconds > 0:
        points.append(seen("process", process.eid, "cpu_percent", process.cpu_percent, during))
    return points
