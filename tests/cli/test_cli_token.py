"""`dp3 token`: what it prints, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dp3.cli import main
from kit.program import App, application


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with application(tmp_path) as app:
        app.write()
        yield app


def token(app: App, verb: str, *words: str) -> Result:
    words = ("token", verb, str(app.config), *words, "--data-dir", str(app.data))
    return CliRunner().invoke(main.application("token"), words, terminal_width=200)


def made(app: App, name: str, role: str, *more: str) -> str:
    """The secret of a new token."""
    ended = token(app, "create", name, "--role", role, *more)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def test_tokens_are_listed_without_their_secrets(app: App) -> None:
    secrets = [made(app, "a", "ingest"), made(app, "b", "read", "--expires", "1d"), made(app, "c", "admin")]
    token(app, "revoke", "c")
    listed, as_json = token(app, "list").stdout, token(app, "list", "--json").stdout
    rows = [json.loads(line) for line in as_json.splitlines()]
    assert [(row["name"], row["role"], row["state"]) for row in rows] == [
        ("a", "ingest", "live"),
        ("b", "read", "live"),
        ("c", "admin", "revoked"),
    ]
    assert [row["expires"] is None for row in rows] == [True, False, True]
    assert all(row["name"] in listed for row in rows)
    assert [secret for secret in secrets if secret in listed + as_json] == []


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("create", "a b", "--role", "read"), 2, "expected a name"),
        (("create", "(anybody)", "--role", "read"), 2, "expected a name"),
        (("create", "a", "--role", "reader"), 2, "'read'"),
        (("create", "a", "--role", "read", "--expires", "soon"), 2, "--expires"),
        (("create", "a", "--role", "read", "--expires", "0"), 2, "longer than zero"),
        (("create", "a", "--role", "read", "--expires", "9999999d"), 2, "--expires"),
        (("revoke", "a"), 1, "no data"),
        (("list",), 1, "no data"),
    ],
)
def test_mistakes_are_told_and_make_nothing(
    app: App, words: tuple[str, ...], status: int, expected: str
) -> None:
    ended = token(app, *words)
    assert (ended.exit_code, expected in ended.stderr) == (status, True), ended.stderr
    assert not app.data.exists()
    assert isinstance(ended.exception, SystemExit)


def test_a_name_that_is_taken_and_one_that_is_none_are_told(app: App) -> None:
    made(app, "sensors", "ingest")
    taken, unknown = token(app, "create", "sensors", "--role", "read"), token(app, "revoke", "sensor")
    assert (taken.exit_code, "'sensors'" in taken.stderr, taken.stdout) == (1, True, "")
    assert (unknown.exit_code, "those that do: sensors" in unknown.stderr) == (1, True)
