"""Hooks that kill or stop their process cost only the data-point that makes them do so."""

from collections.abc import Callable

from kit.program import HEADER, App, Process, wait_for

DEADLY = (
    HEADER
    + """
class Deadly(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.on_new, "a", "p")

    def on_new(self, eid, dp):
        if dp.v == "exit":
            os._exit(3)
        if dp.v == "kill":
            os.kill(os.getpid(), 9)
"""
)

HANGING = (
    HEADER
    + """
class Hanging(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.waits_for_ever, "a", "p")

    def waits_for_ever(self, eid, dp):
        if dp.v == "hang":
            threading.Event().wait()
"""
)


def value(number: int, v: str) -> dict[str, str]:
    return {"type": "a", "id": f"e{number}", "attr": "p", "v": v}


def current(app: App, number: int) -> object:
    return app.client.get(f"/entity/a/e{number}/get/p")["current_value"]


def test_a_log_entry_that_kills_its_worker_again_and_again_becomes_a_dead_letter(app):
    app.write({"deadly": DEADLY})
    api = app.api(1)
    for number, v in enumerate(("good", "kill", "good")):
        app.client.send([value(number, v)])
    worker, _ = survivor(app, lambda: current(app, 2))
    assert [current(app, number) for number in range(3)] == ["good", None, "good"]
    (letter,) = app.dead_letters()
    assert (letter["kind"], letter["etype"], letter["eid"]) == ("entry", "a", "e1")
    app.wait_ready(worker)
    assert_shown_and_dropped(app, letter["id"])
    for process in (worker, api):
        app.stop(process)


def survivor(app: App, done: Callable[[], object]) -> tuple[Process, int]:
    """Start a worker again and again until one has done it; that worker, and how many have died."""
    deaths = 0
    while True:
        worker = app.worker(0, 1)
        wait_for("death or end", lambda worker=worker: not worker.running or done())
        if worker.running:
            return worker, deaths
        deaths += 1


def assert_shown_and_dropped(app: App, letter: int) -> None:
    assert "e1" in command(app, "list")
    assert "ended the worker process repeatedly" in command(app, "show", str(letter))
    assert f"{letter}: done" in command(app, "drop", str(letter))
    assert "No dead letters." in command(app, "list")


def command(app: App, *arguments: str) -> str:
    """What `dp3 deadletters …` prints."""
    before = len(app.output.read_text())
    process = app.start("deadletters", *arguments, "--url", app.url)
    assert process.wait() == 0, process.output
    return process.output[before:]


def test_a_hook_that_ends_its_process_is_found_among_the_other_entries_of_its_batch(app):
    app.write({"deadly": DEADLY})
    api = app.api(1)
    client = app.client
    for number in range(20):
        client.send([value(number, "exit" if number == 11 else "good")])
    _, deaths = survivor(app, lambda: current(app, 19))
    assert deaths == 3
    assert [current(app, n) for n in range(20)] == [None if n == 11 else "good" for n in range(20)]
    assert [letter["eid"] for letter in app.dead_letters()] == ["e11"]
    app.stop(api)


def test_a_hook_that_hangs_makes_the_program_not_ready_and_its_worker_is_restarted(app):
    app.write({"hanging": HANGING}, core={"hook_timeout": "1s", "hook_hang": "2s"})
    program = app.run_ready()
    worker = app.child(program, "worker")
    app.client.send([value(1, "hang")])
    reason = wait_for("the hook's name", lambda: named(app.not_ready()))
    assert "hanging" in reason
    assert "a/e1" in reason
    wait_for("end of the worker", lambda: not worker.is_running())
    assert app.child(program, "worker").pid != worker.pid


def named(reason: str) -> str:
    """The reason, if it names the hook."""
    return reason if "waits_for_ever" in reason else ""


STARTS_WHEN_THE_DOOR_IS_OPEN = (
    HEADER
    + """
class Visitor(BaseModule):
    def start(self):
        if not os.path.exists(os.environ["DP3_DOOR"]):
            raise RuntimeError("the door is closed")
"""
)

STOPS_BADLY = (
    HEADER
    + """
class Bad(BaseModule):
    def stop(self):
        raise RuntimeError("will not stop")
"""
)


def test_a_module_that_can_not_be_started_is_named_and_tried_again(app, tmp_path, monkeypatch):
    door = tmp_path / "door"
    monkeypatch.setenv("DP3_DOOR", str(door))
    app.write({"visitor": STARTS_WHEN_THE_DOOR_IS_OPEN})
    program = app.run()
    output = wait_for("the failure", lambda: program.output if "starting it again" in program.output else "")
    assert "RuntimeError: the door is closed\n  start() of module visitor failed" in output
    door.touch()
    app.wait_ready(program)
    app.stop(program)


def test_a_module_that_can_not_be_stopped_does_not_keep_the_worker(app):
    app.write({"bad": STOPS_BADLY})
    program = app.run_ready()
    worker = app.child(program, "worker")
    program.send_signal(15)
    program.wait()
    assert not worker.is_running()
    assert "stop() of module bad failed" in program.output
