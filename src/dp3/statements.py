"""SQL files of named, described statements.

-- name: insert_entry
-- Add one entry at the end of the segment.
INSERT INTO entry VALUES (?, ?, ?);
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

_HEADING = re.compile(r"^--[ \t]*name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Statements(dict[str, str]):
    """SQL by name: a plain dictionary, but that a name which is not there is told with where it was expected
    and what is near."""

    def __init__(self, statements: Mapping[str, str], origin: str) -> None:
        super().__init__(statements)
        self._origin = origin

    def of_file(self, stem: str) -> "Statements":
        """Those that are called `stem.name`, by name."""
        names = [name for name in self if name.startswith(f"{stem}.")]
        found = {name.removeprefix(f"{stem}."): self[name] for name in names}
        return Statements(found, f"{self._origin}, {stem}.sql")

    def __missing__(self, name: str) -> str:
        near = get_close_matches(name, self, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"{self._origin}: no statement named {name!r}{hint}")


@cache
def load_statements(package: str, filename: str) -> Statements:
    """The statements of the SQL file `filename` that lies in `package` (`"dp3.log"`). The file is read once:
    every segment, state and connection that is opened asks for some."""
    return parse_statements(files(package).joinpath(filename).read_text("utf-8"), f"{package}/{filename}")


def parse_statements(text: str, origin: str) -> Statements:
    """The statements of `text`; `origin` names the file in messages.

    Each begins with `-- name: snake_case`, then at least one comment line that describes it, then the SQL
    (one statement, or a script). Raises ValueError with the line of the first mistake.
    """
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    found: dict[str, str] = {}
    _refuse_sql(text[: headings[0].start() if headings else len(text)], f"{origin}:1")
    for heading, end in zip(headings, ends, strict=True):
        name, where = heading[1], f"{origin}:{text.count(chr(10), 0, heading.start()) + 1}"
        if not _NAME.fullmatch(name):
            raise ValueError(f"{where}: a statement's name must be like 'insert_entry', got {name!r}")
        if name in found:
            raise ValueError(f"{where}: there are two statements named {name!r}; names must differ")
        found[name] = _sql(text[heading.end() : end], name, where)
    return Statements(found, origin)


def _refuse_sql(preamble: str, where: str) -> None:
    if any(line.strip() and not line.startswith("--") for line in preamble.splitlines()):
        raise ValueError(f"{where}: SQL before the first '-- name:' line; give the statement a name")


def _sql(section: str, name: str, where: str) -> str:
    lines = section.strip().splitlines()
    described = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    if described == 0:
        raise ValueError(f"{where}: {name!r} has no description; say in a comment line what it does")
    if described == len(lines):
        raise ValueError(f"{where}: {name!r} has no SQL after its description")
    return "\n".join(lines[described:]).strip()
