"""Text from outside, made fit for a terminal and for logs of lines."""

import json
import re

_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but the tab, what separates lines or turns the direction of writing, lone surrogates."""

FURTHER_LINES = "further_lines"
"""Attribute of an event of the log that has further lines; see `further_lines`."""


def printable(text: str) -> str:
    """The text in one line without anything that a terminal or a reader of lines would act on.

    Such characters are escaped as in JSON, so JSON that passes this is the same JSON. Other text can not be
    turned back: a backslash stays as it is.

    >>> printable("a\\x1b[2J b\\nERROR")
    'a\\\\u001b[2J b\\\\nERROR'
    """
    return _UNSAFE.sub(_escape, text)


def printable_lines(text: str, indent: str = "") -> str:
    """The same for text of several lines, such as a traceback: newlines stay, lines begin with `indent`."""
    return "\n".join(indent + printable(line) for line in text.split("\n"))


def further_lines(text: str) -> dict[str, str]:
    """`extra` of an event of the log that several lines belong to, such as a stack: newlines in its message
    are escaped."""
    return {FURTHER_LINES: text}


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
