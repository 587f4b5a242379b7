"""Ids and texts that would be other lines of a log, or orders to a terminal, are shown as what they are."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from kit.program import App, running
from kit.specs import a_type, plain_attr

MODULE = """
from dp3.common.base_module import BaseModule

class Failing(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.on_new, "a", "p")

    def on_new(self, eid, dp):
        self.log.warning("%s has %s", eid, dp.v)
        try:
            raise ValueError(dp.v)
        except ValueError:
            self.log.exception("failed")
            raise
"""

ID, VALUE = "id\nworker-0 FORGED\x1b[2J", "v\r\nworker-0 FORGED\x1b]0;t\x07\x9b31m\u202e"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application in which a hook has failed for hostile text."""
    types = {"a": a_type("a", {"p": plain_attr("string")})}
    with running(tmp_path_factory.mktemp("hostile"), types, {"failing": MODULE}) as app:
        assert app.http.send([{"type": "a", "id": ID, "attr": "p", "v": VALUE}], wait=True)[0] == 200
        yield app


def shown(app: App, *command: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "dp3", *command, "--url", app.url], capture_output=True, check=True
    )
    return done.stdout.decode()


def assert_harmless(text: str) -> None:
    assert "FORGED" in text
    assert not set(text) & set("\r\x1b\x07\x9b\u202e")


def test_text_from_outside_makes_no_line_of_the_log(app: App) -> None:
    assert_harmless(app.program.output)
    assert not [line for line in app.program.output.split("\n") if line.startswith("worker-0 FORGED")]
    assert r"id\nworker-0 FORGED\u001b[2J has v\r\nworker-0 FORGED" in app.program.output


def test_dead_letters_are_shown_without_orders_to_the_terminal(app: App) -> None:
    [letter] = app.dead_letters()
    assert (letter["eid"], VALUE in letter["reason"]) == (ID, True)
    assert_harmless(shown(app, "deadletters", "list"))
    one = shown(app, "deadletters", "show", str(letter["id"]))
    assert_harmless(one)
    assert r"id\nworker-0 FORGED\u001b[2J" in one
