"""Regular expressions of filters: matched in a time linear in the text, whatever the pattern."""

import re
from dataclasses import dataclass

from dp3.reads.errors import invalid_query
from dp3.store.patterns import PatternError, Search, compile_pattern

MAX_PATTERN = 4_096
"""Characters of a pattern."""

FLAGS = "imsx"

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
            raise invalid_query(f"{self.named} {self.pattern[:80]!r}: {error}") from None

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
