"""Rules of the lines that tell of failures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dp3.hooks.failures import FailureLog
from dp3.hooks.guard import Guard
from dp3.hooks.kinds import HookKind
from dp3.hooks.table import Hook
from dp3.hooks.watch import HookWatch
from dp3.repetitions import MOST_CAUSES, QUIET_S

ENTITY = ("site", 7)

MODULE = """\
import json

def helper():
    return json.loads("{")

def hook():
    return helper()

def returns_rubbish():
    return ["secret-value"]
"""


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Failing:
    """A guard whose failures are told, as whoever keeps them does."""

    def __init__(self, application: Path | None, clock: Clock) -> None:
        self._guard = Guard(HookWatch(), failures=FailureLog(application, clock))

    def call(
        self,
        hook: Callable[..., Any],
        entity: Any = ENTITY,
        kind: HookKind = "on_entity_creation",
        name: str = "hook",
    ) -> None:
        called = Hook(hook, "sample", name, kind, kind, "site")
        error = self._guard.run(called, entity).error
        assert error is not None
        self._guard.report(called, entity, error)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failing(clock: Clock) -> Failing:
    return Failing(None, clock)


@pytest.fixture
def module(tmp_path: Path) -> dict[str, Any]:
    """What is in a file of the application."""
    path = tmp_path / "modules" / "sample.py"
    path.parent.mkdir()
    path.write_text(MODULE)
    found: dict[str, Any] = {}
    exec(compile(MODULE, str(path), "exec"), found)
    return found


def raising() -> None:
    raise ValueError("no")


def test_the_first_failure_is_told_with_module_hook_entity_exception_and_place(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    failing.call(raising)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    line = raising.__code__.co_firstlineno + 1
    failed = "module sample: hook hook (on_entity_creation) failed for site/7"
    assert record.getMessage() == f"{failed} at {__file__}:{line}: ValueError: no"


def test_then_the_tenth_hundredth_and_so_on_are_told_with_how_many_there_were(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_500):
        failing.call(raising, ("site", number))
    told = [(message.split(" failed")[1].split(", now")[0], message) for message in caplog.messages]
    assert [times for times, _ in told[1:]] == [" 10 times", " 100 times", " 1000 times"]
    assert "now for site/999 at " in caplog.messages[-1]


def test_what_fails_seldom_is_told_again_when_the_last_line_is_old(
    failing: Failing, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        failing.call(raising)
    clock.now_s += QUIET_S
    for _ in range(3):
        failing.call(raising)
    assert [" failed 4 times, now for" in message for message in caplog.messages] == [False, True]


def test_hooks_places_and_types_of_exceptions_are_told_each_for_itself(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    def other_place() -> None:
        raise ValueError("no")

    def of_a_type(kind: type[Exception]) -> Callable[[], None]:
        def hook() -> None:
            raise kind("no")

        return hook

    for _ in range(3):
        failing.call(raising)
        failing.call(raising, name="other")
        failing.call(raising, kind="task")
        failing.call(other_place)
        failing.call(of_a_type(KeyError))
        failing.call(of_a_type(TypeError))
    assert len(caplog.messages) == 6


def test_the_place_is_the_innermost_line_in_the_folder_of_the_modules(
    tmp_path: Path, clock: Clock, module: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    Failing(tmp_path / "modules", clock).call(lambda: module["hook"]())
    assert f" at {tmp_path}/modules/sample.py:4: json.decoder.JSONDecodeError: " in caplog.text


def test_a_bad_result_is_told_without_values_and_with_the_place_of_the_hook(
    tmp_path: Path, clock: Clock, module: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    Failing(tmp_path / "modules", clock).call(module["returns_rubbish"])
    (message,) = caplog.messages
    assert f" at {tmp_path}/modules/sample.py:9: 1 of 1 returned items are no DataPointTask" in message
    assert message.endswith("item 0 is a value of type str")
    assert "secret-value" not in message


def test_an_exception_is_told_in_a_bounded_length(failing: Failing, caplog: pytest.LogCaptureFixture) -> None:
    def hook() -> None:
        raise ValueError("x" * 100_000)

    failing.call(hook)
    assert len(caplog.messages[0]) < 1_000


def test_hooks_that_are_called_for_no_entity_are_told_without_one(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    failing.call(raising, ("", ""), "snapshot_init")
    assert "hook hook (snapshot_init) failed at " in caplog.text


def test_types_that_are_made_up_as_they_go_are_counted_together_after_many(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(number: int) -> None:
        raise type(f"Error{number}", (Exception,), {})

    for number in range(MOST_CAUSES + 500):
        failing.call(lambda number=number: hook(number))
    assert len(caplog.messages) == MOST_CAUSES + 3, "of the others the 1st, 10th and 100th"
