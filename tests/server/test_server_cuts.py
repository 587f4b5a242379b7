"""Connections of programs that are lost at the worst moments, again and again."""

import pytest

from kit.cutting import a_cutter
from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once
from kit.program import wait_for
from kit.server_app import Parts, ServerApp
from kit.servers import Server

CUTS = 8


@pytest.mark.parametrize(
    ("armed", "at"), [("before", b"COMMIT"), ("after", b"COMMIT"), ("before", b"incoming")]
)
def test_connections_cut_in_the_middle_of_something_lose_and_double_nothing(
    app: ServerApp, server: Server, armed: str, at: bytes
) -> None:
    with a_cutter(server.url) as cutter:
        app.write_for(cutter.url, {"deriving": DERIVING_MODULE})
        parts = Parts(app)
        app.wait_ready()
        cutter.at = at
        with Sender(app) as sender:
            for _ in range(CUTS):
                wanted = len(sender.accepted) + 20
                wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
                cutter.armed = armed
                wait_for("a cut", lambda: not cutter.armed)
        app.wait_ready()
        app.wait_idle()
        assert_each_exactly_once(app, sender.accepted)
        parts.stop()
        assert "Traceback" not in app.output.read_text()
