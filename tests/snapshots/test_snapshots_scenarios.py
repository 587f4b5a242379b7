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

pytestmark = pytest.mark.timeout(900)


@contextmanager
def led(actions: Sequence[Action]) -> Iterator[TwoLives]:
    with an_application() as engine:
        lives = TwoLives(engine)
        lives.lead(actions)
        yield lives


@pytest.mark.hypothesis
def test_every_snapshot_is_that_of_the_naive_model_and_all_that_matters_happens(
    pytestconfig: pytest.Config,
) -> None:
    happened: set[str] = set()

    @settings(max_examples=120, deadline=None)
    @given(scenarios())
    def live(actions: list[Action]) -> None:
        with led(actions) as lives:
            lives.compare_series()
            lives.finish_cleaning()
            lives.compare_index()
            happened.update(lives.chronicle.happened)

    live()
    if pytestconfig.getoption("hypothesis_seed") is None:  # other lives may be less eventful
        assert MATTERS - happened == set()


@settings(max_examples=30, deadline=None)
@given(scenarios(), conditions())
def test_every_answer_is_that_of_a_look_at_all_latest_snapshots(
    actions: list[Action], asked: list[tuple[str, Where]]
) -> None:
    with led(actions) as lives:
        for etype, where in asked:
            lives.compare_answers(etype, where)
