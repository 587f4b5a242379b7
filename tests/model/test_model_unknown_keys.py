"""Keys inside values that their data type does not know are found, wherever they are."""

from typing import Any

import pytest

from dp3.model.type_text import parse_type
from dp3.model.unknown_keys import all_but, unknown_keys_of

DICT = "dict<x:int,y?:string>"
NESTED_LINKS = f"link<b,array<link<b,{DICT}>>>"


@pytest.mark.parametrize(
    "data_type",
    [
        "int",
        "json",
        "special",
        "array<json>",
        "category<string;x>",
        "link<b>",
        "link<b,json>",
        "array<link<b,int>>",
    ],
)
def test_types_without_keys_have_no_unknown_ones(data_type: str) -> None:
    assert unknown_keys_of(parse_type(data_type)) is None


@pytest.mark.parametrize(
    ("data_type", "value", "paths"),
    [
        (DICT, {"x": 1}, []),
        (DICT, {"x": 1, "y": None}, []),
        (DICT, {"x": 1, "Y": 2, "": 3}, [("Y",), ("",)]),
        (f"link<b,{DICT}>", {"eid": 1, "data": {"x": 1}}, []),
        (f"link<b,{DICT}>", {"eid": 1, "data": {"x": 1, "eid": 2}}, [("data", "eid")]),
        (f"array<link<b,{DICT}>>", [], []),
        (
            f"set<link<b,{DICT}>>",
            [
                {"eid": 1, "data": {"z": 1}},
                {"eid": 2, "data": {"x": 1}},
                {"eid": 3, "data": {"a": 1, "b": 2}},
            ],
            [(0, "data", "z"), (2, "data", "a"), (2, "data", "b")],
        ),
        (NESTED_LINKS, {"eid": 1, "data": [{"eid": 2, "data": {"x": 1}}]}, []),
        (NESTED_LINKS, {"eid": 1, "data": [{"eid": 2, "data": {"z": 1}}]}, [("data", 0, "data", "z")]),
    ],
)
def test_unknown_keys_are_found_with_the_way_to_them(
    data_type: str, value: Any, paths: list[tuple[str | int, ...]]
) -> None:
    find = unknown_keys_of(parse_type(data_type))
    assert find is not None
    assert [found.path for found in find(value)] == paths
    assert bool(find(value)) == bool(paths)
    assert all(found.known == ("x", "y") for found in find(value))


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, {"eid": 1}, {"data": 1}, [{"data": [1]}]])
@pytest.mark.parametrize("data_type", [f"link<b,{DICT}>", f"array<link<b,{DICT}>>", NESTED_LINKS])
def test_what_is_not_of_the_type_has_no_unknown_keys(data_type: str, value: Any) -> None:
    find = unknown_keys_of(parse_type(data_type))
    assert find is not None
    assert not find(value)


def test_an_unknown_key_comes_with_what_was_sent() -> None:
    (found,) = all_but(["x"])({"x": 1, "z": [2]})
    assert (found.path, found.sent, found.known) == (("z",), [2], ("x",))
