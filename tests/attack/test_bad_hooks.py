"""Hooks that do what hooks should not: the worker goes on, and what they were called for is stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kit.program import App, running, wait_for
from kit.specs import a_type, plain_attr

MODULE = """
import asyncio, http.client, json, multiprocessing, os, signal, subprocess, sys, threading
from dp3.common.base_module import BaseModule
from dp3.common.task import DataPointTask


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unbearable(BaseException):
    pass


class Unpresentable:
    def __iter__(self):
        raise Unbearable

    def __repr__(self):
        raise RuntimeError("no text")


def endless():
    while True:
        yield 1


def recurse():
    recurse()


RAISES = {"value": ValueError("\\ud800"), "unbearable": Unbearable(), "cancel": asyncio.CancelledError(),
          "interrupt": KeyboardInterrupt(), "generator exit": GeneratorExit(), "rude": Rude(),
          "memory": MemoryError()}
RETURNS = {"number": 5, "text": "abc", "rubbish": [1, None, Unpresentable()],
           "unpresentable": Unpresentable()}
SPOILS = {
    "eid": lambda task: setattr(task, "eid", 10**30),
    "etype": lambda task: setattr(task, "etype", ["a"]),
    "value": lambda task: setattr(task.data_points[0], "v", "\\ud800"),
    "source": lambda task: setattr(task.data_points[0], "src", "\\ud800"),
    "typed source": lambda task: setattr(task.data_points[0], "src", 5),
    "points": lambda task: setattr(task, "data_points", [1]),
    "token": lambda task: setattr(task, "ttl_tokens", {"\\ud800": 5}),
    "typed token": lambda task: setattr(task, "ttl_tokens", {5: "x"}),
    "tag": lambda task: setattr(task, "tags", [object()]),
    "large tag": lambda task: setattr(task, "tags", [10**30]),
}
MUTATES = {
    "etype": lambda task: setattr(task, "etype", ["x"]),
    "other etype": lambda task: setattr(task, "etype", "nope"),
    "eid": lambda task: setattr(task, "eid", Unpresentable()),
    "points": lambda task: setattr(task, "data_points", None),
    "clear": lambda task: task.data_points.clear(),
    "delete": lambda task: setattr(task, "delete", True),
}


def call_api(eid):
    connection = http.client.HTTPConnection("127.0.0.1", int(eid), timeout=10)
    points = [{"type": "a", "id": "by-api", "attr": "p", "v": "from a hook"}]
    connection.request("POST", "/datapoints", json.dumps(points))
    assert connection.getresponse().status == 200


ACTS = {
    "exit": lambda eid: sys.exit(3),
    "recursion": lambda eid: recurse(),
    "fork": lambda eid: os.fork() and None,
    "fork and raise": lambda eid: 1 / 0 if os.fork() == 0 else None,
    "fork and exit": lambda eid: None if os.fork() else os._exit(0),
    "process": lambda eid: multiprocessing.get_context("fork").Process(target=int).start(),
    "program": lambda eid: subprocess.run(["true"]).args and None,
    "directory": lambda eid: os.chdir("/"),
    "environment": lambda eid: os.environ.clear(),
    "umask": lambda eid: os.umask(0o777) and None,
    "signal": lambda eid: signal.signal(signal.SIGUSR1, signal.SIG_IGN).real * 0 or None,
    "print": lambda eid: print("x" * 100_000),
    "thread": lambda eid: threading.Thread(target=print, args=("in a thread",)).start(),
    "endless": lambda eid: endless(),
    "recursion limit": lambda eid: sys.setrecursionlimit(200),
    "stdout": lambda eid: sys.stdout.close(),
}


