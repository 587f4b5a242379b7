"""The model is not changed while a process of any host relies on it."""

import signal

import psutil

from kit.load import point
from kit.program import MODEL, Process, wait_for
from kit.server_app import SCHEMA, ServerApp
from kit.servers import Server
from kit.specs import a_type, plain_attr

LESS = {"a": a_type("a", {"o": plain_attr("int")}), "c": MODEL["c"]}


def schema_update(app: ServerApp) -> Process:
    """The command, on another host."""
    data = str(app.root / "data of another host")
    return app.start("schema-update", str(app.config), "--data-dir", data, "--yes")


def with_another_model(app: ServerApp, server: Server) -> None:
    app.config = app.root / "another" / "config"
    app.write(model=LESS, files={"database.yml": {"url": server.url, "schema_name": SCHEMA}})


def test_the_model_is_changed_when_no_process_of_any_host_relies_on_it(
    app: ServerApp, server: Server
) -> None:
    app.write_for(server.url)
    api, worker = app.api(1), app.worker(0, 1)
    app.wait_ready()
    app.client.send([point(1)])
    app.wait_idle()
    with_another_model(app, server)

    refused = schema_update(app)
    assert refused.wait() == 2 and f"an API process works with {SCHEMA}; stop it first" in refused.output
    assert api.stop() == 0
    refused = schema_update(app)
    assert refused.wait() == 2 and "stop all workers first" in refused.output
    assert worker.stop() == 0
    assert schema_update(app).wait() == 0
    api, worker = app.api(1), app.worker(0, 1)
    wait_for("readiness", app.is_ready)
    assert [process.stop() for process in (api, worker)] == [0, 0]


def test_an_api_that_stood_still_while_the_model_was_changed_ends(app: ServerApp, server: Server) -> None:
    app.write_for(server.url)
    api = app.api(1)
    wait_for("an API", lambda: "worker 0 is not running" in app.not_ready())
    api.send_signal(signal.SIGSTOP)
    process = psutil.Process(api.pid)
    wait_for("a stop", lambda: process.status() == psutil.STATUS_STOPPED)
    server.sql("UPDATE schema_user SET seen = seen - interval '1 minute'", schema=SCHEMA)
    with_another_model(app, server)
    assert schema_update(app).wait() == 0
    api.send_signal(signal.SIGCONT)
    assert api.wait() == 0
    assert "the model is being changed" in api.output
