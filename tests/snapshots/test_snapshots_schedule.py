"""When runs begin by themselves."""

from typing import Any

from dp3.config.kinds import CronExpression
from dp3.engine.jobs.job import Schedule

MINUTE_US = 60_000_000
HALF_PAST_US = 1_600_000_200_000_000  # 2020-09-13T12:30:00Z


def ticks(**cron: Any) -> Schedule:
    return Schedule(CronExpression(**(cron or {"minute": "*/30"})), HALF_PAST_US - 10 * MINUTE_US)


def test_nothing_is_due_before_the_moment() -> None:
    assert ticks().due(HALF_PAST_US - 1) is None


def test_whoever_looks_later_gets_the_moment_itself() -> None:
    assert ticks().due(HALF_PAST_US + 1_234_567) == HALF_PAST_US


def test_a_moment_is_due_once() -> None:
    schedule = ticks()
    schedule.due(HALF_PAST_US)
    assert schedule.due(HALF_PAST_US + 1) is None


def test_a_moment_that_was_slept_through_is_passed_over() -> None:
    schedule = ticks()
    assert schedule.due(HALF_PAST_US + 2 * MINUTE_US) is None
    assert schedule.due(HALF_PAST_US + 30 * MINUTE_US) == HALF_PAST_US + 30 * MINUTE_US


def test_of_several_moments_that_were_missed_the_last_one_is_due() -> None:
    schedule = ticks(second="*/10")
    assert schedule.due(HALF_PAST_US + 35_000_000) == HALF_PAST_US + 30_000_000


def test_a_schedule_may_end() -> None:
    schedule = Schedule(CronExpression(year=2019), HALF_PAST_US)
    assert schedule.due(HALF_PAST_US + 100 * MINUTE_US) is None
