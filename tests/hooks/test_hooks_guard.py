"""Rules of calling hooks."""

import sys
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dp3.hooks.guard import Guard
from dp3.hooks.kinds import HookKind
from dp3.hooks.outcome import MAX_TRACEBACK_BYTES, HookOutcome
from dp3.hooks.table import Hook
from dp3.hooks.watch import MOST_SLOW_CALLS, HookWatch
from dp3.model.spec import ModelSpec
from dp3.model.task import DataPointTask

ENTITY = ("site", 7)


def a_hook(call: Callable[..., Any], kind: HookKind = "on_entity_creation") -> Hook:
    return Hook(call, "sample", "sample.hook", kind, kind, "site")


@pytest.fixture
def guard() -> Guard:
    return Guard(HookWatch(), max_tasks=3)


@pytest.fixture
def task(model: ModelSpec) -> DataPointTask:
    return DataPointTask(model_spec=model, etype="site", eid=7, delete=True)


def result_of(guard: Guard, result: Any) -> HookOutcome:
    return guard.run(a_hook(lambda: result), ENTITY)


def test_hook_gets_its_arguments(guard: Guard, task: DataPointTask) -> None:
    got: list[Any] = []
    guard.run(a_hook(lambda *args: got.extend(args)), ENTITY, 7, task)
    assert got == [7, task]


@pytest.mark.parametrize("shape", [list, tuple, iter, lambda tasks: (task for task in tasks)])
def test_every_iterable_of_tasks_is_taken(
    guard: Guard, task: DataPointTask, shape: Callable[[Any], Any]
) -> None:
    outcome = result_of(guard, shape([task, task]))
    assert list(outcome.tasks) == [task, task]
    assert outcome.error is None
    assert outcome.duration_ns > 0


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_nothing_is_a_result(guard: Guard, nothing: Any) -> None:
    outcome = result_of(guard, nothing)
    assert (len(outcome.tasks), outcome.error) == (0, None)


@pytest.mark.parametrize(
    ("result", "shown"),
    [(5, "int: 5"), ("text", "str: 'text'"), ({"a": 1}, "dict: {'a': 1}"), (True, "bool: True")],
)
def test_what_is_no_collection_of_tasks_is_a_mistake(guard: Guard, result: Any, shown: str) -> None:
    outcome = result_of(guard, result)
    assert len(outcome.tasks) == 0
    assert outcome.error is not None
    assert outcome.error.kind == "result"
    expected = f"returned of type {shown}; expected None or a list of DataPointTask objects"
    assert outcome.error.reason == expected.replace("returned of type", "returned a value of type")


def test_task_that_is_not_in_a_list_is_a_mistake(guard: Guard, task: DataPointTask) -> None:
    error = result_of(guard, task).error
    assert error is not None and "DataPointTask" in error.reason


def test_a_result_with_a_bad_item_is_not_kept_at_all(guard: Guard, task: DataPointTask) -> None:
    outcome = result_of(guard, [task, {"x": "y" * 500}, task])
    assert len(outcome.tasks) == 0
    assert outcome.error is not None
    assert outcome.error.kind == "result"
    assert outcome.error.reason.startswith(
        "1 of 3 returned items are no DataPointTask, none was kept: item 1 is a value of type dict: "
    )
    assert len(outcome.error.reason) < 300


def test_item_with_a_failing_repr_is_reported(guard: Guard) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError("no")

    error = result_of(guard, [Bad()]).error
    assert error is not None and "Bad instance" in error.reason


def test_a_result_with_more_than_max_tasks_is_not_kept_even_if_it_never_ends(
    guard: Guard, task: DataPointTask
) -> None:
    def endless() -> Iterator[DataPointTask]:
        while True:
            yield task

    outcome = guard.run(a_hook(endless), ENTITY)
    assert len(outcome.tasks) == 0
    assert outcome.error is not None
    assert outcome.error.reason == "returned more than 3 tasks; none was kept"


def test_exception_is_reported_with_the_traceback_of_the_hook_only(guard: Guard) -> None:
    def broken() -> None:
        raise KeyError("missing")

    outcome = guard.run(a_hook(broken), ENTITY)
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.reason) == ("hook", "KeyError: 'missing'")
    assert "in broken" in outcome.error.traceback
    assert "hooks/guard.py" not in outcome.error.traceback


def test_exception_that_can_not_be_shown_is_reported(guard: Guard) -> None:
    class BadError(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    def broken() -> None:
        raise BadError

    error = guard.run(a_hook(broken), ENTITY).error
    assert error is not None and "BadError" in error.reason


def test_generator_that_raises_half_way_produces_nothing(guard: Guard, task: DataPointTask) -> None:
    def broken() -> Iterator[DataPointTask]:
        yield task
        raise ValueError("half way")

    outcome = guard.run(a_hook(broken), ENTITY)
    assert len(outcome.tasks) == 0
    assert outcome.error is not None and outcome.error.kind == "hook"


def test_hook_that_exits_the_interpreter_has_failed(guard: Guard) -> None:
    error = guard.run(a_hook(lambda: sys.exit(3)), ENTITY).error
    assert error is not None and error.reason == "SystemExit: 3"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit, CancelledError])
