"""The different texts at a path that pass a test."""

from collections.abc import Iterator, Sequence

import msgspec

from dp3.sqlite import Statements
from dp3.store.query import TextMatches
from dp3.store.sqlite.asking import Question

PAGE = 1_000
"""Texts that are read, and first tested, together. Of 100 000 short ones that do not match, pages of 500,
1 000, 5 000 took 16.5, 16.5, 15.4 ms; one text at a time takes 88 ms."""

FEW = 16
"""So many texts are tested one by one when one of them may match."""

_decode = msgspec.json.Decoder(list[str]).decode


class Texts:
    """The texts at a path (by its number) that a question looks through."""

    def __init__(self, question: Question, sql: Statements, path: int) -> None:
        self._question = question
        self._sql = sql
        self._path = path

    def matching(self, where: TextMatches, first: str, end: str | bytes) -> list[str]:
        """Those from `first` up to, without, `end` that pass the test. Raises `QueryTooSlow`."""
        return [text for page in self._pages(first, end) for text in self._among(page, where)]

    def _pages(self, first: str, end: str | bytes) -> Iterator[list[str]]:
        place = (self._path, first, end, PAGE)
        while page := _decode(self._question.connection.execute(self._sql["texts"], place).get):
            yield page
            if len(page) < PAGE:
                return
            next_text = page[-1] + "\0"
            place = (self._path, next_text, end, PAGE)

    def _among(self, texts: Sequence[str], where: TextMatches) -> Iterator[str]:
        """By halves, as long as one of a half may match: a rare match costs no more than its neighbours."""
        if self._question.is_over():
            raise self._question.too_slow()
        if where.in_lines is not None and not where.in_lines("\n".join(texts)):
            return
        if where.in_lines is None or len(texts) <= FEW:
            yield from filter(where.test, texts)
            return
        middle = len(texts) // 2
        yield from self._among(texts[:middle], where)
        yield from self._among(texts[middle:], where)
