"""Questions that a standby answers."""

from contextlib import ExitStack

import httpx
import pytest

from kit.program import App, wait_for
from kit.servers import a_killable_server

POINT = {"type": "a", "id": "e1", "attr": "p", "src": "test"}


@pytest.fixture(scope="module")
def pair():
    """A primary and a standby that follows it."""
    with a_killable_server() as primary:
        standby = primary.make_standby(primary.directory.parent / "standby")
        standby.start()
        yield primary, standby
        standby.close()


@pytest.fixture
def app(pair, tmp_path):
    primary, standby = pair
    with ExitStack() as stack:
        app = App(tmp_path, stack)
        app.write(files={"database.yml": {"url": primary.url, "read_url": standby.url}})
        yield app


def send(app, value):
    httpx.post(f"{app.url}/datapoints", json=[{**POINT, "v": value}], timeout=10).raise_for_status()
    wait_for("the data-point", lambda: primary_has(app))


def primary_has(app):
    return requests(app, "/telemetry/log").json()["unprocessed_bytes"] == 0


def requests(app, path):
    return httpx.get(f"{app.url}{path}", timeout=10)


def value_of(app):
    answer = requests(app, "/entity/a/e1/master")
    return answer.json()["p"]["v"] if answer.status_code == 200 else None


def age_of(app, path="/entity/a/e1/master"):
    age = requests(app, path).headers.get("DP3-Data-Age")
    return None if age is None else float(age)


def test_a_standby_answers_and_says_how_old_it_is(app, pair):
    _, standby = pair
    app.run_ready()
    send(app, "old")
    wait_for("the standby", lambda: value_of(app) == "old")
    assert age_of(app) < 30

    standby.sql("SELECT pg_wal_replay_pause()")
    wait_for("the pause", lambda: standby.sql("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
    send(app, "new")
    before = age_of(app)
    wait_for("its age", lambda: age_of(app) > before + 2)
    assert value_of(app) == "old"
    assert [point["v"] for point in requests(app, "/entity/a/raw/get").json()["data"]].count("new") == 1
    assert age_of(app, "/telemetry/log") is None
    assert age_of(app, "/entity/a/raw/get") is None
    assert age_of(app, "/entities") > before

    standby.sql("SELECT pg_wal_replay_resume()")
    wait_for("the newer value", lambda: value_of(app) == "new")
    wait_for("its age", lambda: age_of(app) < before + 2)


def test_without_a_copy_nothing_is_old(pair, tmp_path):
    primary, _ = pair
    with ExitStack() as stack:
        app = App(tmp_path, stack)
        app.write(files={"database.yml": {"url": primary.url}})
        app.run_ready()
        send(app, "old")

        assert value_of(app) == "old"
        assert age_of(app) is None
