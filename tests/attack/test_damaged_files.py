"""Files that are damaged or missing: the program says which and ends, and does not start again and again."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attack_kit import attribute, etype, running, write_application

TYPES = {"a": etype("a", "string", {"o": attribute("observations", "int")})}


def state(data: Path) -> Path:
    return data / "state" / "state.db"


def segment(data: Path) -> Path:
    return next((data / "log" / "main").glob("*.seg"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "state cut": (lambda data: os.truncate(state(data), 5_000), "state.db: the file is damaged"),
    "state replaced": (lambda data: state(data).write_bytes(b"x" * 9_999), "state.db: not a SQLite database"),
    "log cut": (lambda data: os.truncate(segment(data), 9_000), ".seg: the file is damaged"),
    "log replaced": (lambda data: segment(data).write_bytes(b"x" * 9_999), ".seg: not a SQLite database"),
    "log emptied": (lambda data: os.truncate(segment(data), 0), "log's main lane ends at entry 0"),
    "log removed": (lambda data: shutil.rmtree(data / "log"), "log's main lane ends at entry 0"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original")
    with running(directory, write_application(directory, TYPES)) as program:
        for i in range(5):
            points = [{"type": "a", "id": f"e{j}", "attr": "o", "v": i, "t1": i} for j in range(500)]
            assert program.send(points, wait=True)[0] == 200
        assert program.stop() == 0
    return directory


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_named_and_the_program_ends(original: Path, tmp_path: Path, what: str) -> None:
    damage, message = DAMAGE[what]
    shutil.copytree(original / "data", tmp_path / "data")
    damage(tmp_path / "data")
    with running(tmp_path, original / "app" / "config", wait=False) as program:
        assert program.process.wait(30) == 2
        assert message in program.said()
        assert "Traceback" not in program.said()
        assert "starting it again" not in program.said()


def test_a_damaged_attempt_note_is_ignored(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original / "data", tmp_path / "data")
    (tmp_path / "data" / "run" / "worker-0.attempt").write_bytes(b"\xff{rubbish")
    with running(tmp_path, original / "app" / "config") as program:
        assert program.stop() == 0
