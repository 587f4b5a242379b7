"""The questions of the query benchmark."""

import random

import pytest

from dp3.bench.devices import address_of, eid_of, hostname_of, load_of, temperature_of
from dp3.bench.query import (
    ASKERS,
    LIMIT,
    attr,
    equality,
    in_order,
    ip_prefix,
    master,
    percentiles,
    regex,
    text_prefix,
)

ENTITIES = 1_000


def row(i):
    return {
        "eid": eid_of(i),
        "hostname": hostname_of(i),
        "address": str(address_of(i)),
        "load": load_of(i),
        "temp": temperature_of(i),
    }


def rows(numbers):
    return {"data": [row(i) for i in numbers]}


@pytest.fixture
def rnd():
    return random.Random(1)


@pytest.mark.parametrize("kind", ASKERS)
def test_questions_of_a_kind_differ(kind, rnd):
    assert len({ASKERS[kind](rnd, ENTITIES).path for _ in range(50)}) > 3


def test_an_answer_with_the_value_asked_for_is_good(rnd):
    question = equality(rnd, 1)

    assert question.is_good(rows([0] * LIMIT))


@pytest.mark.parametrize("answer", [rows([0] * 3), rows([*[0] * (LIMIT - 1), 1]), rows([0] * (LIMIT + 1))])
def test_too_few_wrong_or_too_many_rows_are_not_good(answer, rnd):
    assert not equality(rnd, 1).is_good(answer)


def test_addresses_must_be_in_the_network(rnd):
    question = ip_prefix(rnd, 256)

    assert question.is_good(rows(range(LIMIT)))
    assert not question.is_good(rows(range(250, 260)))


def test_texts_must_begin_with_the_prefix(rnd):
    question = text_prefix(rnd, 100)

    assert question.is_good(rows(range(LIMIT)))
    assert not question.is_good(rows(range(90, 90 + LIMIT)))


def test_the_regular_expression_must_match_nothing(rnd):
    assert regex(rnd, ENTITIES).is_good({"data": []})
    assert not regex(rnd, ENTITIES).is_good(rows([1]))


def test_rows_must_be_in_order():
    question = next(
        found for seed in range(100) if "hostname%3A1" in (found := in_order(random.Random(seed), 100)).path
    )

    assert question.is_good(rows(range(LIMIT)))
    assert not question.is_good(rows(reversed(range(LIMIT))))


def test_a_master_record_must_be_that_of_the_entity(rnd):
    question = master(rnd, 1)

    assert question.is_good({"address": {"v": "10.0.0.0"}})
    assert not question.is_good({"address": {"v": "10.0.0.1"}})


def test_an_attribute_must_have_a_value_and_a_history(rnd):
    assert attr(rnd, 1).is_good({"current_value": 0, "history": [{}]})
    assert not attr(rnd, 1).is_good({"current_value": 0, "history": []})


def test_the_figure_of_prefixes_is_the_worse_of_both():
    seconds = {"ip_prefix": [0.001, 0.002], "text_prefix": [0.0015, 0.003]}
    assert percentiles(seconds, 0.95) == {"ip_prefix": 2.0, "text_prefix": 3.0, "prefix": 3.0}
