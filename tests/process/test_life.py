"""Starting, refusing to start, and stopping."""

import signal
import socket
from collections.abc import Iterator

import psutil
import pytest

from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once
from kit.program import HEADER, LIMIT_S, App, application, wait_for

MODULE = """
class Module(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        {action}
"""


def module(action: str) -> str:
    return HEADER + MODULE.format(action=action)


def test_a_stop_by_either_signal_under_load_loses_nothing(app):
    app.write({"deriving": DERIVING_MODULE}, core={"worker_processes": 2})
    program = app.run_ready()
    with Sender(app) as sender:
        for number in (signal.SIGTERM, signal.SIGINT):
            wanted = len(sender.accepted) + 100
            wait_for("data", lambda wanted=wanted: len(sender.accepted) > wanted)
            app.stop(program, number)
            program = app.run_ready()
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    app.stop(program)


SLOW_STOP = (
    HEADER
    + """
from pathlib import Path

class Slow(BaseModule):
    def stop(self):
        while not Path(__file__).with_name("stop").exists():
            time.sleep(0.01)
"""
)


@pytest.mark.traced
def test_children_of_a_killed_program_stop_and_the_next_program_waits_for_them(app):
    app.write({"slow": SLOW_STOP})
    killed = app.run_ready()
    children, old = killed.children(), app.child(killed, "worker")
    killed.kill()
    program = app.run()
    wait_for("waiting", lambda: "waiting for its end" in program.output)
    assert old.is_running()
    (app.root / "modules" / "stop").touch()
    _, alive = psutil.wait_procs(children, timeout=LIMIT_S)
    assert (len(children), alive) == (2, [])
    app.wait_ready(program)
    app.stop(program)


def refused(app: App, *arguments: str) -> str:
    """What a command that must end with status 2 wrote."""
    before = len(app.output.read_text()) if app.output.exists() else 0
    process = app.start(*arguments)
    assert process.wait() == 2, process.output
    return process.output[before:]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A program that runs while others are refused."""
    with application(tmp_path_factory.mktemp("running")) as app:
        app.write()
        app.program = app.run_ready()
        yield app


def test_a_second_program_with_the_same_data_is_refused(running):
    place = ("--data-dir", str(running.data), "--port", "0")
    assert "another `dp3 run` works with" in refused(running, "run", str(running.config), *place)


def test_a_second_worker_with_the_same_index_is_refused_and_told_who_holds_it(running):
    holder = running.child(running.program, "worker")
    command = ("worker", "app", str(running.config), "0", "--data-dir", str(running.data))
    assert f"process {holder.pid}" in refused(running, *command)


def test_a_worker_with_another_number_of_worker_processes_is_refused(running):
    more = ("--workers", "3", "--data-dir", str(running.data))
    message = refused(running, "worker", "app", str(running.config), "1", *more)
    assert "worker 0 of 1 is run by" in message
    assert "stop all workers before starting worker 1 of 3" in message


@pytest.mark.traced
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import surely_missing", ["bad.py:1", "surely_missing"]),
        ("def broken(:", ["bad.py", "line 1"]),
        (module("raise OSError('no such device')"), ["bad.py:", "no such device"]),
        (module("registrar.register_on_new_attr_hook(print, 'a', 'oo')"), ["'bad'", "a/oo"]),
    ],
    ids=["import", "syntax", "constructor", "registration"],
)
def test_a_module_that_can_not_be_used_is_named_with_the_reason(app, text, expected):
    app.write({"bad": text})
    message = refused(app, "worker", "app", str(app.config), "0", "--data-dir", str(app.data))
    for part in expected:
        assert part in message, message


@pytest.mark.traced
def test_the_check_finds_what_would_end_the_program(app):
    app.write({"bad": "import surely_missing"})
    checked = app.start("check", str(app.config))
    assert checked.wait() == 1
    assert "surely_missing" in checked.output


@pytest.mark.traced
def test_a_port_that_is_taken_ends_the_program(app):
    app.write()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(app, "run", str(app.config), "--data-dir", str(app.data), "--port", str(port))
    assert str(port) in message
    assert "in use" in message
