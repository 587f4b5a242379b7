"""Calls of hooks in background work that end the worker: remembered across its deaths.

While such hooks may be running, that is noted in a file. A worker that finds it noted is careful for a while:
hooks are called one at a time in the whole process, and each call is noted before. One that ended the worker
then is not made any more before the worker is stopped in order; it counts as a call that failed.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from dp3.engine.notes import NoteFile, read_note

DEATHS = 2
"""A call must not be made any more after so many deaths while it was the only one; after one, if it is known
that the process was not ended from outside."""

CAREFUL_S = 120.0
"""Work that was under way comes to the same call again within a page: mostly in less than a second."""

MOST_CALLS = 1_000
"""So many calls that must not be made are remembered; then the oldest is forgotten."""

DEADLY = "it ended the worker process repeatedly"


class CallsNote(msgspec.Struct, omit_defaults=True):
    """`busy`: background work was calling hooks. `call`: the only one that was running, if that is known.
    `deaths` that calls were found to have caused."""

    busy: bool = False
    call: str = ""
    deaths: dict[str, int] = {}


class CallAttempts:
    """The calls of one worker. `by_itself`: the predecessor was not ended from outside."""

    def __init__(self, path: Path, *, by_itself: bool = False) -> None:
        found = read_note(path, CallsNote) or CallsNote()
        self._careful_until = time.monotonic() + CAREFUL_S if found.busy else 0.0
        self._deaths = found.deaths
        if found.call:
            self._deaths[found.call] = self._deaths.get(found.call, 0) + (DEATHS if by_itself else 1)
        while len(self._deaths) > MOST_CALLS:
            del self._deaths[next(iter(self._deaths))]
        self._file = NoteFile(path)
        self._note = CallsNote(deaths=self._deaths)
        self._works = 0
        self._noting = threading.Lock()
        self._calling = threading.Lock()

    @property
    def is_careful(self) -> bool:
        """True while calls are made one at a time."""
        return self._careful_until > 0 and time.monotonic() < self._careful_until

    @property
    def suspects_any(self) -> bool:
        """True if calls have to ask whether they may be made."""
        return bool(self._deaths) or self.is_careful

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Background work calls hooks in the block. For the worker's thread."""
        self._works += 1
        if self._works == 1:
            self._write(busy=True)
        try:
            yield
        finally:
            self._works -= 1
            if self._works == 0:
                self._write(busy=False)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """As long as the worker is careful, no other hook runs beside those of the block."""
        if not self.is_careful:
            yield
            return
        with self._calling:
            yield

    def begin(self, call: str) -> bool:
        """Note a call, which runs `alone`, if the worker is careful. False: it must not be made."""
        if self._deaths.get(call, 0) >= DEATHS:
            return False
        if self.is_careful:
            self._write(call=call)
        return True

    def end(self) -> None:
        """The call has returned."""
        if self._note.call:
            self._write(call="")

    def _write(self, **changed: Any) -> None:
        with self._noting:
            self._note = msgspec.structs.replace(self._note, **changed)
            self._file.write(self._note)

    def close(self, *, clean: bool) -> None:
        """See `NoteFile.close`."""
        with self._noting:
            self._file.close(clean=clean)
