"""The statements of the state: those that all engines have in common, and those of one engine.

SQL files lie beside this one; a statement is written for one engine where its SQL must, or had better,
differ. Two marks stand for lists, each with the types of its columns:

- `{rows bigint, text}` — after `VALUES`, the rows of a bulk statement, with columns `column1`, `column2`, …
- `{each :keys bigint} AS wanted` — the list that is the parameter `keys`: its items are `wanted.value`, or,
  of several columns, `wanted.value ->> 0`, `wanted.value ->> 1`, …

The type `key` is that of keys of the index of current values.
"""

import re
from functools import cache
from importlib.resources import files

from dp3.statements import Statements, load_statements

ROWS = re.compile(r"\{rows ([a-z, ]+)\}")
"""The mark for the rows of a bulk statement."""

EACH = re.compile(r"\{each (\?\d*|:\w+) ([a-z, ]+)\}")
"""The mark for a list: its parameter and the types of its columns."""

COMMON = "dp3.store.sql"


@cache
def load_state_statements(engine: str) -> Statements:
    """All statements of the state by `file.name`, those of the package `engine` in the place of common
    ones."""
    found = {}
    for package in (COMMON, engine):
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".sql"):
                stem = file.name.removesuffix(".sql")
                for name, sql in load_statements(package, file.name).items():
                    found[f"{stem}.{name}"] = sql
    return Statements(found, engine)
