"""A worker that stands still is replaced by another one, and changes nothing when it wakes."""

import signal

import psutil
import psycopg
import pytest

from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once
from kit.program import Process, wait_for
from kit.server_app import SCHEMA, ServerApp
from kit.servers import Server

ELSEWHERE = "elsewhere.example"


def stand_still(worker: Process) -> None:
    worker.send_signal(signal.SIGSTOP)
    process = psutil.Process(worker.pid)
    wait_for("a stop", lambda: process.status() == psutil.STATUS_STOPPED)


def stop_before_a_transaction(worker: Process, server: Server) -> None:
    def between() -> bool:
        stand_still(worker)
        if not begun(server):
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    wait_for("a moment without a transaction", between)


def begun(server: Server) -> int:
    """The number of transactions of the worker that has the lease."""
    ((found,),) = server.sql(
        "SELECT count(*) FROM pg_stat_activity JOIN lease ON application_name = client"
        " WHERE xact_start IS NOT NULL AND state <> 'idle'",
        schema=SCHEMA,
    )
    return int(found)


def stop_inside_a_transaction(worker: Process, server: Server) -> None:
    """The worker waits for a table in the middle of a batch, stands still, and has it then."""

    def waiting() -> bool:
        found = server.sql(
            "SELECT 1 FROM pg_stat_activity JOIN lease ON application_name = client"
            " WHERE wait_event_type = 'Lock' AND query LIKE '%%incoming%%'",
            schema=SCHEMA,
        )
        return bool(found)

    with psycopg.connect(server.url, options=f"-c search_path={SCHEMA}") as other:
        other.execute("LOCK TABLE incoming IN SHARE MODE")
        wait_for("a batch that waits", waiting)
        stand_still(worker)
    wait_for("a transaction of a process that stands still", lambda: begun(server))


@pytest.mark.parametrize("stop", [stop_before_a_transaction, stop_inside_a_transaction])
def test_a_worker_that_stands_still_is_replaced_and_changes_nothing_when_it_wakes(
    app: ServerApp, server: Server, stop
) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    api, first = app.api(1), app.worker(0, 1)
    app.wait_ready()
    with Sender(app) as sender:
        wait_for("data", lambda: len(sender.accepted) > 100)
        stop(first, server)
        server.sql("UPDATE lease SET heartbeat = 0, host = %s", ELSEWHERE, schema=SCHEMA)
        before = app.reached()
        other = app.worker(0, 1)
        wait_for("progress of another", lambda: app.reached() > before)
        first.send_signal(signal.SIGCONT)
        assert first.wait() in (0, 1), "who notices first, the heart or a commit"
    app.wait_idle()
    assert "another process has taken over" in first.output
    assert "due to administrator command" in server.output, "its connections were ended"
    assert_each_exactly_once(app, sender.accepted)
    assert [process.stop() for process in (other, api)] == [0, 0]


def test_a_worker_whose_lease_was_given_to_another_applies_nothing_though_the_server_was_away(
    app: ServerApp, server: Server
) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    api, first = app.api(1), app.worker(0, 1)
    app.wait_ready()
    with Sender(app) as sender:
        wait_for("data", lambda: len(sender.accepted) > 100)
        stop_inside_a_transaction(first, server)
        server.kill()
        server.start()
        server.sql("UPDATE lease SET heartbeat = 0, host = %s", ELSEWHERE, schema=SCHEMA)
        before = app.reached()
        other = app.worker(0, 1)
        wait_for("progress of another", lambda: app.reached() > before)
        first.send_signal(signal.SIGCONT)
        assert first.wait() in (0, 1)
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    assert [process.stop() for process in (other, api)] == [0, 0]
