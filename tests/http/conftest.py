import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.node import Node


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def make_node(tmp_path: Path, runner: asyncio.Runner) -> Iterator[Callable[..., Node]]:
    """Makes nodes with other settings, limits or hooks."""
    nodes: list[Node] = []

    def make(**kwargs: Any) -> Node:
        nodes.append(Node(tmp_path / f"node{len(nodes)}", runner, **kwargs))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node()


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    """One node for tests that do not mind what others have sent."""
    node = Node(tmp_path_factory.mktemp("shared"), runner)
    yield node
    node.close()
