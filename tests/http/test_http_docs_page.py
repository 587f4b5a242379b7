"""The page on which the API can be tried out needs no other server, and runs no script but its own."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

from kit.node import Node

MakeNode = Callable[..., Node]

TYPES = {"css": "text/css", "js": "text/javascript"}


class Page(HTMLParser):
    """What a page loads, and what it contains that a strict policy would not run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        given = dict(attrs)
        if tag == "script" or given.get("rel") == "stylesheet":
            self.loaded.append(given.get("src") or given["href"] or "")
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(params=["", "/dp3"])
def url(request: pytest.FixtureRequest) -> str:
    return f"http://127.0.0.1{request.param}/docs"


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node(root_path="/dp3")


def test_everything_that_the_page_loads_is_served_beside_it(node: Node, url: str) -> None:
    page = Page(node.get(url).text)
    assert len(page.loaded) == 3
    for name in page.loaded:
        answer = node.get(urljoin(url, name))
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] == TYPES[name.rsplit(".", 1)[1]]
        assert answer.content


def test_nothing_on_the_page_is_inline(node: Node, url: str) -> None:
    answer = node.get(url)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert Page(answer.text).inline == []
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_the_page_asks_for_the_description_beside_it_and_no_other_server(node: Node, url: str) -> None:
    script = node.get(urljoin(url, "docs/docs.js")).text
    (description,) = re.findall(r'url: "(.*)"', script)
    assert node.get(urljoin(url, description)).json()["info"]["title"] == "DP³"
    assert "//" not in re.sub(r"(?m)(^|\s)//.*$", "", script)


def test_the_other_address_leads_to_the_page(node: Node, url: str) -> None:
    answer = node.get(url.replace("docs", "redoc"))
    assert answer.status_code == 307
    assert answer.headers["location"] == "/dp3/docs"


@pytest.mark.parametrize(
    "name", ["redoc.standalone.js", "docs.html", "..%2fapp.py", "oauth2-redirect", "%00"]
)
def test_no_other_file_is_served(node: Node, url: str, name: str) -> None:
    answer = node.get(f"{url}/{name}")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not Found"}


def test_all_of_it_is_read_only(node: Node, url: str) -> None:
    for path in (url, f"{url}/docs.js"):
        assert node.post(path).status_code == 405
