"""Runs the real program on an application that a test writes, and leaves nothing behind."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil

from dp3.client import Client, ClientError, Retry
from kit.raw_http import LIMIT_S, RawHttp
from kit.specs import a_type, each_point, plain_attr
from kit.stored import stored

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.1
FARTHEST_S = 240.0
"""No wait lasts longer, whatever goes on."""

BUSY_SHARE = 0.05
"""Programs that use less of a processor than this have nothing left to do, or do not get on."""

SHOWN_CHARS = 6_000

COVERAGE: dict[str, str] = {}
"""The variables of the environment by which coverage finds a program; `tests/conftest.py` takes them away."""


MODEL = {
    "a": a_type("a", {"o": each_point(), "p": plain_attr("string")}),
    "c": a_type("c", {"born": each_point(), "seen": each_point(), "p": plain_attr("string")}),
}

HEADER = """\
import os
import threading
import time
from datetime import datetime, timedelta

from dp3.common.base_module import BaseModule
from dp3.common.task import DataPointTask
"""

FINDINGS = """
import os
from pathlib import Path

def found(name, *what):
    with Path(os.environ["FINDINGS"], name).open("a") as file:
        file.write(" ".join(map(str, what)) + "\\n")
"""
"""A file beside the modules, `./findings`: what they note is read by `App.findings`."""


def wait_for(what: str, condition: Callable[[], T | None], limit_s: float = LIMIT_S) -> T:
    """The first true value of `condition`, asked again and again while the programs get on."""
    patience, pause_s = Patience(limit_s), FIRST_PAUSE_S
    while not (value := condition()):
        if patience.is_over():
            raise AssertionError(f"no {what} after {patience.waited_s:.0f} s")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return value


class Patience:
    """How long it makes sense to wait: until all that this test started have been idle for `limit_s`.

    A machine that is busy with other things makes everything slow, but not idle.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._look()

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self._began

    def is_over(self) -> bool:
        idle_s = time.monotonic() - self._looked
        if idle_s < self._limit_s:
            return False
        before = self._used_s
        self._look()
        is_idle = self._used_s - before < BUSY_SHARE * idle_s
        return is_idle or self.waited_s > FARTHEST_S

    def _look(self) -> None:
        self._looked, self._used_s = time.monotonic(), used_by_programs_s()


