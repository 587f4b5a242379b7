"""Nothing accepted is lost and nothing takes effect twice, whatever dies."""

from collections.abc import Callable

import psutil
import pytest

from dp3.client import Client, Retry, Unavailable
from kit.load import DERIVING_MODULE, Sender, assert_each_exactly_once, choose, point
from kit.program import App, Process, wait_for
from kit.server_app import Parts, ServerApp
from kit.servers import Server

KILLS = 12


def test_a_server_that_is_killed_and_comes_back_ends_no_process(app: ServerApp, server: Server) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    parts = Parts(app)
    app.wait_ready()
    with Sender(app) as sender:
        for _ in range(3):
            wanted = len(sender.accepted) + 100
            wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
            server.kill()
            server.start()
    app.wait_ready()
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    parts.stop()
    assert "Traceback" not in app.output.read_text()


def test_backends_that_are_killed_end_no_process(app: ServerApp, server: Server) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    parts = Parts(app)
    app.wait_ready()
    with Sender(app) as sender:
        for _ in range(5):
            wanted = len(sender.accepted) + 50
            wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
            wait_for("a backend", lambda: server.kill_backend("dp3 app"))
    app.wait_ready()
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    parts.stop()
    assert "Traceback" not in app.output.read_text()


def test_after_kills_of_everything_in_any_order_each_datapoint_and_its_effects_are_there_once(
    app: ServerApp, server: Server
) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE}, {"worker_processes": 2})
    program, chance = app.run_ready(), choose(3)
    with Sender(app) as sender:
        for kill in range(KILLS):
            wanted = len(sender.accepted) + chance.randint(1, 100)
            wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
            match chance.choice(("api", "worker", "supervisor", "backend", "server")):
                case "supervisor":
                    program = killed_supervisor(app, program)
                case "backend":
                    server.kill_backend("dp3 app")
                case "server":
                    server.kill()
                    server.start()
                case kind:
                    app.child(program, kind).kill()
            if kill % 3 == 0:
                app.wait_ready(program)
    app.wait_ready(program)
    app.wait_idle()
    assert_each_exactly_once(app, sender.accepted)
    app.stop(program)
    assert "Traceback" not in app.output.read_text()


def killed_supervisor(app: App, program: Process) -> Process:
    """Another supervisor takes the place of one that was killed; its children end by themselves."""
    children = program.children()
    program.kill()
    psutil.wait_procs(children)
    return app.run()


def test_while_the_server_is_away_every_request_is_refused_with_503(app: ServerApp, server: Server) -> None:
    app.write_for(server.url, {"deriving": DERIVING_MODULE})
    parts = Parts(app, workers=1)
    app.wait_ready()
    server.kill()
    client = Client(app.url, timeout_s=40, retry=Retry(total_s=0))
    asked: list[Callable[[], object]] = [
        lambda: client.get("/entity/a/s1/master"),
        lambda: client.get("/telemetry/log"),
        lambda: client.get("/health/ready"),
        lambda: client.send([point(1)]),
    ]
    for ask in asked:
        with pytest.raises(Unavailable, match="503"):
            ask()
    server.start()
    app.client.send([point(1)])
    app.wait_ready()
    app.wait_idle()
    assert_each_exactly_once(app, [1])
    parts.stop()
    assert "Traceback" not in app.output.read_text()
