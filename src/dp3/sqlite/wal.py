"""The content of a write-ahead log, as SQLite would take it over after a crash.

SQLite takes the frames up to the first that is wrong: what follows was not synced before a power loss, it
assumes. If later frames are right, though, then what is wrong is damage, and SQLite would forget commits
without a word. The format is that of https://sqlite.org/fileformat2.html#walformat.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24

BIG_ENDIAN_MAGIC, LITTLE_ENDIAN_MAGIC = 0x377F0683, 0x377F0682

Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WalContent:
    """The pages that a write-ahead log replaces, and what is wrong with it (empty: nothing)."""

    pages: frozenset[int] = frozenset()
    problem: str = ""


class _Frame(NamedTuple):
    """One frame. `is_right`: it continues what stands before it, right or not."""

    page: int
    is_commit: bool
    is_right: bool


def read_wal(path: Path) -> WalContent:
    """Read a write-ahead log, a second for some 40 MB. An empty or missing one replaces nothing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return WalContent()
    if len(content) <= HEADER_BYTES:
        return WalContent()
    magic, *_, c1, c2 = struct.unpack(">8I", content[:HEADER_BYTES])
    order = {BIG_ENDIAN_MAGIC: ">", LITTLE_ENDIAN_MAGIC: "<"}.get(magic, "")
    if not order or _sums((0, 0), content[: HEADER_BYTES - 8], order) != (c1, c2):
        return WalContent(problem="its header is damaged; SQLite would forget all commits in it")
    return _content(_frames(content, order))


def _content(frames: Iterator[_Frame]) -> WalContent:
    pages: set[int] = set()
    new: set[int] = set()
    wrong = commits = 0
    for number, frame in enumerate(frames, 1):
        wrong = wrong or (0 if frame.is_right else number)
        if wrong:
            commits += frame.is_right and frame.is_commit
            continue
        new.add(frame.page)
        if frame.is_commit:
            pages |= new
            new.clear()
    if not commits:
        return WalContent(frozenset(pages))
    problem = f"frame {wrong} is damaged; SQLite would forget it and the {commits} commits that follow"
    return WalContent(frozenset(pages), problem)


def _frames(content: bytes, order: str) -> Iterator[_Frame]:
    """All frames that belong to this log: those that are left of an earlier one have another salt, and end it
    unless more of this one follow."""
    page_size, _, *salt = struct.unpack(">4I", content[8:24])
    sums: Sums = struct.unpack(">2I", content[24:HEADER_BYTES])
    size = FRAME_HEADER_BYTES + page_size
    for at in range(HEADER_BYTES, len(content) - size + 1, size):
        page, commit, *found, c1, c2 = struct.unpack(">6I", content[at : at + FRAME_HEADER_BYTES])
        data = content[at + FRAME_HEADER_BYTES : at + size]
        computed = _sums(_sums(sums, content[at : at + 8], order), data, order)
        sums = (c1, c2)
        yield _Frame(page, commit > 0, found == salt and computed == sums)


def _sums(before: Sums, content: bytes, order: str) -> Sums:
    s0, s1 = before
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for x0, x1 in zip(words, words, strict=True):
        s0 = (s0 + x0 + s1) & 0xFFFFFFFF
        s1 = (s1 + x1 + s0) & 0xFFFFFFFF
    return s0, s1