class Bad(BaseModule):
    def __init__(self, platform, module, registrar):
        self.model = platform.model_spec
        registrar.register_task_hook("on_task_start", self.mutate)
        registrar.register_on_new_attr_hook(self.act, "a", "do")

    def task(self, eid, attr="p", v="1"):
        point = {"etype": "a", "eid": eid, "attr": attr, "v": v}
        return DataPointTask(etype="a", eid=eid, data_points=[point], model_spec=self.model)

    def mutate(self, task):
        points = task.data_points
        kind, _, what = points[0].v.partition(":") if points else ("", "", "")
        if kind == "mutate":
            MUTATES[what](task)

    def act(self, eid, point):
        kind, _, what = point.v.partition(":")
        if kind == "raise":
            raise RAISES[what]
        if kind == "return":
            return RETURNS[what]
        if kind == "spoil":
            task = self.task("derived")
            SPOILS[what](task)
            return [task]
        if kind == "act":
            return ACTS[what](eid)
        if kind == "mutate":
            return None
        if what == "fork":
            return [self.task(eid, "p", str(os.fork()))]
        if what == "api":
            return call_api(eid)
        if what == "many":
            return [self.task("derived")] * 20_000
        if what == "loop":
            return [self.task(eid, "do", point.v)]
        if what == "delete":
            return [DataPointTask(etype="a", eid=eid, delete=True, model_spec=self.model)]
"""

TYPES = {"a": a_type("a", {"do": plain_attr("string"), "p": plain_attr("string")})}
SPOILT = ("eid", "etype", "value", "source", "typed source", "points", "token", "typed token")
FAILING = (
    *(f"raise:{what}" for what in ("value", "unbearable", "cancel", "interrupt", "generator exit", "rude")),
    *(f"return:{what}" for what in ("number", "text", "rubbish", "unpresentable")),
    *(f"spoil:{what}" for what in (*SPOILT, "tag", "large tag")),
    *(f"act:{what}" for what in ("exit", "recursion", "endless")),
    "raise:memory",
    ":many",
)
HARMLESS = (
    *(f"mutate:{what}" for what in ("etype", "other etype", "eid", "points", "clear", "delete")),
    *(f"act:{what}" for what in ("fork", "fork and raise", "fork and exit", "process", "program")),
    *(f"act:{what}" for what in ("directory", "environment", "umask", "signal", "print", "thread")),
    "act:recursion limit",
    "act:stdout",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    directory: Path = tmp_path_factory.mktemp("hooks")
    with running(directory, TYPES, {"bad": MODULE}) as app:
        yield app


def do(app: App, what: str, eid: str = "") -> Any:
    """Have the hook do something for an entity of its own; returns the entity's master record."""
    eid = eid or what.replace(" ", "-").replace(":", "-") or "x"
    worker = app.child(app.program, "worker").pid
    status, answer = app.http.send([{"type": "a", "id": eid, "attr": "do", "v": what}], wait=True)
    assert (status, answer) == (200, {"detail": "OK", "applied": True}), app.program.output[-4000:]
    app.wait_applied()
    assert app.child(app.program, "worker").pid == worker, app.program.output[-4000:]
    return app.http.get(f"/v2/entity/a/master?eid={eid}")


def letters(app: App) -> int:
    total: int = app.http.get("/deadletters?limit=1")["total"]
    return total


@pytest.mark.parametrize("what", FAILING)
def test_a_failing_hook_is_a_dead_letter_and_its_data_point_is_kept(app: App, what: str) -> None:
    before = letters(app)
    assert do(app, what)["do"]["v"] == what
    assert letters(app) == before + 1


@pytest.mark.parametrize("what", HARMLESS)
def test_what_a_hook_changes_around_it_does_not_disturb_the_worker(app: App, what: str) -> None:
    before = letters(app)
    assert do(app, what)["do"]["v"] == what
    assert letters(app) == before


def test_a_forked_hook_leaves_no_second_worker(app: App) -> None:
    do(app, ":fork", "forked")
    told = wait_for("sign of the fork", lambda: app.http.get("/entity/a/forked/master").get("p"))
    forked = int(told["v"])
    assert forked > 0, "told by the worker itself"
    wait_for("end of the fork", lambda: is_over(forked))


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_hook_that_triggers_itself_ends_as_a_dead_letter(app: App) -> None:
    before = letters(app)
    do(app, ":loop", "loop")
    wait_for("dead letter", lambda: letters(app) == before + 1)


def test_a_hook_may_delete_its_own_entity(app: App) -> None:
    do(app, ":delete", "gone")
    wait_for("deletion", lambda: app.http.get("/entity/a/gone/master") == {})


def test_a_hook_may_call_the_api(app: App) -> None:
    do(app, ":api", str(app.port))
    assert app.http.get("/entity/a/by-api/master")["p"]["v"] == "from a hook"


def test_after_all_that_the_program_stops_in_order(app: App) -> None:
    assert app.program.stop() == 0
