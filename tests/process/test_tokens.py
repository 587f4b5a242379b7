"""Tokens on the running program: made, in use, revoked; and where it listens without any."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dp3.cli.main import application as dp3
from kit.program import App, application, wait_for

EFFECTIVE_S = 2.0
WAYS_OUT = ("dp3 token create", "auth: {mode: tokens}", "--host 127.0.0.1")


def command(app: App, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the program, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dp3", *words], capture_output=True, text=True, timeout=60, cwd=app.root
    )


def called(*words: str) -> Result:
    """A command that asks the program, called here: its start would take longer than all it does."""
    return CliRunner().invoke(dp3(words[0]), words)


def token(app: App, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    return command(app, "token", verb, str(app.config), *words, "--data-dir", str(app.data))


def made(app: App, name: str, role: str, *more: str) -> str:
    """The secret of a new token."""
    ended = token(app, "create", name, "--role", role, *more)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def status(app: App, secret: str | None, method: str = "GET", target: str = "/entities") -> int:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return app.http.request(method, target, headers=headers)[0]


def assert_soon(app: App, secret: str | None, expected: int) -> None:
    """Requests that are sent two seconds after a command has ended, or later, see what it did."""
    ended = time.monotonic()
    while True:
        begun = time.monotonic()
        if status(app, secret) == expected:
            return
        assert begun - ended < EFFECTIVE_S
        time.sleep(0.05)


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A program that was started without tokens, on the loopback."""
    with application(tmp_path_factory.mktemp("unlocked")) as app:
        app.write()
        app.program = app.run_ready()
        yield app


def test_tokens_count_from_their_making_to_their_end_without_a_restart(unlocked: App) -> None:
    assert status(unlocked, None) == 200
    reader = made(unlocked, "reader", "read")
    assert_soon(unlocked, None, 401)
    assert status(unlocked, reader) == 200
    brief = made(unlocked, "brief", "read", "--expires", "1s")
    assert_soon(unlocked, brief, 401)
    assert token(unlocked, "revoke", "reader").returncode == 0
    assert_soon(unlocked, reader, 401)
    assert status(unlocked, None) == 401, "nobody is let in because the last token is gone"


def refused(app: App, *words: str) -> str:
    ended = command(app, *words, "--host", "0.0.0.0", "--port", "0", "--data-dir", str(app.data))
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the commands say that would listen where others reach them, though nobody said who may."""
    with application(tmp_path_factory.mktemp("refused")) as app:
        app.write()
        return [refused(app, "run", str(app.config)), refused(app, "api", "--config", str(app.config))]


def test_an_open_door_to_others_is_refused_with_the_ways_out(refusals: list[str]) -> None:
    for message in refusals:
        assert [way for way in WAYS_OUT if way not in message] == []
        assert "Traceback" not in message
    assert "API started" not in refusals[0], "it is refused before anything is started"


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, dict[str, str]]]:
    """A program that listens for others, and the tokens that were made before its start, by name."""
    with application(tmp_path_factory.mktemp("offered")) as app:
        app.write()
        tokens = {name: made(app, name, role) for name, role in (("ops", "operate"), ("root", "admin"))}
        app.program = app.run_ready("--host", "0.0.0.0")
        yield app, tokens


Offered = tuple[App, dict[str, str]]


def test_with_tokens_it_listens_for_others(offered: Offered) -> None:
    app, tokens = offered
    assert [status(app, secret) for secret in (None, tokens["ops"])] == [401, 200]
    assert status(app, tokens["ops"], "DELETE", "/entity/a/x") == 403


@pytest.mark.parametrize(
    "target",
    [
        *("/%65ntities", "/entities/", "//entities", "/./entities", "/docs/../entities", "/entities?x=/docs"),
        *("/entity/a%2Fx/master", "/health/live/../../entities", "/metrics%00", "/metrics%0A", "*"),
    ],
)
def test_no_way_of_writing_a_path_gets_past_the_door(offered: Offered, target: str) -> None:
    assert status(offered[0], None, target=target) == 401


@pytest.mark.parametrize(
    "words", [("sh", "--url", "{}", "telemetry", "snapshot-summary"), ("deadletters", "list", "--url", "{}")]
)
def test_commands_bring_the_token_of_the_environment(
    offered: Offered, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, tokens = offered
    words = tuple(word.format(app.url) for word in words)
    without = called(*words)
    assert (without.exit_code, "$DP3_TOKEN" in without.stderr) == (1, True)
    monkeypatch.setenv("DP3_TOKEN", tokens["ops"])
    assert called(*words).exit_code == 0


def test_an_archive_is_replayed_with_a_token(offered: Offered, tmp_path: Path) -> None:
    app, tokens = offered
    file = tmp_path / "points.jsonl"
    file.write_text(json.dumps({"type": "a", "id": "x", "attr": "p", "v": "text"}))
    words = ("archive", "replay", str(file), "--url", app.url)
    assert called(*words).exit_code == 1
    assert called(*words, "--token", tokens["root"]).exit_code == 0


def test_a_token_that_can_not_be_one_is_refused_without_being_shown() -> None:
    ended = called("sh", "--token", "se\ncret", "telemetry", "snapshot-summary")
    assert (ended.exit_code, "cret" in ended.output) == (2, False)


def test_no_file_and_no_log_holds_a_token(offered: Offered) -> None:
    app, tokens = offered
    status(app, tokens["ops"], "POST", "/control/make_snapshots")
    status(app, tokens["ops"], "DELETE", "/entity/a/x")
    files = [app.output, *(path for path in app.data.rglob("*") if path.is_file())]
    assert any(path.name == "audit.log" for path in files)
    holding = [path for path in files for secret in tokens.values() if secret.encode() in path.read_bytes()]
    assert holding == []


def test_what_is_done_with_tokens_is_in_the_audit_log(offered: Offered) -> None:
    app, _ = offered
    made(app, "short", "read")
    token(app, "revoke", "short")

    def noted() -> list[Any] | None:
        lines = (app.data / "audit.log").read_text().splitlines()
        found = [note for note in map(json.loads, lines) if note["on"].get("name") == "short"]
        return found if len(found) == 2 else None

    notes = wait_for("notes", noted)
    assert [note["what"] for note in notes] == ["create token", "revoke token"]
    assert {note["result"] for note in notes} == {200}


def test_a_door_left_open_on_purpose_is_told(app: App) -> None:
    app.write(files={"api.yml": {"auth": {"mode": "open"}}})
    program = app.start(
        *("api", "--config", str(app.config), "--data-dir", str(app.data), "--port", str(app.port)),
        *("--host", "0.0.0.0"),
    )
    wait_for("the API", lambda: "API on http" in program.output)
    assert "auth.mode is open: everybody who reaches 0.0.0.0" in program.output
    assert program.stop() == 0
