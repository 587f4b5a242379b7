"""Answers of a copy of the state say how old they are."""

import pytest

from kit.node import dp


@pytest.mark.parametrize(
    ("path", "is_told"),
    [
        ("/entities", True),
        ("/entity/a/e1/master", True),
        ("/entity/a/get", True),
        ("/entity/a/nobody/master", True),
        ("/entity/a/raw/get", False),
        ("/telemetry/log", False),
        ("/", False),
    ],
)
def test_questions_about_entities_say_how_old_their_answer_is(make_node, path, is_told):
    node = make_node(data_age_s=lambda: 2.31)
    node.store_points(dp("p", 1))

    assert node.get(path).headers.get("DP3-Data-Age") == ("2.4" if is_told else None)


def test_an_answer_is_not_older_than_it_says(make_node):
    ages = iter((0.0, 0.01, 12.0))
    node = make_node(data_age_s=lambda: next(ages))

    assert [node.get("/entities").headers["DP3-Data-Age"] for _ in range(3)] == ["0.0", "0.1", "12.0"]


def test_an_age_that_nobody_knows_is_not_told(make_node):
    assert "DP3-Data-Age" not in make_node(data_age_s=lambda: None).get("/entities").headers


def test_what_is_sent_has_no_age(make_node):
    assert "DP3-Data-Age" not in make_node(data_age_s=lambda: 1.0).send(dp("p", 1)).headers


def test_below_a_prefix_of_a_proxy_answers_have_an_age_too(make_node):
    node = make_node(data_age_s=lambda: 1.0, root_path="/dp3/")

    assert node.get("/dp3/entities").headers["DP3-Data-Age"] == "1.0"