def test_hook_that_raises_what_is_no_exception_has_failed(guard: Guard, raised: type[BaseException]) -> None:
    def hook() -> None:
        raise raised

    error = guard.run(a_hook(hook), ENTITY).error
    assert error is not None and raised.__name__ in error.reason


def test_traceback_and_reason_are_bounded_and_keep_the_cause(guard: Guard) -> None:
    def deep(level: int) -> None:
        if level:
            try:
                deep(level - 1)
            except ValueError as error:
                raise ValueError("ž" * 1000) from error
        raise ValueError("\ud800 the cause")

    error = guard.run(a_hook(lambda: deep(50)), ENTITY).error
    assert error is not None
    assert len(error.traceback.encode()) <= MAX_TRACEBACK_BYTES
    assert "the cause" in error.traceback
    assert "\n...\n" in error.traceback
    assert len(error.reason) <= 2000


@pytest.mark.parametrize(
    ("answer", "allowed"), [(True, True), (1, True), (False, False), (None, False), ("", False)]
)
def test_allow_hook_decides_by_truth(guard: Guard, answer: Any, allowed: bool) -> None:
    assert guard.run(a_hook(lambda: answer, "allow_entity_creation"), ENTITY).allowed is allowed


def test_failing_allow_hook_allows_and_is_reported(guard: Guard) -> None:
    outcome = guard.run(a_hook(lambda: 1 / 0, "allow_entity_creation"), ENTITY)
    assert outcome.allowed
    assert outcome.error is not None and outcome.error.reason == "ZeroDivisionError: division by zero"


def test_result_of_a_task_hook_is_ignored_and_its_failure_reported(guard: Guard) -> None:
    assert guard.run(a_hook(lambda: 5, "task"), ENTITY).error is None
    assert guard.run(a_hook(lambda: 1 / 0, "task"), ENTITY).error is not None


def test_watch_sees_a_hook_only_while_it_runs() -> None:
    watch = HookWatch(hook_timeout_s=10, hook_hang_s=60)
    guard, seen = Guard(watch), []

    def look() -> None:
        for seconds in (0, 11, 61):
            seen.extend(watch.running(time.monotonic_ns() + seconds * 10**9))

    guard.run(a_hook(look), ENTITY)
    assert [(run.slow, run.hanging) for run in seen] == [(False, False), (True, False), (True, True)]
    assert [run.entity for run in seen] == ["site/7"] * 3
    assert [bool(run.stack) for run in seen] == [False, True, True]
    assert "in look" in seen[1].stack
    assert seen[2].hook.name == "sample.hook"
    assert 61 <= seen[2].running_s < 62
    assert watch.running(time.monotonic_ns()) == []


@pytest.mark.parametrize("kind", ["on_entity_creation", "task", "allow_entity_creation"])
def test_watch_forgets_a_hook_that_failed(kind: HookKind) -> None:
    watch = HookWatch()
    Guard(watch).run(a_hook(lambda: 1 / 0, kind), ENTITY)
    assert watch.running(time.monotonic_ns()) == []


@pytest.mark.parametrize("kind", ["on_entity_creation", "task", "allow_entity_creation"])
def test_a_call_that_took_longer_than_the_limit_is_remembered_with_its_entity(kind: HookKind) -> None:
    watch = HookWatch(hook_timeout_s=0)
    Guard(watch).run(a_hook(lambda: None, kind), ENTITY)
    Guard(watch).run(a_hook(lambda: 1 / 0, kind), ("", ""))
    calls = watch.take_slow()
    assert [(call.hook.name, call.entity) for call in calls] == [
        ("sample.hook", "site/7"),
        ("sample.hook", ""),
    ]
    assert all(call.took_s > 0 for call in calls)
    assert (watch.slow_calls, watch.take_slow()) == (2, [])


def test_a_call_within_the_limit_is_not_remembered() -> None:
    watch = HookWatch(hook_timeout_s=10)
    Guard(watch).run(a_hook(lambda: None), ENTITY)
    assert (watch.slow_calls, watch.take_slow()) == (0, [])


def test_of_very_many_slow_calls_the_latest_are_remembered() -> None:
    watch = HookWatch(hook_timeout_s=0)
    guard = Guard(watch)
    for number in range(MOST_SLOW_CALLS + 5):
        guard.run(a_hook(lambda: None), ("site", number))
    calls = watch.take_slow()
    assert watch.slow_calls == MOST_SLOW_CALLS + 5
    assert (calls[0].entity, len(calls)) == ("site/5", MOST_SLOW_CALLS)
