"""What browsers, proxies and programs get from the running program."""

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from dp3.client import Client
from kit.program import App, application

FOREIGN = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
POINT = {"type": "a", "attr": "p", "v": "x"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with pytest.MonkeyPatch.context() as patch, application(tmp_path_factory.mktemp("web")) as app:
        patch.setenv("ROOT_PATH", "/dp3")
        app.write(files={"api.yml": {"allowed_hosts": ["dp3.example"]}})
        app.run_ready()
        yield app


def ask(app: App, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> httpx.Response:
    return httpx.request(method, app.url + target, headers=headers, content=body)


def body(eid: str) -> bytes:
    return json.dumps([{**POINT, "id": eid}]).encode()


def test_programs_ask_by_address_by_localhost_and_through_a_proxy_with_a_known_name(app: App) -> None:
    Client(app.url).send([{**POINT, "id": "address"}])
    Client(app.url.replace("127.0.0.1", "localhost")).send([{**POINT, "id": "localhost"}])
    through_proxy = {"Host": "dp3.example", "Origin": "https://dp3.example", "Sec-Fetch-Site": "same-origin"}
    assert ask(app, "POST", "/datapoints", through_proxy, body("proxy")).status_code == 200
    app.wait_idle()
    for eid in ("address", "localhost", "proxy"):
        assert app.client.get(f"/entity/a/{eid}/master")["p"]["v"] == "x"
    shell = [sys.executable, "-m", "dp3", "sh", "--url", app.url, "telemetry", "sources-validity"]
    assert subprocess.run(shell, capture_output=True, timeout=60).returncode == 0


def test_a_foreign_page_changes_nothing_and_is_logged_once(app: App) -> None:
    for _ in range(2):
        assert ask(app, "POST", "/datapoints", FOREIGN, body("spoilt")).status_code == 403
    assert ask(app, "DELETE", "/entity/a/spoilt", FOREIGN).status_code == 403
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert ask(app, "GET", "/control/make_snapshots", image).status_code == 403
    assert ask(app, "GET", "/entities", {"Host": "evil.example"}).status_code == 421
    app.wait_idle()
    assert app.client.get("/entity/a/spoilt/master") == {}
    (line,) = [line for line in app.output.read_text().splitlines() if "https://evil.example" in line]
    assert "cors.allow_origins in api.yml" in line


def test_every_answer_has_the_headers_that_keep_browsers_careful(app: App) -> None:
    answers = [
        ask(app, "GET", "/", {}),
        ask(app, "GET", "/docs", {}),
        ask(app, "GET", "/docs/swagger-ui-bundle.js", {}),
        ask(app, "GET", "/nowhere", {}),
        ask(app, "GET", "/docs/", {}),
        ask(app, "POST", "/datapoints", {}, b"[]"),
        ask(app, "POST", "/datapoints", {}, b"{"),
        ask(app, "POST", "/datapoints", FOREIGN),
        ask(app, "GET", "/", {"Host": "evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 307, 200, 422, 403, 421]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert b"nosniff" in app.http.exchange(b"\x00\x01\r\n\r\n")


@pytest.mark.parametrize("prefix", ["", "/dp3"])
def test_a_slash_too_many_keeps_prefix_and_host(app: App, prefix: str) -> None:
    answer = ask(app, "POST", f"{prefix}/datapoints/?wait=true", {"Host": "dp3.example"}, b"[]")
    assert (answer.status_code, answer.headers["location"]) == (307, "/dp3/datapoints?wait=true")
    followed = httpx.post(f"{app.url}{prefix}/datapoints/", content=body("slash"), follow_redirects=True)
    assert followed.json() == {"detail": "OK"}
