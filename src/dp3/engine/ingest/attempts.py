"""Batches that kill the worker: remembered across its deaths, so that the entry to blame is found.

Before a batch is processed, its place in the log is noted in a small file. A clean stop removes the file; an
exception that ends the worker does not.
A worker that starts and finds the note of a batch that was never committed knows that its predecessor died
of it (or during it). Death of the machine does not matter here, so nothing is fsynced.
"""

import os
from pathlib import Path

import msgspec

from dp3.files import make_directory, open_file

DEATHS = 2
"""So many deaths in a row make a batch, and then an entry of it, a suspect."""


class _Note(msgspec.Struct):
    lane: int
    after: int
    until: int
    single: bool
    deaths: int


class Attempts:
    """The attempt note of one worker.

    Called in this order for every batch: `single(...)` says whether to take one entry only; `begin(...)`
    notes it and says whether it may run (False: the entry has killed the worker too often).
    """

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        previous = path.read_bytes() if path.exists() else b""
        self._path = path
        self._file = open_file(path, os.O_RDWR | os.O_CREAT)
        self._suspect = self._died_of(previous)

    @staticmethod
    def _died_of(note: bytes) -> _Note | None:
        try:
            previous = msgspec.json.decode(note, type=_Note)
        except (ValueError, RecursionError):
            return None
        previous.deaths += 1
        if previous.deaths >= DEATHS and not previous.single:
            previous.single, previous.deaths = True, 0
        return previous

    def single(self, lane: int, after: int) -> bool:
        """True if the batch that starts after this offset has to be run entry by entry."""
        suspect = self._suspect
        return suspect is not None and suspect.single and suspect.lane == lane and after < suspect.until

    def begin(self, lane: int, after: int, last: int) -> bool:
        """Note that the entries (after, last] of a lane are about to be processed. Any other work that hooks
        do has a stream of its own, with a number that no lane has."""
        suspect = self._suspect
        note = _Note(lane, after, last, single=False, deaths=0)
        if suspect is not None and suspect.lane == lane:
            if suspect.after == after:
                note = suspect
            elif self.single(lane, after):
                note = _Note(lane, after, suspect.until, single=True, deaths=0)
            else:
                self._suspect = None
        if note.single and note.deaths >= DEATHS:
            return False
        self._write(msgspec.json.encode(note))
        return True

    def _write(self, note: bytes) -> None:
        os.pwrite(self._file, note.ljust(128), 0)

    def close(self, *, clean: bool = True) -> None:
        """Nothing is under way: a clean stop. If not `clean`, what was under way has failed: the note stays,
        and this counts as a death."""
        os.close(self._file)
        if clean:
            self._path.unlink(missing_ok=True)
