"""Programs on PostgreSQL servers that die."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit.rooms import ENGINE
from kit.server_app import ServerApp
from kit.servers import Server, a_killable_server

if ENGINE != "postgres":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def server() -> Iterator[Server]:
    with a_killable_server() as found:
        yield found


@pytest.fixture
def app(tmp_path: Path, server: Server) -> Iterator[ServerApp]:
    with ExitStack() as stack:
        yield ServerApp(tmp_path, stack, server)
