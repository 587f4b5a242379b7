"""Nothing accepted is lost and nothing takes effect twice, whatever dies."""

import shutil

from load import DERIVING_MODULE, Sender, assert_each_exactly_once, choose, moment, point, state_of

from dp3.sqlite import connect
from kit.program import App, Process, wait_for

KILLS = 20


class Parts:
    """The API and two workers without a supervisor, so that they are started again at once."""

    def __init__(self, app: App, workers: int = 2) -> None:
        self._starts = [lambda: app.api(workers)]
        self._starts += [lambda index=index: app.worker(index, workers) for index in range(workers)]
        self._processes: list[Process] = [start() for start in self._starts]

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number] = self._starts[number]()

    def stop(self) -> None:
        """Stop all in order."""
        for process in self._processes:
            process.send_signal(15)
        assert [process.wait() for process in self._processes] == [0] * len(self._processes)


def test_after_20_kills_under_load_every_accepted_datapoint_and_its_effects_are_there_once(app):
    app.write({"deriving": DERIVING_MODULE})
    parts, chance = Parts(app), choose(1)
    app.wait_ready()
    with Sender(app) as sender:
        for kill in range(KILLS):
            if kill % 2:
                app.wait_ready()
            wanted = len(sender.accepted) + chance.randint(1, 100)
            wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
            parts.kill(chance.randrange(3))
    app.wait_ready()
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    parts.stop()


def test_a_state_that_fell_back_to_an_older_moment_catches_up_from_the_log(app):
    app.write({"deriving": DERIVING_MODULE}, core={"worker_processes": 2})
    app.stop(app.run_ready())
    shutil.copytree(app.data / "state", app.root / "older")
    program = app.run_ready()
    with Sender(app) as sender:
        wait_for("data", lambda: len(sender.accepted) > 300)
    app.wait_idle()
    before = state_of(app)
    app.stop(program)

    shutil.rmtree(app.data / "state")
    (app.root / "older").rename(app.data / "state")
    program = app.run_ready()
    app.wait_idle()
    assert state_of(app) == before
    assert_each_exactly_once(app, sender.accepted)
    app.stop(program)


def test_reading_the_log_again_from_an_older_position_changes_nothing(app):
    app.write({"deriving": DERIVING_MODULE}, core={"worker_processes": 2})
    program = app.run_ready()
    with Sender(app) as sender:
        wait_for("data", lambda: len(sender.accepted) > 300)
    app.wait_idle()
    before = state_of(app)
    app.stop(program)

    chance = choose(2)
    state = connect(app.data / "state" / "state.db", create=False)
    for lane, partition, offset in list(state.execute("SELECT lane, partition, offset FROM position")):
        state.execute(
            "UPDATE position SET offset = ? WHERE lane = ? AND partition = ?",
            (chance.randint(0, offset), lane, partition),
        )
    state.close()
    program = app.run_ready()
    app.wait_idle()
    assert state_of(app) == before
    assert_each_exactly_once(app, sender.accepted)
    app.stop(program)


def test_a_request_repeated_under_its_key_after_a_restart_of_the_api_adds_nothing(app):
    app.write({"deriving": DERIVING_MODULE})
    program = app.run_ready()
    numbers = [1, 2, 3]
    app.client.send([point(n) for n in numbers], idempotency_key="k1")
    app.child(program, "api").kill()
    app.client.send([point(n) for n in numbers], idempotency_key="k1")
    app.wait_ready(program)
    app.wait_idle()
    assert_each_exactly_once(app, numbers)
    app.stop(program)


def test_another_number_of_workers_takes_over_the_same_data(app):
    app.write({"deriving": DERIVING_MODULE})
    accepted: list[int] = []
    for workers in (3, 1):
        program = app.run_ready("--workers", str(workers))
        numbers = list(range(len(accepted), len(accepted) + 100))
        app.client.send([point(number) for number in numbers])
        accepted += numbers
        app.stop(program)
    program = app.run_ready("--workers", "2")
    app.wait_idle()
    assert_each_exactly_once(app, accepted)
    assert app.history("a", "s7", "o")[0] == (moment(7), 7)
    app.stop(program)
