"""Log files that are moved away while the program writes to them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kit.program import App, application, wait_for

POINT = {"type": "a", "id": "e1", "attr": "p", "v": "x"}
BAD = {**POINT, "attr": "nonsense"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A program that writes all of its log files, in the folder `logs`."""
    root = tmp_path_factory.mktemp("rotated")
    logs = root / "logs"
    logs.mkdir()
    files = {"good_log": str(logs / "good.log"), "bad_log": str(logs / "bad.log")}
    with application(root) as app:
        app.write(files={"api.yml": {"datapoint_logger": files}})
        app.program = app.run_ready("--log-file", str(logs / "dp3.log"))
        yield app


def processes(app: App) -> list[psutil.Process]:
    return [psutil.Process(app.program.pid), *app.program.children()]


def rotate(app: App, suffix: str) -> set[str]:
    """Rename all log files, as `logrotate` does; returns how they were called."""
    files = [path for path in (app.root / "logs").iterdir() if path.suffix == ".log"]
    for path in files:
        path.rename(path.with_name(f"{path.name}.{suffix}"))
    return {path.name for path in files}


def content(app: App, name: str) -> str:
    path = app.root / "logs" / name
    return path.read_text() if path.exists() else ""


def test_the_log_of_all_processes_is_one_file(app: App) -> None:
    words = {line.split(" ", 1)[0] for line in content(app, "dp3.log").splitlines()}
    assert words == {"run", "api", "worker-0"}
    assert app.program.output == ""


def test_a_hang_up_ends_nothing_and_has_all_files_opened_anew(app: App) -> None:
    before = processes(app)
    names = rotate(app, "1")
    assert names == {"dp3.log", "good.log", "bad.log"}
    for process in before:
        process.send_signal(signal.SIGHUP)
    wait_for("new files", lambda: names <= {path.name for path in (app.root / "logs").iterdir()})
    assert app.http.send([POINT])[0] == 200
    assert app.http.send([BAD])[0] == 422
    wait_for("good line", lambda: "'eid': 'e1'" in content(app, "good.log"))
    wait_for("bad line", lambda: "nonsense" in content(app, "bad.log"))
    assert (content(app, "good.log.1"), content(app, "bad.log.1")) == ("", "")
    assert processes(app) == before


def test_without_a_hang_up_lines_find_the_new_file_by_themselves(app: App) -> None:
    rotate(app, "2")

    def found() -> str:
        assert app.http.send([POINT])[0] == 200
        return content(app, "good.log")

    assert "'eid': 'e1'" in wait_for("new file", found)


EARLY = """
import os, signal, subprocess, sys
from dp3.runtime.signals import hang_ups_wait
with hang_ups_wait():
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
raise SystemExit(child.wait())
"""
CHILD = """
import os, signal, threading
os.kill(os.getpid(), signal.SIGHUP)
from dp3.runtime.signals import on_hang_up
came = threading.Event()
on_hang_up(came.set)
raise SystemExit(0 if came.wait(60) else 1)
"""


def test_a_hang_up_at_the_start_of_a_child_waits_until_it_can_answer() -> None:
    assert subprocess.run([sys.executable, "-c", EARLY, CHILD]).returncode == 0


@pytest.mark.parametrize("command", ["run", "worker", "api"])
def test_a_log_file_that_can_not_be_written_is_named(app: App, tmp_path: Path, command: str) -> None:
    words = {"run": [str(app.config)], "worker": ["app", str(app.config), "0"], "api": []}[command]
    path = tmp_path / "missing" / "dp3.log"
    done = subprocess.run(
        [sys.executable, "-m", "dp3", command, *words, "--log-file", str(path)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (2, f"--log-file: {path}: No such file or directory\n")
