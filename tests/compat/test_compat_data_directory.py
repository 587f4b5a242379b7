"""A data directory that version 0.1 left in the midst of work opens, and all that is asked of it is answered
as version 0.1 did: as it was left, when the work that waits is done, and later.

Version 0.1 ran the configuration and the modules in `app` for five days of a clock that stood still between
steps, with two workers, and was left with work of every kind under way.
"""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import pytest
from opening import closed_in_order
from phases import PHASES, live, unpacked
from recording import Question, comparable, read

SHOWN_LINES = 40
SHOWN_DIFFERENCES = 10

Answers = dict[str, list[tuple[Question, Any, Any]]]
"""Phase → questions, each with what version 0.1 answered and what is answered now."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    recorded = read(PHASES)
    answers: Answers = {}
    with closed_in_order(unpacked(tmp_path_factory.mktemp("data"))) as app:
        for phase in live(app):
            answers[phase] = [(one.question, one.answers[phase], one.question.ask(app)) for one in recorded]
    yield answers


@pytest.mark.parametrize("phase", PHASES)
def test_everything_is_answered_as_version_0_1_did(answers: Answers, phase: str) -> None:
    stored = phase == PHASES[0]
    different = []
    for question, recorded, answer in answers[phase]:
        before, now = (comparable(one, question, stored=stored) for one in (recorded, answer))
        if before != now and not question.continues_text_search:
            different.append((question, before, now))
    if different:
        pytest.fail(_report(different), pytrace=False)


def test_a_search_of_texts_is_begun_anew(answers: Answers) -> None:
    """Cursors of version 0.1 did not tell patterns apart, so they are not taken any more."""
    continued = [answer for question, _, answer in answers[PHASES[0]] if question.continues_text_search]
    assert len(continued) == 2
    for status, content in continued:
        assert (status, content["detail"][0]["loc"]) == (422, ["query", "cursor"])


def _report(different: list[tuple[Question, str, str]]) -> str:
    parts = [f"{len(different)} answers are others:"]
    for question, before, now in different[:SHOWN_DIFFERENCES]:
        lines = list(
            unified_diff(before.splitlines(), now.splitlines(), "version 0.1", "now", n=2, lineterm="")
        )
        parts += [f"{question.method} {question.url} {question.body or ''}", *lines[:SHOWN_LINES]]
    return "\n".join(parts)
