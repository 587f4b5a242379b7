"""The modules on the page about modules do what it says."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doc_pages import fenced, page

from dp3.client import Client
from dp3.demo.platform import Platform

SERVER = """
entity: {id: server, name: Server, snapshot: true}
attribs:
  temperature: {name: T, type: observations, data_type: float, history_params: {post_validity: 5m}}
  rack: {name: Rack, type: plain, data_type: link<rack>}
  too_hot: {name: Hotter than allowed, type: plain, data_type: binary}
"""
RACK = """
entity: {id: rack, id_data_type: int, name: Rack, snapshot: true}
attribs:
  limit: {name: Limit, type: plain, data_type: float}
"""
CORE = "{modules_dir: ../modules, enabled_modules: [rack_load]}"

LONGEST_S = 20.0


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """The application with the module that has a correlation hook."""
    [module] = [block for block in fenced(page("modules.md"), "python") if "class RackLoad" in block]
    files = {
        "config/db_entities/server.yml": SERVER,
        "config/db_entities/rack.yml": RACK,
        "config/processing_core.yml": CORE,
        "modules/rack_load.py": module,
    }
    for name, content in files.items():
        file = tmp_path / "app" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return tmp_path / "app" / "config"


def datapoints() -> list[dict[str, Any]]:
    t1 = datetime.now(UTC)
    measured = {"t1": t1.isoformat(), "t2": (t1 + timedelta(minutes=1)).isoformat()}
    return [
        {"type": "server", "id": "web-1", "attr": "temperature", "v": 41.0, **measured},
        {"type": "server", "id": "web-1", "attr": "rack", "v": {"eid": 7}},
        {"type": "rack", "id": 7, "attr": "limit", "v": 40.0},
    ]


def test_a_snapshot_shows_what_a_correlation_hook_concludes_from_a_linked_entity(
    application: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with Platform(data, config=application) as platform:
        assert platform.wait_ready(threading.Event())
        client = Client(platform.url)
        client.request("POST", "/datapoints", query={"wait": True}, body=datapoints())
        client.request("POST", "/control/make_snapshots")
        [server] = first_snapshots(client)
    assert server["too_hot"] is True
    assert server["rack"] == {"eid": 7}, "the record is for hooks only"


def first_snapshots(client: Client) -> list[dict[str, Any]]:
    deadline = time.monotonic() + LONGEST_S
    while True:
        rows: list[dict[str, Any]] = client.get("/entity/server/get")["data"]
        if rows or time.monotonic() > deadline:
            return rows
