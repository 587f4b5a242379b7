"""The real program as a child process: an application written for a test, started, asked, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

T = TypeVar("T")

LIMIT_S = 40.0

Config = Mapping[str, Any]


def attribute(kind: str, data_type: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "type": kind, "data_type": data_type, **more}


def etype(name: str, id_type: str, attribs: dict[str, Any], **more: Any) -> dict[str, Any]:
    entity = {"id": name, "id_data_type": id_type, "name": name, "snapshot": True, **more}
    return {"entity": entity, "attribs": attribs}


class Program:
    """`dp3 run` on a free port; everything it says is kept in `output`."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.data = directory / "data"
        self.output = directory / "output"
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of one exchange."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, target: str) -> Any:
        status, answer = self.request("GET", target)
        assert status == 200, (target, status, answer)
        return answer

    def send(self, points: Any, *, wait: bool = False) -> tuple[int, Any]:
        target = "/datapoints?wait=true" if wait else "/datapoints"
        return self.request("POST", target, json.dumps(points).encode())

    def exchange(self, sent: bytes, *, close: bool = False) -> bytes:
        """All that comes back for these bytes on one connection until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as connection:
            connection.sendall(sent)
            if close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := connection.recv(1 << 16):
                    received += chunk
            except ConnectionResetError:
                pass
            return received

    def drain(self) -> None:
        """Wait until everything accepted, and everything derived from it, has been applied."""
        self.wait_for(lambda: not self.get("/telemetry/log")["unprocessed_bytes"])

    def wait_for(self, condition: Callable[[], T], limit_s: float = LIMIT_S) -> T:
        end = time.monotonic() + limit_s
        while not (result := condition()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()[-4000:]
            time.sleep(0.02)
        return result

    def ready(self) -> bool:
        try:
            return self.request("GET", "/health/ready")[0] == 200
        except OSError:
            return False

    def children(self) -> dict[str, psutil.Process]:
        """The API and the worker."""
        found = psutil.Process(self.process.pid).children()
        return {"api" if "api" in child.cmdline() else "worker": child for child in found}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)


def write_application(
    directory: Path, types: Config, modules: Mapping[str, str] | None = None, **files: Config
) -> Path:
    """Configuration and modules on disk; `files` are further configuration files by name."""
    config = directory / "app" / "config"
    (config / "db_entities").mkdir(parents=True)
    (config.parent / "modules").mkdir()
    for name, spec in types.items():
        (config / "db_entities" / f"{name}.yml").write_text(yaml.safe_dump(spec))
    for name, text in (modules or {}).items():
        (config.parent / "modules" / f"{name}.py").write_text(text)
    core = {"enabled_modules": list(modules or {}), "modules_dir": "../modules"}
    files = {**files, "processing_core": {**core, **files.get("processing_core", {})}}
    for name, content in files.items():
        (config / f"{name}.yml").write_text(yaml.safe_dump(dict(content)))
    return config


@contextmanager
def running(
    directory: Path, config: Path, *, prepare: Callable[[], None] | None = None, wait: bool = True
) -> Iterator[Program]:
    """The program, ready; `prepare` runs in it before it starts. Killed if the block leaves it running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "dp3", "run", str(config), "--port", str(port)]
    with (directory / "output").open("ab") as output:
        process = subprocess.Popen(
            [*command, "--data-dir", str(directory / "data")],
            stdout=output,
            stderr=output,
            preexec_fn=prepare,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    program = Program(directory, process, port)
    try:
        if wait:
            program.wait_for(program.ready)
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
