"""Tables on a server: made once, migrated step by step, of one application."""

import multiprocessing
import os
import signal
import time
from itertools import count

import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.files import FormatError
from dp3.log.postgres import open_log
from dp3.postgres import Part, ServerUnusable, bring_up, note_directory
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import LeaseLost
from dp3.store.postgres import open_state
from kit.backends import server_url
from kit.rows import take_lease

_number = count()


@pytest.fixture
def schema():
    return f"v{os.getpid()}_{next(_number)}"


def sql(schema, statement, *values):
    options = f"-c search_path={schema}"
    with psycopg.connect(server_url(), options=options, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def make(connection):
    connection.execute("CREATE TABLE thing (name text, size bigint)")


def to_2(connection):
    connection.execute("ALTER TABLE thing ADD size bigint")


def to_3(connection):
    connection.execute("UPDATE thing SET size = length(name)")


def to_3_slowly(connection):
    to_3(connection)
    connection.execute("SELECT pg_sleep(60)")


def in_version_1(schema):
    """Tables as a program of the past has left them."""
    bring_up(server_url(), schema, Part("things", lambda old: old.execute("CREATE TABLE thing (name text)")))
    sql(schema, "INSERT INTO thing VALUES ('apple'), ('fig')")


def version(schema):
    ((found,),) = sql(schema, "SELECT version FROM schema_part WHERE name = 'things'")
    return found


THINGS = Part("things", make, {2: to_2, 3: to_3})


def test_tables_are_made_in_the_newest_version_without_migrating(schema):
    bring_up(server_url(), schema, THINGS)

    assert version(schema) == 3
    assert sql(schema, "SELECT name, size FROM thing") == []


def test_older_tables_are_migrated_version_by_version(schema):
    in_version_1(schema)
    bring_up(server_url(), schema, THINGS)

    assert version(schema) == 3
    assert sql(schema, "SELECT name, size FROM thing ORDER BY name") == [("apple", 5), ("fig", 3)]


def test_a_step_that_fails_leaves_the_version_before(schema):
    in_version_1(schema)

    def fail(connection):
        to_3(connection)
        connection.execute("SELECT 1 / 0")

    with pytest.raises(ServerUnusable, match="division by zero"):
        bring_up(server_url(), schema, Part("things", make, {2: to_2, 3: fail}))

    assert version(schema) == 2
    assert sql(schema, "SELECT DISTINCT size FROM thing") == [(None,)]
    bring_up(server_url(), schema, THINGS)
    assert version(schema) == 3


def test_an_older_program_refuses_newer_tables(schema):
    bring_up(server_url(), schema, THINGS)

    with pytest.raises(FormatError, match=rf"schema {schema}: the things has version 3, .* up to 2; a newer"):
        bring_up(server_url(), schema, Part("things", make, {2: to_2}))


def test_a_process_that_is_killed_while_it_migrates_leaves_the_version_before(schema):
    in_version_1(schema)
    process = begun(schema, {2: to_2, 3: to_3_slowly})
    wait_until(lambda: sleeping(schema))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    end_sleeping(schema)

    assert version(schema) == 2
    assert sql(schema, "SELECT DISTINCT size FROM thing") == [(None,)]
    bring_up(server_url(), schema, THINGS)
    assert sql(schema, "SELECT sum(size) FROM thing") == [(8,)]


def counted(connection):
    connection.execute("INSERT INTO thing (name) VALUES ('migrated')")
    connection.execute("SELECT pg_sleep(0.2)")


def test_of_several_processes_one_migrates(schema):
    in_version_1(schema)
    processes = [begun(schema, {2: to_2, 3: counted}) for _ in range(3)]
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert version(schema) == 3
    assert sql(schema, "SELECT count(*) FROM thing WHERE name = 'migrated'") == [(1,)]


def begun(schema, migrations):
    """A process that migrates."""
    context = multiprocessing.get_context("fork")
    part = Part("things", make, migrations)
    process = context.Process(target=bring_up, args=(server_url(), schema, part))
    process.start()
    return process


SLEEPING = "FROM pg_stat_activity WHERE starts_with(query, 'SELECT pg_sleep(60') AND state = 'active'"


def sleeping(schema):
    return sql(schema, f"SELECT 1 {SLEEPING}") != []


def end_sleeping(schema):
    """The server notices a client that was killed when it answers; this is sooner."""
    sql(schema, f"SELECT pg_terminate_backend(pid) {SLEEPING}")
    wait_until(lambda: not sleeping(schema))


def wait_until(is_so, limit_s=30.0):
    end = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("part", ["log", "state"])
def test_log_and_state_of_a_newer_version_are_refused(schema, part):
    open_log(server_url(), schema, FakeClock()).close()
    open_state(server_url(), schema, FakeClock()).close()
    sql(schema, "UPDATE schema_part SET version = version + 1 WHERE name = %s", part)

    with pytest.raises(FormatError, match=f"the {part} has version 2, .* versions up to 1"):
        open_log(server_url(), schema, FakeClock()).close()
        open_state(server_url(), schema, FakeClock()).close()


def test_workers_of_an_older_version_write_nothing_after_the_state_was_migrated(schema, monkeypatch):
    clock = FakeClock()
    old = open_state(server_url(), schema, clock)
    lease = take_lease(old)
    migrated = []
    monkeypatch.setattr("dp3.store.postgres.opening.MIGRATIONS", {2: migrated.append})
    open_state(server_url(), schema, clock).close()

    assert len(migrated) == 1
    with pytest.raises(LeaseLost):
        old.batches.commit(lease, Batch(counters={"datapoints": 1}))
    old.close()


def test_a_schema_that_is_named_after_another_directory_is_refused(schema):
    note_directory(server_url(), schema, "/srv/a/app")
    note_directory(server_url(), schema, "/srv/a/app")

    with pytest.raises(FormatError) as refused:
        note_directory(server_url(), schema, "/srv/b/app")
    told = str(refused.value)
    assert "was made for the application in /srv/a/app, this one is in /srv/b/app" in told
    assert f"`schema_name: {schema}`" in told


def test_a_schema_that_somebody_has_made_needs_no_right_to_make_others(schema):
    sql("public", f"CREATE ROLE {schema} LOGIN")
    sql("public", f"CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    sql("public", "REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    url = psycopg.conninfo.make_conninfo(server_url(), user=schema)

    bring_up(url, schema, THINGS)
    bring_up(url, schema, THINGS)

    assert version(schema) == 3
