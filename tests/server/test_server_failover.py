"""A standby that has everything takes the place of the server."""

from pathlib import Path

from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once
from kit.program import wait_for
from kit.server_app import SCHEMA, Parts, ServerApp
from kit.servers import Server, url_of


def a_standby(primary: Server) -> Server:
    """A server that follows another one, which confirms nothing that it has not."""
    standby = primary.make_standby(Path(primary.directory.parent, "standby"))
    standby.start()
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.sql("SELECT pg_reload_conf()")
    wait_for("a standby", lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
    return standby


def epochs(server: Server) -> list[tuple[int, ...]]:
    return server.sql("SELECT worker, epoch FROM lease ORDER BY worker", schema=SCHEMA)


def test_a_fail_over_under_load_loses_and_doubles_nothing_and_ends_no_process(
    app: ServerApp, server: Server
) -> None:
    standby = a_standby(server)
    try:
        app.write_for(
            url_of(server, standby, target_session_attrs="read-write"), {"deriving": DERIVING_MODULE}
        )
        parts = Parts(app)
        app.wait_ready()
        with Sender(app, threads=4) as sender:
            wait_for("data", lambda: len(sender.accepted) > 300)
            before = epochs(server)
            server.kill()
            standby.promote()
            app.server = standby
            already = len(sender.accepted)
            wait_for("more data", lambda: len(sender.accepted) > already + 300)
        app.wait_ready()
        app.wait_idle()
        assert epochs(standby) == before
        assert_each_exactly_once(app, sender.accepted)
        parts.stop()
        assert "Traceback" not in app.output.read_text()
    finally:
        standby.close()
