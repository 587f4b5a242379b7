"""What the program says and does at its door: ports, files, TLS, signals, the access log."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dp3.client import Client, ClientError, Retry
from kit.program import App, Process, application, wait_for
from kit.raw_http import LIMIT_S
from kit.tls import certificate

COMMANDS = ("run", "api", "worker")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with application(tmp_path_factory.mktemp("door")) as app:
        app.write()
        yield app


def start(app: App, command: str, *more: str, files: int | None = None) -> Process:
    place = ("--data-dir", str(app.data), *more)
    config = str(app.config)
    arguments = {
        "run": ("run", config, "--port", str(app.port)),
        "api": ("api", "--config", config, "--port", str(app.port)),
        "worker": ("worker", "app", config, "0"),
    }[command]
    return app.start(*arguments, *place, files=files)


def refused(app: App, command: str, *more: str, files: int | None = None) -> str:
    """The only line that a command wrote which must end with status 2."""
    before = len(app.output.read_text()) if app.output.exists() else 0
    process = start(app, command, *more, files=files)
    assert process.wait() == 2, process.output[before:]
    (line,) = process.output[before:].splitlines()
    return line


# -- what it needs -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", COMMANDS)
def test_a_limit_of_open_files_that_is_too_small_is_told_in_one_line(app: App, command: str) -> None:
    line = refused(app, command, files=200)
    assert line == "the limit of open files is 200, expected at least 256; raise it (ulimit -n)"


@pytest.mark.parametrize("command", ["run", "api"])
def test_a_used_port_is_told_in_one_line_before_anything_is_started(app: App, command: str) -> None:
    with socket.create_server(("127.0.0.1", app.port)):
        assert refused(app, command) == f"cannot listen on 127.0.0.1:{app.port}: Address already in use"


@pytest.mark.parametrize("command", ["run", "api"])
def test_a_file_of_tls_that_can_not_be_used_is_named_in_one_line(
    app: App, command: str, tmp_path: Path
) -> None:
    cert, key = map(str, certificate(tmp_path))
    bad, missing = str(tmp_path / "bad.pem"), str(tmp_path / "missing.pem")
    Path(bad).write_text("nothing")
    for given, named in (
        (("--tls-cert", missing), missing),
        (("--tls-cert", cert, "--tls-key", missing), missing),
        (("--tls-cert", bad), bad),
        (("--tls-cert", cert), cert),
        (("--tls-key", key), "--tls-cert"),
    ):
        assert named in refused(app, command, *given)


# -- stopping ----------------------------------------------------------------------------------------------
HANDLED = 1 << (signal.SIGTERM - 1)


def takes_signals(process: Process) -> bool:
    """Whether it has said how it wants to be stopped: the first thing that the program does."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.M)
    return caught is not None and bool(int(caught[1], 16) & HANDLED)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells when the process takes signals")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_stop_at_any_moment_of_the_start_ends_with_status_0_and_says_so(app: App, command: str) -> None:
    for later_s in (0, 0.05, 0.1, 0.2, 0.5, 1, 2):
        before = len(app.output.read_text()) if app.output.exists() else 0
        process = start(app, command)
        wait_for("signal handler", lambda process=process: takes_signals(process))  # type: ignore[misc]
        time.sleep(later_s)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0, (later_s, process.output[before:])
        said = process.output[before:]
        assert "stopped" in said.splitlines()[-1], (later_s, said)
        assert "Traceback" not in said and "CRITICAL" not in said, (later_s, said)


def test_a_hang_up_at_any_moment_of_the_start_ends_nothing(app: App) -> None:
    process = start(app, "run")
    wait_for("signal handler", lambda: takes_signals(process))
    while not app.is_ready():
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    app.stop(process)


def test_who_stops_all_processes_at_once_gets_status_0(app: App) -> None:
    process = start(app, "run")
    app.wait_ready(process)
    for child in process.children():
        child.send_signal(signal.SIGTERM)
    assert process.stop() == 0, process.output


# -- a program that serves https and writes its access log -------------------------------------------------
@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("secured")
    with application(folder) as app:
        cert, key = certificate(folder)
        app.url = f"https://localhost:{app.port}"
        app.write(files={"api.yml": {"tls": {"cert": str(cert), "key": str(key)}}})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(cert))
            app.program = app.run_ready("--access-log")
            yield app
            app.stop(app.program)


def test_the_client_and_commands_speak_https(secured: App) -> None:
    assert secured.client.send([{"type": "a", "id": "x", "attr": "p", "v": "y"}], wait=True)
    asked = [sys.executable, "-m", "dp3", "sh", "--url", secured.url, "telemetry", "snapshot-summary"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert f"API on https://127.0.0.1:{secured.port}" in secured.program.output


def test_a_certificate_that_is_not_trusted_is_told_at_once(
    secured: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ClientError, match=r"after 1 attempts.*CERTIFICATE_VERIFY_FAILED"):
        Client(secured.url, retry=Retry(total_s=LIMIT_S)).get("/")


ACCESS = re.compile(r",dp3\.http\.access,\[INFO\] .*/entities.* ms$")


def test_each_request_is_a_line_of_the_access_log_without_anything_of_its_headers(secured: App) -> None:
    secured.client.request("GET", "/entities", query={"x": "a\nb\x1b"})
    line = wait_for("line", lambda: next(filter(ACCESS.search, secured.program.output.splitlines()), ""))
    told = line.partition("[INFO] ")[2]
    assert re.fullmatch(r"127\.0\.0\.1:\d+ GET /entities\?x=a%0Ab%1B 200 \d+ B \d+\.\d ms", told), told


def test_the_server_says_nothing_of_its_own_at_info(secured: App) -> None:
    assert "uvicorn" not in secured.program.output
