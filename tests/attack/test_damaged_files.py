"""Files that are damaged or missing: the program says which and ends, and does not start again and again."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.program import App, application, running
from kit.specs import a_type, observed_attr

TYPES = {"a": a_type("a", {"o": observed_attr("int")})}


def state(data: Path) -> Path:
    return data / "state" / "state.db"


def segment(data: Path) -> Path:
    return next((data / "log" / "main").glob("*.seg"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "state cut": (lambda data: os.truncate(state(data), 5_000), "state.db: the file is damaged"),
    "state replaced": (lambda data: state(data).write_bytes(b"x" * 9_999), "state.db: not a SQLite database"),
    "log cut": (lambda data: os.truncate(segment(data), 9_000), ".seg: the file is damaged"),
    "log replaced": (lambda data: segment(data).write_bytes(b"x" * 9_999), ".seg: not a SQLite database"),
    "log emptied": (lambda data: os.truncate(segment(data), 0), "entries 1 to 5 are missing (the file is em"),
    "log removed": (lambda data: shutil.rmtree(data / "log"), "log's main lane ends at entry 0"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original")
    with running(directory, TYPES) as app:
        for i in range(5):
            points = [{"type": "a", "id": f"e{j}", "attr": "o", "v": i, "t1": i} for j in range(500)]
            assert app.http.send(points, wait=True)[0] == 200
        assert app.program.stop() == 0
    return directory


@contextmanager
def copied(original: Path, root: Path) -> Iterator[App]:
    """The same application with a copy of the data; nothing runs."""
    with application(root) as app:
        app.write(model=TYPES)
        shutil.copytree(original / "data", app.data)
        yield app


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_named_and_the_program_ends(original: Path, tmp_path: Path, what: str) -> None:
    damage, message = DAMAGE[what]
    with copied(original, tmp_path) as app:
        damage(app.data)
        program = app.run()
        assert program.wait(30) == 2
        assert message in program.output
        assert "Traceback" not in program.output
        assert "starting it again" not in program.output


def test_a_damaged_attempt_note_is_ignored(original: Path, tmp_path: Path) -> None:
    with copied(original, tmp_path) as app:
        (app.data / "run" / "worker-0.attempt").write_bytes(b"\xff{rubbish")
        assert app.run_ready().stop() == 0
