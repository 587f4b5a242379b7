"""Redirects lead to the same host, below the prefix of a proxy, whatever was asked for."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit.node import Node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    node = Node(
        tmp_path_factory.mktemp("prefixed"), runner, settings={"allowed_hosts": ["*"]}, root_path="/api"
    )
    yield node
    node.close()


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/datapoints"), ("GET", "/entities"), ("GET", "/entity/a/x%20y%3F/master"), ("GET", "/docs")],
)
def test_a_slash_too_many_leads_to_the_same_path_of_the_same_host(
    node: Node, prefix: str, method: str, path: str
) -> None:
    """Whether a proxy strips the prefix or not."""
    for host in ("localhost", "evil.example:81"):
        answer = node.request(method, f"{prefix}{path}/?wait=true", headers={"host": host})
        assert answer.status_code == 307
        assert answer.headers["location"] == f"/api{path}?wait=true"


def test_the_prefix_alone_leads_to_the_root(node: Node) -> None:
    assert node.get("/api").headers["location"] == "/api/"


PARTS = ["/", "//", "\\", "%2f", "%5c", "%0d", ".", "evil.example", "api", "docs", "redoc", "datapoints"]


@given(st.lists(st.sampled_from(PARTS), max_size=6).map("".join))
@example("redoc/")
@example("/evil.example/")
@example("docs\\")
def test_no_path_redirects_to_another_host_or_to_nowhere(node: Node, path: str) -> None:
    answer = node.run(_at(node, f"/{path}"))
    for _ in range(2):  # from /redoc/ to /redoc, and from there to /docs
        if answer.is_redirect:
            location = answer.headers["location"]
            assert location.startswith("/api/") and "\\" not in location
            answer = node.run(_at(node, location))
            assert answer.status_code != 404
    assert not answer.is_redirect


async def _at(node: Node, path: str) -> httpx.Response:
    async with node.client() as client:
        return await client.get(httpx.URL("http://127.0.0.1").copy_with(raw_path=path.encode()))
