"""Modules that start threads and processes while they are loaded; modules that want to end the program."""

import psutil
import pytest

from kit.program import FINDINGS, HEADER, App, wait_for

CONSTRUCTED = (
    HEADER
    + """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import Pool, Process

def poll():
    while True:
        time.sleep(0.05)

class Poller(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        {action}
"""
)

LEFT_RUNNING = {
    "thread": "threading.Thread(target=poll, name='polling').start()",
    "pool of threads": "self.pool = ThreadPoolExecutor(1, 'polling'); self.pool.submit(poll)",
    "idle pool of threads": "self.pool = ThreadPoolExecutor(1, 'polling'); self.pool.submit(print)",
    "process": "Process(target=poll, name='polling').start()",
    "pool of processes": "self.pool = Pool(1); self.pool.apply_async(poll)",
    "executor of processes": "self.pool = ProcessPoolExecutor(1); self.pool.submit(poll)",
}

AT_IMPORT = "import threading, time\n" + CONSTRUCTED.format(action="pass").replace(
    "class", "threading.Thread(target=poll, name='polling').start()\n\nclass"
)


def poller(action: str) -> str:
    return CONSTRUCTED.format(action=action)


@pytest.mark.parametrize("what", LEFT_RUNNING)
def test_the_check_names_the_module_that_leaves_something_running_and_ends(app: App, what: str) -> None:
    app.write({"quiet": poller("pass"), "poller": poller(LEFT_RUNNING[what])})
    checked = app.start("check", str(app.config))
    assert checked.wait() == 0
    (note,) = [line for line in checked.output.splitlines() if line.startswith("note: ")]
    assert note.startswith("note: module 'poller' was loaded and left running: ")
    assert "start()" in note
    assert [p for p in psutil.process_iter(["cmdline"]) if str(app.config) in (p.info["cmdline"] or ())] == []


def test_the_check_names_threads_that_were_started_at_import(app: App) -> None:
    app.write({"poller": AT_IMPORT})
    checked = app.start("check", str(app.config))
    assert checked.wait() == 0
    assert "note: module 'poller' was loaded and left running: thread polling;" in checked.output


def test_daemon_threads_are_not_noted(app: App) -> None:
    app.write({"poller": poller("threading.Thread(target=poll, daemon=True).start()")})
    checked = app.start("check", str(app.config))
    assert (checked.wait(), checked.output) == (0, "")


def test_mistakes_of_other_modules_are_told_though_threads_run(app: App) -> None:
    app.write({"poller": poller(LEFT_RUNNING["thread"]), "bad": poller("raise OSError('no such device')")})
    checked = app.start("check", str(app.config))
    assert checked.wait() == 1
    assert "no such device" in checked.output and "module 'poller'" in checked.output


def test_a_worker_ends_with_the_status_of_a_mistake_though_threads_run(app: App) -> None:
    app.write({"poller": poller(LEFT_RUNNING["thread"]), "bad": poller("raise OSError('no such device')")})
    worker = app.worker(0, 1)
    assert worker.wait() == 2
    assert "no such device" in worker.output


STARTS = (
    HEADER
    + """
from findings import found

class Starting(BaseModule):
    def start(self):
        found("starts", "once more")
        if os.path.exists(os.environ["FINDINGS"] + "/open"):
            return
        threading.Thread(target=lambda: time.sleep(3600)).start()
        raise SystemExit({status})
"""
)


@pytest.mark.parametrize("status", [0, 2])
def test_a_module_that_exits_when_it_is_started_is_named_and_tried_again(
    app: App, monkeypatch: pytest.MonkeyPatch, status: object
) -> None:
    monkeypatch.setenv("FINDINGS", str(app.root))
    app.write({"starting": STARTS.format(status=status), "./findings": FINDINGS})
    program = app.run()
    wait_for("the second start", lambda: len(app.findings("starts")) >= 2)
    assert "start() of module starting failed: SystemExit" in program.output
    assert "ended with status 1; starting it again" in program.output
    (app.root / "open").touch()
    app.wait_ready(program)
    app.stop(program)


@pytest.mark.parametrize("place", ["import", "constructor"])
def test_a_module_that_exits_when_it_is_loaded_is_a_mistake_that_names_it(app: App, place: str) -> None:
    code = "import sys\nsys.exit(0)" if place == "import" else poller("raise SystemExit(0)")
    app.write({"leaving": code})
    for command, status in (("check", 1), ("run", 2)):
        ended = app.run() if command == "run" else app.start("check", str(app.config))
        assert ended.wait() == status
        assert "odule 'leaving'" in ended.output and "SystemExit: 0" in ended.output


STOPS = (
    HEADER
    + """
from findings import found

class Stopping(BaseModule):
    def load_config(self, config, module_config):
        if module_config.get("leave"):
            raise SystemExit("leaving")

    def stop(self):
        found("stopped", {name!r})
        raise SystemExit(0)
"""
)


def test_a_module_that_exits_when_it_is_stopped_does_not_keep_others_from_being_stopped(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINDINGS", str(app.root))
    app.write({"one": STOPS.format(name="one"), "two": STOPS.format(name="two"), "./findings": FINDINGS})
    program = app.run_ready()
    program.send_signal(15)
    program.wait()
    assert app.findings("stopped") == ["two", "one"]
    for name in ("one", "two"):
        assert f"stop() of module {name} failed" in program.output


def test_a_module_that_exits_when_it_gets_its_configuration_again_is_told_and_goes_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINDINGS", str(app.root))
    app.write({"one": STOPS.format(name="one"), "./findings": FINDINGS})
    program = app.run_ready()
    worker = app.child(program, "worker")
    app.write(
        {"one": STOPS.format(name="one"), "./findings": FINDINGS}, files={"modules/one.yml": {"leave": True}}
    )
    sent = app.client.request("POST", "/control/refresh_module_config", query={"module": "one"})
    path = f"/control/results/{sent['id']}"
    answer = wait_for("results", lambda: (found := app.client.get(path))["done"] and found)
    assert "load_config() of module 'one' failed: SystemExit: leaving" in str(answer["results"])
    assert worker.is_running()
