"""A clock that is set, ahead or back, while the worker works."""

import logging
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.clock_watch import ClockWatch

DAY_S = 86_400
YEAR_S = 365 * DAY_S


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_time_that_passes_is_no_jump(clock: FakeClock) -> None:
    watch = ClockWatch(clock)
    for seconds in (0.001, 3600, 400 * DAY_S):
        clock.advance(seconds)
        assert not watch.look()
    assert watch.is_trusted


@pytest.mark.parametrize("seconds", [YEAR_S, -3600, 2, -2])
def test_a_jump_is_noticed_once_and_told(
    clock: FakeClock, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    watch, calls = ClockWatch(clock), []
    watch.on_jump(lambda: calls.append(clock.now_us()))
    clock.jump(seconds)
    with caplog.at_level(logging.WARNING):
        assert [watch.look(), watch.look()] == [True, False]
    assert calls == [clock.now_us()]
    assert f"the clock was set {'ahead' if seconds > 0 else 'back'}" in caplog.text


@pytest.mark.parametrize(("seconds", "trusted"), [(3599, True), (3602, False), (-YEAR_S, True)])
def test_a_clock_that_is_set_far_ahead_is_not_trusted(
    clock: FakeClock, seconds: float, trusted: bool
) -> None:
    watch = ClockWatch(clock)
    clock.jump(seconds)
    assert watch.is_trusted is trusted


def test_it_is_trusted_again_when_it_has_been_right_for_a_quarter_of_an_hour(clock: FakeClock) -> None:
    watch = ClockWatch(clock)
    clock.jump(YEAR_S)
    watch.look()
    clock.advance(600)
    clock.jump(-YEAR_S)
    assert watch.look()
    clock.advance(899)
    assert (watch.look(), watch.is_trusted) == (False, False)
    clock.advance(1)
    assert (watch.look(), watch.is_trusted, watch.look()) == (True, True, False)


def test_whoever_read_a_wrong_time_knows_it_before_the_next_look(clock: FakeClock) -> None:
    watch = ClockWatch(clock)
    assert not watch.look()
    clock.jump(YEAR_S)
    assert not watch.is_trusted
    assert watch.look()


def test_a_restart_does_not_bring_trust_back(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "distrust"
    watch = ClockWatch(clock, 0, file)
    clock.jump(YEAR_S)
    watch.look()
    again = ClockWatch(clock, clock.now_us(), file)
    assert not again.is_trusted
    clock.advance(900)
    assert again.look()
    assert ClockWatch(clock, clock.now_us(), file).is_trusted


def test_a_disk_that_takes_no_note_of_it_changes_nothing(
    clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = ClockWatch(clock, 0, tmp_path / "no directory" / "distrust")
    clock.jump(YEAR_S)
    assert (watch.look(), watch.is_trusted) == (True, False)
    assert "can not be noted for the next start" in caplog.text
    clock.advance(900)
    assert (watch.look(), watch.is_trusted) == (True, True)


def test_a_start_long_after_all_that_is_known_is_no_reason_for_trust(clock: FakeClock) -> None:
    assert ClockWatch(clock, clock.now_us() - 3_599_000_000).is_trusted
    late = ClockWatch(clock, clock.now_us() - 3_601_000_000)
    assert not late.is_trusted
    clock.advance(900)
    assert (late.look(), late.is_trusted) == (True, True)
