"""Whatever happens to an application, its snapshots are those of the naive model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from application import an_application
from chronicle import MATTERS
from hypothesis import given, settings
from scenario_strategies import Action, conditions, scenarios
from two_lives import TwoLives

from dp3.store.ports.queries import Where
from kit.rooms import examples

pytestmark = pytest.mark.timeout(900)


@contextmanager
def led(actions: Sequence[Action]) -> Iterator[TwoLives]:
    with an_application() as engine:
        lives = TwoLives(engine)
        lives.lead(actions)
        yield lives


@settings(max_examples=examples(120), deadline=None)
@given(scenarios())
def test_every_snapshot_is_that_of_the_naive_model(actions: list[Action]) -> None:
    with led(actions) as lives:
        lives.compare_series()
        lives.finish_cleaning()
        lives.compare_index()


@settings(max_examples=examples(30), deadline=None)
@given(scenarios(), conditions())
def test_every_answer_is_that_of_a_look_at_all_latest_snapshots(
    actions: list[Action], asked: list[tuple[str, Where]]
) -> None:
    with led(actions) as lives:
        for etype, where in asked:
            lives.compare_answers(etype, where)


@pytest.mark.files
def test_all_that_matters_happens_in_a_hundred_lives() -> None:
    happened: set[str] = set()

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(scenarios())
    def live(actions: list[Action]) -> None:
        with led(actions) as lives:
            lives.compare_series()
            happened.update(lives.chronicle.happened)

    live()
    assert MATTERS - happened == set()
