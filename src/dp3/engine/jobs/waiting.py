"""Work in pieces, between which the worker does other things."""

from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, TypeAlias

Wait: TypeAlias = Generator[Future[Any] | None, None, None]
"""Work in pieces: yields None after a piece, or what has to be done before the next one."""


def finished(awaited: Future[Any]) -> Wait:
    """Until something is done, well or not."""
    while not awaited.done():
        yield awaited
