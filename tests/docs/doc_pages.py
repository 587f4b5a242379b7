"""Reading the pages of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

Row = dict[str, str]
"""Cells of a table row by the name of their column."""


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def found(pattern: str, text: str) -> str:
    """The first group of the first match, which must exist."""
    match = re.search(pattern, text)
    assert match, f"nothing matches {pattern!r}"
    return match[1]


def part(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    return found(rf"(?ms)^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text)


def rows(text: str, heading: str) -> list[Row]:
    """The first table under a heading."""
    head, _, *body = found(r"(?m)((?:^\|.*\n)+)", part(text, heading)).splitlines()
    return [dict(zip(_cells(head), _cells(line), strict=True)) for line in body]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def fenced(text: str, language: str) -> list[str]:
    """The contents of all fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
