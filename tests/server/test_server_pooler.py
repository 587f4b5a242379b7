"""The API behind a pooler that gives each transaction another connection to the server."""

import pytest

from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once
from kit.pooler import a_pooler, pooler_program
from kit.program import wait_for
from kit.server_app import SCHEMA, ServerApp
from kit.servers import Server

pytestmark = pytest.mark.skipif(pooler_program() is None, reason="pgbouncer is not installed")


def test_the_api_works_behind_a_pooler_and_outlives_the_server(app: ServerApp, server: Server) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    worker = app.worker(0, 1)
    with a_pooler(server, SCHEMA) as url:
        app.config = app.root / "config of the api"
        app.write_for(url, {"deriving": DERIVING_MODULE})
        api = app.api(1)
        app.wait_ready()
        with Sender(app, threads=6) as sender:
            wait_for("data", lambda: len(sender.accepted) > 300)
            server.kill()
            server.start()
            already = len(sender.accepted)
            wait_for("more data", lambda: len(sender.accepted) > already + 300)
        app.wait_idle()
        assert_each_exactly_once(app, sender.accepted)
        assert [process.stop() for process in (worker, api)] == [0, 0]
        assert "Traceback" not in app.output.read_text()


def test_a_pooler_that_does_not_set_the_schema_is_named(app: ServerApp, server: Server) -> None:
    app.write_for(server.url)
    worker = app.worker(0, 1)
    wait_for("tables", lambda: server.sql("SELECT to_regclass('app.lease')") != [(None,)])
    with a_pooler(server, "public") as url:
        app.config = app.root / "config of the api"
        app.write_for(url)
        api = app.api(1)
        assert api.wait() == 1
    assert "connect_query='SET search_path = app'" in api.output
    assert worker.stop() == 0
