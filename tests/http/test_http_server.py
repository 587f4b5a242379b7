"""The API process stops when it is told to, also while it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

ENTITY = """
entity: {id: device, id_data_type: string, name: Device, snapshot: true}
attribs: {}
"""

SIGNALLED_BEFORE_IT_RUNS = """
import os, signal, sys, time
from pathlib import Path
import uvicorn
from dp3.config.loading import load
from dp3.http.listener import Door, listen
from dp3.http.server import serve
from dp3.runtime.resources import DataDir

run = uvicorn.Server.run

def run_later(server, sockets):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)  # the handler's thread does what it does
    run(server, sockets=sockets)

uvicorn.Server.run = run_later
directory = Path(sys.argv[1])
door = Door(listen("127.0.0.1", 0), "127.0.0.1", None)
sys.exit(serve(load(directory / "config"), DataDir(directory / "data"), door, 1))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    entities = tmp_path / "config" / "db_entities"
    entities.mkdir(parents=True)
    (entities / "device.yml").write_text(ENTITY)
    return tmp_path


def test_a_stop_signal_that_comes_while_it_starts_is_not_lost(directory: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED_BEFORE_IT_RUNS, str(directory)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)  # it would end after 60 s
    assert ended.returncode == 0, ended.stderr
