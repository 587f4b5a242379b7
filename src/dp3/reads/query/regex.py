"""Regular expressions of filters: matched in a time linear in the text, whatever the pattern."""

import re
from dataclasses import dataclass

from dp3.reads.errors import invalid_query
from dp3.store.patterns import PatternError, Search, compile_pattern

MAX_PATTERN = 4_096
"""Characters of a pattern."""

FLAGS = "imsx"

_LACKING = {
    r"\(\?<?!": "no negative look-around: write the expression for what must not occur under $not, "
    '{"$not": {"$regex": "…"}}',
    r"\(\?<?=": "no look-around: write what must occur, too, as a second expression, "
    '{"$and": [{"name": {"$regex": "…"}}, {"name": {"$regex": "…"}}]}',
    r"\\[1-9]|\\k[<{']|\(\?P=": "no back-references: write out what may occur twice, 'aa|bb' for '(a|b)\\1'",
    r"\(\?>|[*+?}]\+": "no atomic groups and no possessive quantifiers: leave them away, it never goes back",
}
"""Constructs of other engines, and their replacements."""

_lacking = {re.compile(rf"(?<!\\)(?:\\\\)*(?:{what})"): advice for what, advice in _LACKING.items()}
"""The same, where no backslash makes it something else."""

_extended_noise = re.compile(r"(\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\s+|#[^\n]*", re.DOTALL)
_literal_start = re.compile(r"\^((?:[^\\.^$*+?()\[\]{}|]|\\[^a-zA-Z0-9])*)(?![*?{])")


@dataclass(frozen=True, slots=True)
class Regex:
    """A pattern, searched anywhere in a text. `flags` is a part of `imsx`, as in Perl. `named` is what
    errors call it."""

    pattern: str
    flags: str = ""
    named: str = "regular expression"

    def compile(self) -> Search:
        """A test of texts. Raises `QueryError` for a pattern that the engine does not know."""
        if len(self.pattern) > MAX_PATTERN:
            raise invalid_query(f"{self.named} may have {MAX_PATTERN} characters at most")
        try:
            return compile_pattern(*self.known)
        except PatternError as error:
            advice = _advice(self.pattern)
            raise invalid_query(f"{self.named} {self.pattern[:80]!r}: {error}{advice}") from None

    @property
    def known(self) -> tuple[str, str]:
        """Pattern and flags for the engine, which does not know the flag `x`."""
        if "x" not in self.flags:
            return self.pattern, self.flags
        pattern = _extended_noise.sub(lambda found: found[1] or "", self.pattern)
        return pattern, self.flags.replace("x", "")

    @property
    def prefix(self) -> str:
        """A text with which every match begins; empty if none is known."""
        if self.flags.strip("s") or "|" in self.pattern:
            return ""
        match = _literal_start.match(self.pattern)
        return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else ""


def _advice(pattern: str) -> str:
    """The dialect and what to write instead, if a pattern has what the engine lacks."""
    found = [advice for lacking, advice in _lacking.items() if lacking.search(pattern)]
    return f"; regular expressions are those of RE2, which has {'; '.join(found)}" if found else ""
