"""Bytes that the disk has changed: each answer is right or an error that names the file, never another."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Lane, LogIncomplete
from dp3.log.sqlite import open_log, verify_log
from dp3.sqlite import FormatError, verify_file
from dp3.store.sqlite import open_state
from kit.flips import flip, place_of
from kit.program import LIMIT_S, App, application, running
from kit.rows import a_batch, a_letter, entity_row, history_row, plain_row, progress, take_lease
from kit.specs import a_type, observed_attr, plain_attr

FLIPS = 200
ENTITIES = 400

Answers = dict[str, Any]


def eid(number: int) -> str:
    return f"entity-{number:05d}"


# -- the state ---------------------------------------------------------------------------------------------
def make_state(directory: Path) -> None:
    store = open_state(directory, FakeClock())
    lease = take_lease(store)
    entities = [entity_row(store, eid(n), n) for n in range(1, ENTITIES)]
    plain = [plain_row(store, n, "name", f"name-{n:05d}-" + "n" * 40) for n in range(1, ENTITIES)]
    history = [
        history_row(store, n, "load", f"load-{n:05d}-{i}" * 9, i, number=n)
        for n in range(1, ENTITIES)
        for i in (1, 2)
    ]
    letters = [a_letter(time=n, reason=f"reason {n}") for n in range(1, 50)]
    start = progress(store, lease, 7)
    store.batches.commit(
        lease, a_batch(history, created=entities, plain=plain, dead_letters=letters, progress=start)
    )
    store.leases.release(lease)
    store.close()


def state_answers(directory: Path) -> Answers:
    """Everything that a state tells, each answer for itself; refused ones are left out."""
    try:
        store = open_state(directory, FakeClock())
    except FormatError as error:
        assert "state.db" in str(error)
        return {}
    try:
        questions: dict[str, Callable[[], Any]] = {
            eid(n): (lambda n=n: store.entities.profile("device", eid(n))) for n in range(ENTITIES)
        }
        questions["positions"] = store.batches.positions
        questions["dead letters"] = lambda: store.dead_letters.page(0, 100)
        return dict(answered(questions, "state.db"))
    finally:
        store.close()


def answered(questions: dict[str, Callable[[], Any]], file: str) -> Iterator[tuple[str, Any]]:
    for name, question in questions.items():
        try:
            yield name, question()
        except FormatError as error:
            assert file in str(error)


# -- the log -----------------------------------------------------------------------------------------------
def make_log(directory: Path) -> None:
    log = open_log(directory, FakeClock())
    for n in range(ENTITIES):
        log.append([Append([{n % 3: f"entry-{n:05d}-".encode() * 20}])])
    log.close()


def log_answers(directory: Path) -> Answers:
    try:
        log = open_log(directory, FakeClock())
    except (FormatError, LogIncomplete) as error:
        assert "log/main" in str(error)
        return {}
    try:
        questions: dict[str, Callable[[], Any]] = {
            str(n): (lambda n=n: log.read(Lane.MAIN, n, 1)[0]) for n in range(0, ENTITIES, 5)
        }
        questions["head"] = lambda: log.head(Lane.MAIN)
        answers = dict(answered(questions, ".seg"))
        return {name: answer for name, answer in answers.items() if not getattr(answer, "damage", "")}
    finally:
        log.close()


KINDS = {
    "state": (make_state, state_answers, "state.db"),
    "log": (make_log, log_answers, "log/main/*.seg"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_gives_an_error_or_the_right_answer(tmp_path: Path, kind: str) -> None:
    make, ask, files = KINDS[kind]
    original, copy = tmp_path / "original", tmp_path / "copy"
    make(original)
    right = ask(original)
    chance = random.Random(41)
    refused = 0
    for _ in range(FLIPS):
        shutil.copytree(original, copy)
        (path,) = copy.glob(files)
        at = chance.randrange(path.stat().st_size)
        flip(path, at, mask=1 << chance.randrange(8))
        assert kind == "log" or verify_file(path) != [], at
        answers = ask(copy)
        for name, answer in answers.items():
            assert answer == right[name], (at, name)
        is_refused = len(answers) < len(right)
        assert not is_refused or kind == "state" or list(verify_log(copy)) != [], at
        refused += is_refused
        shutil.rmtree(copy)
    assert refused > FLIPS / 10


# -- the program -------------------------------------------------------------------------------------------
MODEL = {"a": a_type("a", {"o": observed_attr("string"), "p": plain_attr("string")})}
DAMAGED = "state.db: the file is damaged (the checksum of a page is wrong)"


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[App]:
    """An application with data of many entities; nothing runs."""
    with running(tmp_path, MODEL) as app:
        points = [
            {"type": "a", "id": eid(n), "attr": "p", "v": f"plain-{n:05d}-" + "p" * 50} for n in range(2_000)
        ]
        assert app.http.send(points, wait=True)[0] == 200
        assert app.program.stop() == 0
        yield app


def test_an_entity_on_a_damaged_page_is_refused_by_name_and_others_are_answered(stopped: App) -> None:
    state = stopped.data / "state" / "state.db"
    flip(state, place_of(state, b"plain-01000"))
    with application(stopped.root) as app:
        program = app.run_ready()
        status, body = app.http.request("GET", f"/entity/a/{eid(1_000)}/get/p")
        assert (status, DAMAGED in body["detail"], "restore it" in body["detail"]) == (500, True, True)
        assert app.http.request("GET", f"/entity/a/{eid(1_000)}/master")[0] == 500
        assert app.http.get(f"/entity/a/{eid(10)}/get/p")["current_value"].startswith("plain-00010")
        assert "Traceback" not in program.output
        assert program.stop() == 0


def test_a_damaged_note_of_a_key_is_refused_as_a_repeat_might_be_stored_twice(stopped: App) -> None:
    def send(number: int) -> tuple[int, Any]:
        point = {"type": "a", "id": eid(number), "attr": "o", "v": "x", "t1": 1}
        headers = {"Idempotency-Key": f"key-{number:05d}-" + "k" * 150}
        return app.http.request("POST", "/datapoints", json.dumps([point]).encode(), headers)

    with application(stopped.root) as app:
        program = app.run_ready()
        assert {send(n)[0] for n in range(300)} == {200}
        assert program.stop() == 0
        (segment,) = (app.data / "log" / "main").glob("*.seg")
        flip(segment, place_of(segment, b"key-00100"))
        program = app.run()
        assert program.wait(LIMIT_S) == 2
        assert "1 notes of what was appended before are damaged" in program.output
        program = app.run_ready("--accept-loss")
        assert send(250)[0] == 200
        assert program.output.count("Traceback") == 0
        assert program.stop() == 0


def test_a_worker_that_comes_upon_a_damaged_page_names_the_file_and_ends(stopped: App) -> None:
    state = stopped.data / "state" / "state.db"
    flip(state, place_of(state, b"plain-01000"))
    with application(stopped.root) as app:
        program = app.run_ready()
        point = {"type": "a", "id": eid(1_000), "attr": "p", "v": "new"}
        assert app.http.send([point])[0] == 200
        assert program.wait(LIMIT_S) == 2
        assert DAMAGED in program.output
        assert "Traceback" not in program.output
        assert "starting it again" not in program.output
        assert "waiting" not in program.output
