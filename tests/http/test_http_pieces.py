"""An array that is read in pieces is what the standard library says it is, mistakes included."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.http.pieces import ElementTooLarge, InvalidJson, after_space, check_utf8, elements
from kit.limits import piece_bytes

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
arrays = st.builds(
    lambda array, indent, ascii: json.dumps(array, indent=indent, ensure_ascii=ascii).encode(),
    st.lists(values),
    st.sampled_from([None, 1]),
    st.booleans(),
)
tokens = [
    *'[]{}",:\\ \n\t\x01\ufeff',
    *("1", "-", "1.5", "e", "nul", "true", "NaN", '"a"', '"é😀"', '{"a":1}', "[1]", "\\u12", '"\\ud800"'),
    "9" * 5_000,
]
nonsense = st.lists(st.sampled_from(tokens), max_size=30).map(lambda parts: ("[" + "".join(parts)).encode())


def changed(array: bytes, at: int, put: bytes, removed: int) -> bytes:
    at = 1 + at % len(array)
    return array[:at] + put + array[at + removed :]


nearly_right = st.builds(
    changed,
    arrays,
    st.integers(0, 10_000),
    st.sampled_from([b"", b'"', b",", b"]", b"[", b"{", b"}", b"\\", b"\xff", b" ", b"x"]),
    st.integers(0, 2),
)


def at_once(body: bytes) -> list[Any] | tuple[int, str]:
    """The array, or the position of the mistake and what it is."""
    try:
        decoded: list[Any] = json.loads(body.decode())
        return decoded
    except UnicodeDecodeError as error:
        return error.start, "Invalid UTF-8"
    except json.JSONDecodeError as error:
        return error.pos, error.msg
    except ValueError as error:
        return 0, str(error)


def in_pieces(body: bytes) -> list[Any] | tuple[int, str]:
    try:
        check_utf8(body)
        return [element for _, some in elements(body, 1 << 20) for element in some]
    except InvalidJson as error:
        return error.position, error.reason


@settings(max_examples=600, deadline=None)
@given(arrays | nonsense | nearly_right, st.sampled_from([1, 5, 40]))
def test_pieces_of_any_size_are_together_what_the_whole_is(body: bytes, size: int) -> None:
    with piece_bytes(size):
        assert repr(in_pieces(body)) == repr(at_once(body))
        assert repr(in_pieces(bytearray(body))) == repr(at_once(body))


def test_a_piece_is_not_decoded_before_its_turn() -> None:
    with piece_bytes(10):
        pieces = elements(b"[1, 2, 3, 4, 5, 6, nonsense", 100)
        assert next(pieces)[1] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "large", [b'"' + b"x" * 98 + b'"', b"[" + b"[]," * 32 + b"1]", b"{" + b" " * 98 + b"}"]
)
def test_an_element_that_is_too_large_is_not_decoded(large: bytes) -> None:
    with piece_bytes(10):
        body = b"[1, 2, %b, 3]" % large
        assert len(in_pieces(body)) == 4
        pieces = elements(body, len(large) - 1)
        assert next(pieces)[1] == [1, 2]
        with pytest.raises(ElementTooLarge):
            next(pieces)


def test_white_space_is_passed_over_however_much_there_is() -> None:
    space = b" \t\r\n" * 30
    with piece_bytes(10):
        assert after_space(space + b"[", 0) == len(space)
        assert after_space(space, 0) == len(space)
        assert in_pieces(b"%b[%b1%b,%b2%b]%b" % ((space,) * 6)) == [1, 2]
