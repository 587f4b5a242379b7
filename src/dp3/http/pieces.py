"""Large JSON arrays a piece at a time, so that the decoded form of one is never in memory all at once.

A C function that decodes holds the interpreter's lock until it is through: pieces are small so that all
threads get their turns.
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Any

PIECE_BYTES = 64 << 10
"""Of JSON are decoded at once, unless one element has more: 3 ms of `[],[],…`."""

SMALL_BODY = 4 * PIECE_BYTES
"""A body up to this size is decoded at once: 2 000 usual data-points, which take 5 ms."""

Sent = bytes | bytearray

_skip_space = re.compile(rb"[ \t\n\r]*+").match

# A string, an object without containers in it, or a character of structure. Possessive: without backtracking.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_tokens = re.compile(
    rb"(?s:" + _STRING + rb'|\{[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+\}|["\[\]{},])'
).finditer

_OPEN, _CLOSE, _COMMA, _QUOTE = frozenset(b"[{"), frozenset(b"]}"), ord(","), ord('"')


class InvalidJson(ValueError):
    """A text is not JSON: the reason, as the standard library says it, and at which character of the text."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


class ElementTooLarge(Exception):
    """An element has more bytes than an element may have; nothing from there on was looked at."""


def elements(body: Sent, largest: int) -> Iterator[tuple[int, list[Any]]]:
    """The elements of the JSON array that `body` holds, decoded as by `json.loads` when their turn comes,
    some at a time, with the bytes of their text.

    Raises `InvalidJson`, with the reason and position that `json.loads` gives, when it gets there, and
    `ElementTooLarge` at an element of more than `largest` bytes. `body` must be UTF-8 and begin with a
    bracket after white space, if any.
    """
    start = after_space(body, 0) + 1
    characters, is_first, is_last = start, True, False
    while not is_last:
        space = after_space(body, start) - start
        start, characters = start + space, characters + space
        end, is_last = _piece_end(body, start, largest)
        text = body[start:end].decode()
        # Zeros stand for what comes before and after, so that a piece is wrong where the whole would be.
        prefix, suffix = "[" if is_first else "[0,", "" if is_last else ",0]"
        decoded = decode_text(prefix + text + suffix, len(prefix) - characters)
        yield end - start, decoded[0 if is_first else 1 : None if is_last else -1]
        characters += len(text) + 1
        start, is_first = end + 1, False


def decode_text(text: str, shift: int = 0) -> Any:
    """The value of a text, whose characters stand `shift` characters earlier in all of the JSON. Raises
    `InvalidJson`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(error.pos - shift, error.msg) from None
    except RecursionError:
        raise InvalidJson(0, "Nested too deeply") from None
    except ValueError as error:
        raise InvalidJson(0, str(error)) from None


def _piece_end(body: Sent, start: int, largest: int) -> tuple[int, bool]:
    """The end of whole elements that begin at `start`: a comma after them, or (True) where the array ends,
    with what follows it. For text that is not JSON, the piece has the first mistake in it."""
    limit = start + largest + 1
    last, depth = 0, 0
    for token in _tokens(body, start, limit):
        at = token.start()
        kind = body[at]
        if token.end() - at > 1:
            continue
        if kind == _QUOTE:  # it is not closed
            break
        if kind in _OPEN:
            depth += 1
        elif kind in _CLOSE:
            depth -= 1
            if depth < 0:
                return _end_of_array(body, at + 1), True
        elif depth == 0:
            if last and at - start > PIECE_BYTES:
                return last, False
            last = at
            if at - start >= PIECE_BYTES:
                return last, False
    if last:
        return last, False
    if limit < len(body):
        raise ElementTooLarge
    return len(body), True


def _end_of_array(body: Sent, end: int) -> int:
    """`end`, or the end of the first character behind it that should not be there."""
    more = after_space(body, end)
    return end if more == len(body) else _character_end(body, more)


def _character_end(body: Sent, start: int) -> int:
    end = start + 1
    while end < len(body) and body[end] & 0xC0 == 0x80:
        end += 1
    return end


def after_space(body: Sent, start: int) -> int:
    """The position of the first character that is not white space."""
    while True:
        found = _skip_space(body, start, start + PIECE_BYTES)
        assert found is not None
        if found.end() < start + PIECE_BYTES:
            return found.end()
        start = found.end()


def check_utf8(body: Sent) -> None:
    """Raise `InvalidJson` with the position (in bytes) of what is not UTF-8."""
    if body.isascii():
        return
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), PIECE_BYTES):
        begun = len(decoder.getstate()[0])
        end = start + PIECE_BYTES
        try:
            decoder.decode(body[start:end], final=end >= len(body))
        except UnicodeDecodeError as error:
            raise InvalidJson(start - begun + error.start, "Invalid UTF-8") from None