def used_by_programs_s() -> float:
    """Processor time of everything that this process started, the ended included."""
    total = sum(os.times()[2:4])
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(*, traced: bool = False) -> dict[str, str]:
    """That of a program; coverage watches it only if it is `traced`."""
    return {**os.environ, **(COVERAGE if traced else {}), "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}


class Process:
    """One command of the program; what it writes goes to a file. `files`: how many it may have open."""

    def __init__(self, output: Path, *arguments: str, traced: bool = False, files: int | None = None) -> None:
        self._output = output
        self._may_end = False
        with output.open("ab") as file:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "dp3", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(traced=traced),
                preexec_fn=None if files is None else partial(limit_files, files),
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def has_failed(self) -> bool:
        """Whether it has ended although nobody ended it."""
        return not self._may_end and not self.running

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def send_signal(self, number: int) -> None:
        self._may_end = True
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._may_end = True
        self._popen.kill()
        self._popen.wait()

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Its exit status."""
        self._may_end = True
        patience = Patience(limit_s)
        while True:
            try:
                return self._popen.wait(limit_s)
            except subprocess.TimeoutExpired:
                if patience.is_over():
                    text = f"still running after {patience.waited_s:.0f} s:\n{self.output[-SHOWN_CHARS:]}"
                    raise AssertionError(text) from None

    def stop(self, number: int = 15) -> int:
        """End it in order; returns its exit status."""
        self.send_signal(number)
        return self.wait()

    def clean_up(self) -> None:
        """Whatever is left of it ends."""
        if self.running:
            left = [*self.children(), psutil.Process(self.pid)]
            for process in left:
                kill_if_there(process)
            self._popen.wait()
            psutil.wait_procs(left, timeout=LIMIT_S)


def limit_files(count: int) -> None:
    """From now on this process may have so many files open, and can not have more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@contextmanager
def own_time_s(process: psutil.Process) -> Iterator[list[float]]:
    """How long the block takes, but for the time in which the main thread of the process could have computed
    and others had the processors: what counts on a busy machine, too."""
    took: list[float] = []
    begun, waited = time.perf_counter(), _waited_for_processor_s(process)
    yield took
    waited = _waited_for_processor_s(process) - waited
    took.append(max(time.perf_counter() - begun - waited, 0.0))


def _waited_for_processor_s(process: psutil.Process) -> float:
    words = Path(f"/proc/{process.pid}/task/{process.pid}/schedstat").read_text().split()
    return int(words[1]) / 1e9


def kill_if_there(process: psutil.Process) -> None:
    """Kill a process that may be gone by now."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


class App:
    """An application in a directory of its own: configuration, modules, data, processes.

    Coverage watches its processes only if they are `traced`: that doubles what they compute."""

    def __init__(self, root: Path, stack: ExitStack, *, traced: bool = False) -> None:
        self.root = root
        self._stack = stack
        self._traced = traced
        self._started: list[Process] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = root / "config"
        self.data = root / "data"
        self.stored = stored(self.data)
        stack.callback(self.stored.close)
        self.output = root / "output.txt"
        self.program: Process

    # -- the application ------------------------------------------------------------------------------
    def write(
        self,
        modules: Mapping[str, str] | None = None,
        core: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] = MODEL,
        files: Mapping[str, Any] | None = None,
    ) -> None:
        """Write configuration and modules. Keys of `modules` are file names without `.py`, or paths."""
        modules = modules or {}
        names = [name for name in modules if "/" not in name]
        settings = {"modules_dir": "../modules", "enabled_modules": names, "worker_threads": 2}
        (self.root / "modules").mkdir(parents=True, exist_ok=True)
        self._write_yaml("processing_core.yml", {**settings, **(core or {})})
        for etype, content in model.items():
            self._write_yaml(f"db_entities/{etype}.yml", content)
        for name, content in {**self.stored.configuration, **(files or {})}.items():
            self._write_yaml(name, content)
        for name, text in modules.items():
            path = self.root / "modules" / f"{name.removesuffix('.py')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _write_yaml(self, name: str, content: Any) -> None:
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def findings(self, name: str) -> list[str]:
        """The lines that modules noted under a name."""
        file = self.root / name
        return file.read_text().splitlines() if file.exists() else []

    # -- its processes --------------------------------------------------------------------------------
    def start(self, *arguments: str, files: int | None = None) -> Process:
        """Any command of the program; ended when the test ends."""
        process = Process(self.output, *arguments, traced=self._traced, files=files)
        self._started.append(process)
        self._stack.callback(process.clean_up)
        return process

    def run(self, *more: str, port: int | None = None, files: int | None = None) -> Process:
        """`dp3 run`."""
        place = ("--data-dir", str(self.data), "--port", str(port or self.port))
        return self.start("run", str(self.config), *place, *more, files=files)

    def api(self, workers: int) -> Process:
        place = ("--data-dir", str(self.data), "--port", str(self.port))
        return self.start("api", "--config", str(self.config), "--workers", str(workers), *place)

    def worker(self, index: int, workers: int) -> Process:
        more = ("--workers", str(workers), "--data-dir", str(self.data))
        return self.start("worker", "app", str(self.config), str(index), *more)

    def run_ready(self, *more: str, files: int | None = None) -> Process:
        """`dp3 run`, once everything works."""
        program = self.run(*more, files=files)
        self.wait_ready(program)
        return program

    def wait_ready(self, program: Process | None = None) -> None:
        """Until everything works; `program` must be running, or all that were started and not ended."""
        watched = self._started if program is None else [program]

        def ready() -> bool:
            for process in watched:
                assert not process.has_failed, f"ended with {process.wait()}"
            return self.is_ready()

        try:
            wait_for("readiness", ready)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.output.read_text()[-SHOWN_CHARS:]}") from None

    def stop(self, program: Process, number: int = 15) -> None:
        """Stop in order; nothing may be left running."""
        children = program.children()
        assert program.stop(number) == 0, program.output[-SHOWN_CHARS:]
        _, alive = psutil.wait_procs(children, timeout=0)
        assert alive == []

    def child(self, program: Process, kind: str, index: int | None = None) -> psutil.Process:
        """The child that is the API or a worker."""

        def find() -> psutil.Process | None:
            return next((c for c in program.children() if self._is(c, kind, index)), None)

        return wait_for(f"child {kind} {index}", find)

    def _is(self, process: psutil.Process, kind: str, index: int | None) -> bool:
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:
            return False
        place = command.index("dp3") + 1 if "dp3" in command else len(command)
        found = command[place : place + 4]
        return found[:1] == [kind] and (index is None or found[3:] == [str(index)])

    # -- over HTTP ------------------------------------------------------------------------------------
    @property
    def client(self) -> Client:
        return Client(self.url, timeout_s=10, retry=Retry(total_s=LIMIT_S))

    @property
    def http(self) -> RawHttp:
        return RawHttp(self.port)

    def is_ready(self) -> bool:
        return not self.not_ready()

    def not_ready(self) -> str:
        """Why it is not ready; empty when it is."""
        try:
            Client(self.url, timeout_s=5, retry=Retry(total_s=0)).get("/health/ready")
        except ClientError as error:
            return str(error)
        return ""

    def wait_applied(self) -> None:
        """Until everything in the log has been processed."""
        wait_for("end of processing", lambda: not self.client.get("/telemetry/log")["unprocessed_bytes"])

    def wait_idle(self) -> None:
        """Until everything in the log, derived tasks included, has been processed."""
        quiet = 0

        def idle() -> bool:
            nonlocal quiet
            lag = sum(p["lag"] for p in self.client.get("/telemetry/log")["partitions"])
            quiet = quiet + 1 if lag == 0 and self.outbox_empty() else 0
            return quiet >= 2

        try:
            wait_for("end of processing", idle)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.output.read_text()[-SHOWN_CHARS:]}") from None

    def outbox_empty(self) -> bool:
        """Whether all derived tasks are in the log (rows are removed by the worker's next commit)."""
        return not self.query("SELECT 1 FROM outbox LIMIT 1")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the state directly."""
        return self.stored.query(sql)

    def history(self, etype: str, eid: str, attr: str) -> list[tuple[str, Any]]:
        """(t1, value) of all data-points of an attribute, sorted."""
        found = self.client.get(f"/entity/{etype}/{eid}/get/{attr}")["history"]
        return sorted((point["t1"], point["v"]) for point in found)

    def raw(self, etype: str, attr: str) -> list[tuple[str, str, Any]]:
        """(id, t1, value) of all raw data-points of an attribute, sorted."""
        answer = self.client.get(f"/entity/{etype}/raw/get", attr=attr, limit=0)
        assert "truncated" not in answer
        return sorted((point["id"], point["t1"] or "", point["v"]) for point in answer["data"])

    def dead_letters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/deadletters")["data"]
        return found


@contextmanager
def application(root: Path, *, traced: bool = False) -> Iterator[App]:
    """An application; all of its processes end with the block."""
    with ExitStack() as stack:
        yield App(root, stack, traced=traced)


@contextmanager
def running(root: Path, model: Mapping[str, Any], modules: Mapping[str, str] | None = None) -> Iterator[App]:
    """An application of this model whose `program` is ready."""
    with application(root) as app:
        app.write(modules, model=model)
        app.program = app.run_ready()
        yield app
