"""Common statements as PostgreSQL takes them. What is only written in another way is rewritten here; where
more differs, the statement stands in a file of this package.

| common | here |
|---|---|
| `?`, `?1`, `:name` | `%s`, `%(p1)s`, `%(name)s` |
| `VALUES {rows bigint, text}` | `SELECT * FROM unnest(%s::bigint[], %s::text[])`, columns as of `VALUES` |
| `{each :keys bigint}` | `(SELECT * FROM unnest(%(keys)s::bigint[]) …)`, with the place of each item, `nth` |
| `{each :rows bigint, text}`, `wanted.value ->> 0` | the same with an array for each column, `wanted.c0` |
| `INDEXED BY …`, `NOT INDEXED` | nothing |
| `CROSS JOIN … ON` | `JOIN … ON` |
| `max(a, b)`, `min(a, b)`, `iif(a, b, c)` | `greatest`, `least`, `CASE` |
| `json_group_array(…)`, `json_array(…)`, `hex(…)`, `instr(…)` | the functions of PostgreSQL |
| a subquery without a name | one with a name |
| `x''`, a column named `offset` | `''::bytea`, `"offset"` |
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dp3.store.sql.statements import EACH, ROWS

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | --[^\n]* | \s+ | :: | \?\d* | :[a-z]\w* | [A-Za-z_]\w* | \{[^{}]*\} | \d+ | .""",
    re.VERBOSE | re.DOTALL,
)

_ENDS = frozenset(("CROSS", "JOIN", "LEFT", "WHERE", "GROUP", "ORDER", "LIMIT", "UNION", "SELECT", ";"))
"""What ends the place where the `ON` of a join would stand."""

STORED = {"key": "bytea"}
"""The types of columns that PostgreSQL does not have, as they are stored."""

Tokens: TypeAlias = Sequence[str]
Function: TypeAlias = Callable[..., str]


@dataclass(frozen=True, slots=True)
class PostgresStatement:
    """`text` as the driver takes it. `columns`: the types of the rows of a bulk statement, none for others;
    `others` are those of its further parameters that are lists, None for single values. `lists`: parameters
    by name that are lists of values (of one type) or of rows, whose columns are parameters `rows_0`, …
    Parameters that are given by place have names, `p1`, `p2`, …, but those of bulk statements."""

    text: str
    columns: tuple[str, ...] = ()
    others: tuple[str | None, ...] = ()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def translated(sql: str) -> PostgresStatement:
    """A common statement as PostgreSQL takes it."""
    tokens = [token for token in _TOKEN.findall(sql) if not token.startswith("--")]
    rows = ROWS.search(sql)
    columns = tuple(rows[1].split(", ")) if rows else ()
    rewriting = _Rewriting(named=not columns)
    text = rewriting.of(tokens)
    return PostgresStatement(text, columns, tuple(rewriting.others), rewriting.lists)


