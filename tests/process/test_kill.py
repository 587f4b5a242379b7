"""Nothing accepted is lost and nothing takes effect twice, whatever dies."""

import shutil
import signal

import psutil
import pytest

from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once, choose, moment, point, state_of
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


@pytest.mark.files
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


class Paused:
    """A worker that stands still since its lease was over, and another one that has taken over and worked."""

    def __init__(self, app: App, sender: Sender) -> None:
        self._app = app
        self._api = app.api(1)
        self.first = app.worker(0, 1)
        app.wait_ready()
        wait_for("data", lambda: len(sender.accepted) > 100)
        wait_for("a pause between writes", self._pause)
        self.lease = app.query("SELECT * FROM lease")[0]
        app.stored.change("UPDATE lease SET heartbeat = 0")
        before = self._reached()
        self.other = app.worker(0, 1)
        wait_for("progress of another", lambda: self._reached() > before)

    def _pause(self) -> bool:
        """Stop the first worker; not if it has a lock, which nobody else would get then."""
        self.first.send_signal(signal.SIGSTOP)
        process = psutil.Process(self.first.pid)
        wait_for("a stop", lambda: process.status() == psutil.STATUS_STOPPED)
        if not self._app.stored.is_written():
            return True
        self.first.send_signal(signal.SIGCONT)
        return False

    def _reached(self) -> int:
        return int(self._app.query('SELECT sum("offset") FROM position')[0][0])

    def stop(self, worker: Process) -> None:
        assert [process.stop() for process in (worker, self._api)] == [0, 0]


def test_a_worker_that_wakes_after_another_has_taken_over_changes_nothing_and_ends(app):
    app.write({"deriving": DERIVING_MODULE})
    with Sender(app) as sender:
        paused = Paused(app, sender)
        paused.first.send_signal(signal.SIGCONT)
        assert paused.first.wait() in (0, 1), "who notices first, the heart or a commit"
    app.wait_idle()
    assert "another process has taken over" in paused.first.output
    assert_each_exactly_once(app, sender.accepted)
    paused.stop(paused.other)


def test_a_worker_that_wakes_behind_the_positions_applies_nothing_twice_whatever_leases_say(app):
    app.write({"deriving": DERIVING_MODULE})
    with Sender(app) as sender:
        paused = Paused(app, sender)
        assert paused.other.stop() == 0
        app.stored.change(f"INSERT INTO lease VALUES ({', '.join('?' * len(paused.lease))})", *paused.lease)
        paused.first.send_signal(signal.SIGCONT)
        already = len(sender.accepted)
        wait_for("more data", lambda: len(sender.accepted) > already + 100)
    app.wait_idle()
    assert "the batch starts from" in paused.first.output
    assert_each_exactly_once(app, sender.accepted)
    paused.stop(paused.first)


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
