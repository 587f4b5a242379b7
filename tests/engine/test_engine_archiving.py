"""Raw data-points: each is in the log or in the archive, once."""

import gzip
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.engine.jobs.archive import JOB, JOB_TTL_S, ArchiveDamaged
from dp3.hooks.registrar import CallbackRegistrar
from dp3.log.port import Lane
from dp3.store.ports.leases import Holder
from kit.child import start
from kit.engine import Engine
from kit.faults import durability, renames
from kit.jobs import WEEK_US, archive, archiver
from kit.limits import archive_sync
from kit.points import SECOND, obs, plain, task

DAY_S = 86_400
SMALL = 300
"""Bytes after which a segment is finished: a few entries."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, segment_bytes=SMALL)
    yield engine
    engine.close()


def archived(directory: Path) -> list[dict[str, Any]]:
    texts = (gzip.decompress(path.read_bytes()) for path in archived_files(directory))
    return [json.loads(line) for text in texts for line in text.splitlines()]


def in_log(engine: Engine) -> list[dict[str, Any]]:
    return [row for etype in ("a", "b") for row in engine.raw(etype, limit=0)]


def values(rows: list[dict[str, Any]]) -> Counter[int]:
    return Counter(row["v"] for row in rows)


def with_old_data(engine: Engine, points: int = 40) -> None:
    for v in range(points):
        engine.send(task(f"e{v % 7}", obs(v)))
    engine.work()
    engine.clock.advance(8 * DAY_S)
    engine.send(task("new", obs(points)))
    engine.work()


def test_every_data_point_is_in_the_archive_or_in_the_log_once(engine: Engine, tmp_path: Path) -> None:
    with_old_data(engine)
    assert archive(engine, tmp_path / "archive") > 5
    old, new = values(archived(tmp_path / "archive")), values(in_log(engine))
    assert old + new == Counter(range(41))
    assert len(old) > 30


def test_archived_data_points_have_the_form_in_which_they_are_sent(engine: Engine, tmp_path: Path) -> None:
    engine.send(task("e", obs(3), plain("p", 5)))
    with_old_data(engine)
    archive(engine, tmp_path)
    observed, stored = (row for row in archived(tmp_path) if row["id"] == "e")
    moment = "2020-09-13T12:26:43Z"
    assert observed == {
        "attr": "o", "src": None, "v": 3, "c": 1.0, "t1": moment, "t2": moment, "type": "a", "id": "e",
    }  # fmt: skip
    assert stored == observed | {"attr": "p", "v": 5, "c": None, "t1": None, "t2": None}


def test_an_application_with_plain_values_only_is_archived_too(engine: Engine, tmp_path: Path) -> None:
    for v in range(40):
        engine.send(task("e", plain("p", v)))
    engine.work()
    engine.clock.advance(8 * DAY_S)
    engine.send(task("e", plain("p", 40)))
    engine.work()
    assert archive(engine, tmp_path / "archive") > 2
    assert values(archived(tmp_path / "archive")) + values(in_log(engine)) == Counter(range(41))


def test_files_are_named_after_the_times_of_what_is_in_them(engine: Engine, tmp_path: Path) -> None:
    with_old_data(engine)
    archive(engine, tmp_path)
    first = min(tmp_path.glob("*.gz")).name
    assert first.startswith("dp-log-20200913T122640--20200913T1226")
    assert first.endswith(".main-1.jsonl.gz")


def test_what_is_not_processed_stays(engine: Engine, tmp_path: Path) -> None:
    for v in range(40):
        engine.send(task("e", obs(v)))
    engine.clock.advance(8 * DAY_S)
    engine.send(task("e", obs(40)))
    assert archive(engine, tmp_path / "archive") == 0
    assert list((tmp_path / "archive").iterdir()) == []


def test_what_is_young_stays(engine: Engine, tmp_path: Path) -> None:
    with_old_data(engine)
    assert archive(engine, tmp_path / "archive", older_than_us=9 * DAY_S * SECOND) == 0


def test_what_came_within_a_day_stays_with_what_was_refused(engine: Engine, tmp_path: Path) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_allow_entity_creation_hook(lambda eid, task: eid != "e1", "a")

    for v in range(40):
        engine.send(task(f"e{v % 2}", obs(v)))
    engine.work(register)
    engine.clock.advance(DAY_S - 1)
    assert archive(engine, tmp_path / "archive", older_than_us=0) == 0
    assert list((tmp_path / "archive").iterdir()) == []
    assert {row["id"] for row in in_log(engine)} == {"e0"}
    engine.clock.advance(DAY_S)
    engine.send(task("e0", obs(40)))
    engine.work(register)
    assert archive(engine, tmp_path / "archive", older_than_us=0) > 5


def test_without_a_directory_old_data_is_removed_only(engine: Engine) -> None:
    with_old_data(engine)
    assert archive(engine, None) > 5
    assert len(in_log(engine)) < 10
    assert engine.values("e0")["o"][0] == (0, 0), "profiles keep what they have"


def test_refused_tasks_are_not_archived_and_forgotten(engine: Engine, tmp_path: Path) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_allow_entity_creation_hook(lambda eid, task: eid != "e1", "a")

    for v in range(40):
        engine.send(task(f"e{v % 2}", obs(v)))
    engine.work(register)
    engine.clock.advance(8 * DAY_S)
    engine.send(task("e0", obs(40)))
    engine.work(register)
    archive(engine, tmp_path)
    assert {row["id"] for row in archived(tmp_path)} == {"e0"}
    last = engine.log.read(Lane.MAIN, 0, 1)[0].offset
    assert engine.store.batches.refused_between(Lane.MAIN, 0, last - 1) == set()


def test_one_worker_archives_at_a_time(engine: Engine, tmp_path: Path) -> None:
    with_old_data(engine)
    lease = engine.store.leases.take(1, 2, Holder("host", 1), 15)
    other = engine.store.leases.take(0, 2, Holder("host", 1), 15)
    assert engine.store.leases.take_job(lease, JOB, JOB_TTL_S)
    late = archiver(engine, other, tmp_path / "archive")
    assert late.run() == 0
    engine.store.leases.release(lease)
    assert late.run() > 0


@pytest.mark.parametrize("moment", ["written", "kept"])
def test_after_a_failure_at_any_moment_the_next_time_completes_it(
    engine: Engine, tmp_path: Path, moment: str
) -> None:
    with_old_data(engine)
    directory = tmp_path / "archive"

    def fail(*args: Any) -> Any:
        raise OSError("the disk is gone")

    fault = renames(fail) if moment == "written" else durability(engine.store, fail)
    with fault, pytest.raises(OSError, match="the disk is gone"):
        archive(engine, directory)
    assert values(in_log(engine)) == Counter(range(41)), "nothing is removed"
    archive(engine, directory)
    assert values(archived(directory)) + values(in_log(engine)) == Counter(range(41))
    assert list(directory.glob("*.partial")) == []


def test_a_file_that_does_not_give_back_what_was_written_keeps_the_log(
    engine: Engine, tmp_path: Path
) -> None:
    with_old_data(engine)

    def damage(sync: Callable[[Path], None], path: Path) -> None:
        sync(path)
        if path.suffix == ".partial":
            os.truncate(path, path.stat().st_size - 1)

    with archive_sync(damage), pytest.raises(ArchiveDamaged):
        archive(engine, tmp_path / "archive")
    assert values(in_log(engine)) == Counter(range(41))
    assert list((tmp_path / "archive").iterdir()) == []


def test_killed_at_any_moment_it_loses_and_repeats_nothing(engine: Engine, tmp_path: Path) -> None:
    with_old_data(engine, points=200)
    directory = tmp_path / "archive"
    for more, pause_ms in ((0, 0.0), (1, 0.0), (1, 0.5), (2, 1.0), (3, 2.0), (5, 4.0)):
        wanted = len(archived_files(directory)) + more
        process = start("kit.jobs", tmp_path, engine.clock.now_us(), SMALL, WEEK_US)
        assert process.stdout is not None
        process.stdout.readline()
        while len(archived_files(directory)) < wanted:
            assert process.poll() is None
        wait_ms(pause_ms)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
    assert len(in_log(engine)) < 201, "it got somewhere"
    archive(engine, directory)
    assert values(archived(directory)) + values(in_log(engine)) == Counter(range(201))


def archived_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl.gz"))


def wait_ms(ms: float) -> None:
    end = time.monotonic() + ms / 1e3
    while time.monotonic() < end:
        pass