class _Rewriting:
    """Rewrites the tokens of one statement, from left to right."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._parameters = self._aliases = 0
        self.lists: dict[str, tuple[str, ...]] = {}
        self.others: list[str | None] = []

    def of(self, tokens: Tokens) -> str:
        """The text for some tokens in a row."""
        return "".join(self._parts(tokens))

    def _parts(self, tokens: Tokens) -> Iterator[str]:
        place = 0
        while place < len(tokens):
            token, rest = tokens[place], tokens[place:]
            words = [word for word in rest[:8] if not word.isspace()]
            if token in _FUNCTIONS and words[1:2] == ["("]:
                end = _closed(tokens, tokens.index("(", place))
                arguments = _divided(tokens[tokens.index("(", place) + 1 : end - 1])
                yield _FUNCTIONS[token](*map(self.of, arguments))
                place = end
                continue
            if self._is_source(tokens, place) and words[1:2] == ["("]:
                begin = tokens.index("(", place)
                end = _closed(tokens, begin)
                yield f"{token} ({self.of(tokens[begin + 1 : end - 1])}){self._alias(tokens[end:])}"
                place = end
                continue
            if self._is_source(tokens, place) and (match := EACH.fullmatch(words[1])):
                place += _spanning(rest, 2)
                yield f"{token} {self._each(match)}{self._alias(tokens[place:])}"
                continue
            text, taken = (token, 0) if token.isspace() else self._rewritten(token, words, rest)
            yield text
            place += _spanning(rest, taken)

    @staticmethod
    def _is_source(tokens: Tokens, place: int) -> bool:
        """True if a table or a subquery follows."""
        before = next((token for token in reversed(tokens[:place]) if not token.isspace()), "")
        return tokens[place] in ("FROM", "JOIN") and before != "DISTINCT"

    def _alias(self, following: Tokens) -> str:
        """A name for a subquery that has none: before version 16 each needs one."""
        word = next((token for token in following if not token.isspace()), ";")
        if word not in _ENDS and word not in ("ON", "USING", ")", ","):
            return ""
        self._aliases += 1
        return f" AS subquery_{self._aliases}"

    def _rewritten(self, token: str, words: Tokens, rest: Tokens) -> tuple[str, int]:
        """The text, and of how many tokens (spaces apart) it takes the place."""
        if token.startswith("?") or (token.startswith(":") and token != "::"):
            return self._parameter(token), 1
        if match := EACH.fullmatch(token):
            return self._each(match), 1
        if token == "VALUES" and len(words) > 1 and (match := ROWS.fullmatch(words[1])):
            return _unnested(match[1].split(", ")), 2
        if words[:2] == ["INDEXED", "BY"]:
            return "", 3
        if words[:2] == ["NOT", "INDEXED"]:
            return "", 2
        if token == "CROSS" and _has_condition(rest):
            return "JOIN", 2
        if token == "x" and len(words) > 1 and words[1] == "''":
            return "''::bytea", 2
        if words[:4] == ["value", "-", ">", ">"]:
            return f"c{words[4]}", 5
        return {"%": "%%", "offset": '"offset"'}.get(token, token), 1

    def _parameter(self, token: str, type_: str | None = None) -> str:
        if token.startswith(":"):
            return f"%({token[1:]})s"
        if not self._named:
            self.others.append(type_)
            return "%s"
        self._parameters += 1
        return f"%(p{token[1:] or self._parameters})s"

    def _each(self, match: re.Match[str]) -> str:
        types = tuple(match[2].split(", "))
        parameter = self._parameter(match[1], types[0])
        if self._named:
            self.lists[parameter[2:-2]] = types
        if len(types) == 1:
            return f"(SELECT * FROM unnest({parameter}::{types[0]}[]) WITH ORDINALITY AS given (value, nth))"
        arrays = ", ".join(f"%({parameter[2:-2]}_{number})s::{type_}[]" for number, type_ in enumerate(types))
        names = ", ".join(f"c{number}" for number in range(len(types)))
        return f"(SELECT * FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, nth))"


def _unnested(types: Sequence[str]) -> str:
    arrays = ", ".join(f"%s::{STORED.get(type_, type_)}[]" for type_ in types)
    names = ", ".join(f"column{number}" for number in range(1, len(types) + 1))
    return f"SELECT * FROM unnest({arrays}) AS given ({names})"


def _closed(tokens: Tokens, place: int) -> int:
    """The place after the parenthesis that closes the one at a place."""
    depth = 0
    for end in range(place, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[end], 0)
        if depth == 0:
            return end + 1
    raise ValueError(f"a parenthesis is not closed: {''.join(tokens[place : place + 20])}")


def _divided(tokens: Tokens) -> list[Tokens]:
    """The arguments between parentheses."""
    arguments: list[Tokens] = []
    depth = begin = 0
    for place, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "," and depth == 0:
            arguments.append(tokens[begin:place])
            begin = place + 1
    return [*arguments, tokens[begin:]]


def _spanning(tokens: Tokens, words: int) -> int:
    """The number of tokens in which so many are no spaces."""
    for place, token in enumerate(tokens):
        words -= not token.isspace()
        if words <= 0:
            return place + 1
    return len(tokens)


def _has_condition(tokens: Tokens) -> bool:
    """True if a join that begins here has an `ON`."""
    depth = 0
    for token in tokens[_spanning(tokens, 2) :]:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0 or (depth == 0 and token in _ENDS):
            return False
        if depth == 0 and token in ("ON", "USING"):
            return True
    return False


# -- functions -----------------------------------------------------------------------------------------
def _one_of(aggregate: str, scalar: str) -> Function:
    """SQLite has one name for both."""

    def written(*arguments: str) -> str:
        return f"{aggregate if len(arguments) == 1 else scalar}({', '.join(map(str.strip, arguments))})"

    return written


_FUNCTIONS: dict[str, Function] = {
    "max": _one_of("max", "greatest"),
    "min": _one_of("min", "least"),
    "iif": lambda condition, value, other: f"CASE WHEN {condition} THEN {value} ELSE {other} END",
    "json_group_array": lambda value: f"coalesce(json_agg({value}), '[]')",
    "json_array": lambda *values: f"json_build_array({','.join(values)})",
    "hex": lambda value: f"upper(encode({value}, 'hex'))",
    "instr": lambda text, part: f"strpos({text},{part})",
}
