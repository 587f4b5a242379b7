"""The text of data types and what `DataType` tells about them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_builders import LINKABLE, a_data_type
from pydantic import BaseModel

from dp3.model.datatype import DataType, is_primitive_element_type
from dp3.model.entityspec import EidDataType, entity_context, get_entity_context
from dp3.model.type_text import (
    COMPOSITES,
    PRIMITIVES,
    DictKey,
    DictOf,
    LinkTo,
    ListOf,
    OneOf,
    Primitive,
    parse_type,
)

primitives = st.sampled_from(PRIMITIVES).map(Primitive)
ids = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,5}", fullmatch=True)
words = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_]{0,5}", fullmatch=True)
dicts = st.lists(
    st.builds(DictKey, words, primitives, st.booleans()), min_size=1, unique_by=lambda k: k.name
).map(lambda keys: DictOf(tuple(keys)))
categories = st.builds(OneOf, primitives, st.lists(words, min_size=1, max_size=3).map(tuple))
links = st.builds(LinkTo, ids, st.none() | primitives | dicts | categories, st.none() | ids)
lists = st.builds(ListOf, st.sampled_from(["array", "set"]), primitives | links)
types = primitives | dicts | categories | links | lists


@settings(deadline=None)
@given(types)
def test_text_of_a_parsed_type_parses_to_the_same_type(expr: object) -> None:
    assert parse_type(str(expr)) == expr


@settings(deadline=None)
@given(types)
def test_blanks_are_allowed_between_all_parts(expr: object) -> None:
    spaced = "".join(f" {c} " if c in "<>,;:=?" else c for c in str(expr))
    assert parse_type(f" {spaced} ") == expr


@settings(deadline=None)
@given(st.text("<>,;:=?abc_-1 ") | st.text())
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        parse_type(text)
    except ValueError as error:
        assert str(error).startswith(f"Data type '{text}' is not supported: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("strng", "unknown type 'strng'; did you mean 'string'?"),
        ("", "expected a data type, got the end"),
        ("array<int", "expected '>', got the end"),
        ("array<array<int>>", "elements of array must be a primitive type or a link, got array<int>"),
        ("set<category<int;1>>", "elements of set must be a primitive type or a link"),
        ("dict<>", "expected a key of word characters, got '>'"),
        ("dict<a:int,a:int>", "a key is given twice"),
        ("dict<_a:int>", "key '_a' must not start with an underscore"),
        ("dict<a:dict<b:int>>", "expected a primitive type, got dict<b:int>"),
        ("category<string>", "expected ';', got '>'"),
        ("category<string;a b>", "expected '>', got 'b'"),
        ("category<int;one>", "value 'one' is not a int"),
        ("link<s;miror=x>", "expected 'mirror', got 'miror'"),
        ("link<1s>", "expected an entity type, got '1s'"),
        ("link<s,link<n;mirror=x>>", "link data cannot be mirrored"),
        ("int int", "unexpected 'int' after the type"),
        ("int!", "unexpected '!'"),
    ],
)
def test_wrong_text_is_explained(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        a_data_type(text)
    assert str(caught.value).startswith(f"Data type '{text}' is not supported: ") or "category" in text
    assert reason in str(caught.value)


def test_link_to_an_unknown_entity_type_suggests_a_near_one() -> None:
    with pytest.raises(
        ValueError, match=r"Entity type 'with-dsh' is not defined; did you mean 'with-dash'\?"
    ):
        a_data_type("link<with-dsh>")


@pytest.mark.parametrize(
    "text", [t for t in PRIMITIVES if t not in ("special", "json")] + ["category<string;json>"]
)
def test_scalar_types_are_hashable(text: str) -> None:
    assert a_data_type(text).hashable


@pytest.mark.parametrize("text", ["special", "json", "array<int>", "set<int>", "dict<a:int>", "link<s>"])
def test_other_types_are_not_hashable(text: str) -> None:
    assert not a_data_type(text).hashable


def test_link_type_knows_target_data_and_mirror() -> None:
    link = a_data_type("link<s,int;mirror=m>")
    assert (link.is_link, link.link_to, link.get_linked_entity(), link.link_has_data()) == (
        True,
        "s",
        "s",
        True,
    )
    assert (link.mirror_link, link.mirror_as) == (True, "m")


def test_array_type_knows_its_element_type() -> None:
    array = a_data_type("array<link<s>>")
    assert array.iterable and not array.is_link
    assert array.elem_type == a_data_type("link<s>")


def test_questions_about_links_are_errors_for_other_types() -> None:
    for ask in (a_data_type("int").get_linked_entity, a_data_type("int").link_has_data):
        with pytest.raises(ValueError, match="Data type 'int' is not a link"):
            ask()


def test_original_text_is_kept_and_the_tracked_one_has_no_blanks() -> None:
    data_type = a_data_type("dict< a? : int >")
    assert (data_type.root, str(data_type), data_type.type_info) == (
        *("dict< a? : int >",) * 2,
        "dict<a?:int>",
    )


def test_types_that_differ_are_told_apart_by_the_tracked_text() -> None:
    texts = ["tag", "binary", "array<int>", "set<int>", "category<int;1>", "category<int;2>", "link<s,int>"]
    assert len({a_data_type(text).type_info for text in texts}) == len(texts)


def test_link_targets_come_from_the_enclosing_context() -> None:
    with entity_context(LINKABLE["s"], LINKABLE):
        assert DataType("link<n>").link_to == "n"
        assert get_entity_context() == {"self": LINKABLE["s"], "entities": LINKABLE}
    with pytest.raises(ValueError, match="Entity type 'n' is not defined"):
        DataType("link<n>")
    with pytest.raises(ValueError, match="Missing entity context"):
        get_entity_context()


def test_data_types_are_pydantic_fields_written_as_their_text() -> None:
    class Fields(BaseModel):
        a: DataType
        b: EidDataType

    fields = Fields.model_validate({"a": "int", "b": "mac"})
    assert fields.model_dump(mode="json") == {"a": "int", "b": "mac"}


def test_unknown_id_type_is_explained() -> None:
    with pytest.raises(
        ValueError, match=r"Data type 'strin' is not supported for ids: .*did you mean 'string'\?"
    ):
        EidDataType("strin")


def test_primitive_names_are_told_from_composite_ones() -> None:
    assert all(map(is_primitive_element_type, PRIMITIVES))
    assert not any(map(is_primitive_element_type, COMPOSITES))
