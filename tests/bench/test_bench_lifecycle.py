"""The benchmark of the upkeep, in small, and its data."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from dp3.bench.application import Application
from dp3.bench.archive import DAYS_US, make_older, segments
from dp3.bench.devices import Changed, Part
from dp3.bench.driver import Watch
from dp3.bench.lifecycle import PHASES, Figures, lifecycle
from dp3.bench.lives import Aged, Sessions, Sites, one_of, rounds_of_loads
from dp3.bench.report import BenchFailed
from dp3.bench.server import running
from dp3.bench.state import state_of
from dp3.clock import SystemClock
from dp3.log.port import Append, Lane
from dp3.log.sqlite import open_log

HEADLINE = {"retention": "retention_ratio"}
SMALL = 2_000
AT_ONCE = 3
"""Phases mostly wait for schedules, and a program that starts beside too many others misses its own."""

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "dp3", "bench", "lifecycle", *arguments]
    wide = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=wide)


def points_of(devices, count: int) -> list[dict]:
    bodies = Part(devices, range(count))
    return [point for _, text in bodies for point in msgspec.json.decode(text)]


@pytest.fixture(scope="module")
def measured() -> Figures:
    """Each phase alone, in small."""

    def measure(phase: str) -> Figures:
        return lifecycle([phase], SMALL, SMALL, lambda text: None)

    alone = [phase for phase in PHASES if phase != "archive"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(alone, pool.map(measure, alone), strict=True))


@pytest.mark.parametrize(
    ("phase", "figures"),
    [
        ("compaction", {"intervals": 2_000, "entities": 400, "packed_rows": 1_200}),
        ("collector", {"entities": 2_000, "ended": 1_800}),
        ("weak", {"entities": 2_000, "devices": 200, "alone": 20}),
        ("updater", {"entities": 2_000}),
        ("retention", {"intervals": 20_000, "packed_rows": 10_000, "rows_looked_at": 120, "removed": 200}),
    ],
)
def test_a_phase_alone_tells_what_the_program_did(measured, phase, figures):
    told = measured[phase]

    assert figures.items() <= told[phase].items()
    assert told[HEADLINE.get(phase, f"{phase}_per_s")] > 0
    assert told["rss_mb"].keys() == {phase}
    assert told[phase].get("worker_cpu_s", 1) > 0
    assert all(mb > 10 for mb in told["rss_mb"][phase].values())
    assert told.get("second_pass_rows_read", 0) == 0


def test_every_request_beside_archiving_is_measured():
    done = run("--only", "archive", "--entities", "2000", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["archive"]["segments"] > 2
    assert told["archive"]["datapoints_archived"] > 8_000
    assert 0 < told["archive_wait_ms"]["p99"] <= told["archive_wait_ms"]["max"]
    assert told["archive"]["requests"] > 5


def test_a_phase_that_there_is_not_is_refused_with_the_nearest_one():
    done = run("--only", "compaction,colector")

    assert done.returncode == 2
    assert "did you mean collector?" in " ".join(done.stderr.split())


def test_all_phases_are_measured_unless_some_are_asked_for():
    assert f"[default: {','.join(PHASES)}]" in run("--help").stdout


def test_what_does_not_happen_makes_the_benchmark_void():
    with running() as server, state_of(server.data) as state:
        watch = Watch(server)
        with pytest.raises(BenchFailed, match="history comes: not so within 0 s"):
            watch.until("history comes", state.has_fresh, limit_s=0.1)
        assert watch.rss_mb > 10
        assert 0 <= watch.cpu_s() < 60
        server.stop()


def test_a_program_that_is_started_again_has_its_data_and_other_settings():
    with running() as server:
        for _, body in Part(Changed(NOW, load=1), range(3)):
            server.post("/datapoints?wait=true", body)
        server.restart(Application(modules=["visits"], settings={"api": {"max_body": 10}}))
        assert server.metric("dp3_entities") == 3
        with pytest.raises(BenchFailed, match="413"):
            server.post("/datapoints", b"[" + b" " * 20 + b"]")
        server.stop()


def test_rounds_of_loads_touch_and_two_in_a_row_have_one_value():
    points = [points_of(devices, 1)[0] for devices in rounds_of_loads(NOW, 5)]

    assert [point["v"] for point in points] == [0, 0, 1, 1, 2]
    assert [point["t1"] for point in points[1:]] == [point["t2"] for point in points[:-1]]
    assert points[-1]["t2"] < "2026-01-01T12:00:00"


def test_one_device_in_so_many_has_old_data():
    aged = Aged(Changed(NOW, load=1), Changed(NOW - timedelta(days=8), load=2), of=3)

    assert [point["v"] for point in points_of(aged, 7)] == [2, 1, 1, 2, 1, 1, 2]


def test_one_session_in_ten_has_a_contract():
    points = points_of(Sessions(), 25)

    assert [point["id"] for point in points if point["attr"] == "contract"] == [
        "session-0", "session-10", "session-20",
    ]  # fmt: skip
    assert len({point["id"] for point in points}) == 25
    assert one_of(25, 10) == 3


def test_devices_name_all_sites_but_one_in_a_hundred():
    points = points_of(Sites(), 200)

    sites = {point["id"] for point in points if point["type"] == "site"}
    named = {link["eid"] for point in points if point["type"] == "device" for link in point["v"]}
    assert len(sites) == 200
    assert sites - named == {"site-0", "site-100"}
    assert named < sites


def test_what_is_in_the_log_becomes_older_but_for_the_newest_segment(tmp_path):
    log = open_log(tmp_path, SystemClock(), segment_bytes=50)
    for _ in range(6):
        log.append([Append([{0: b"x" * 30}])])
    before = [entry.append_time for entry in log.read(Lane.MAIN, 0, 1 << 20)]
    log.close()

    older = make_older(tmp_path)

    assert [*older, segments(tmp_path)[-1]] == segments(tmp_path)
    log = open_log(tmp_path, SystemClock(), segment_bytes=50)
    times = [entry.append_time for entry in log.read(Lane.MAIN, 0, 1 << 20)]
    assert len(log.finished(Lane.MAIN, before[0])) == len(older)
    log.close()
    moved = [before_us - us for before_us, us in zip(before, times, strict=True)]
    assert set(moved) == {0, DAYS_US}
    assert times == sorted(times)
