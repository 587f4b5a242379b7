"""Work that ends the worker: remembered across its deaths, so that the one task to blame is found.

Before a batch is processed, its place in the log is noted in a small file; so are the entries whose hooks are
about to run. A clean stop removes the file; an exception that ends the worker does not. A worker that starts
and finds a note of something that was never committed knows that its predecessor died of it (or during it).
It runs suspects alone: one entry at a time, and of an entry one task at a time, each noted by itself.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dp3.engine.call_attempts import CallAttempts, CallsNote
from dp3.engine.notes import NoteFile, read_note
from dp3.log.port import Entry, Lane

DEATHS = 2
"""A batch is suspect after so many deaths in a row that no hook of it is to blame for. An entry then, or a
task, must not run any more after so many deaths while it ran alone; a task after one, if it is known that the
process was not ended from outside."""

FURTHER = 50
"""After a task that must not run so many offsets are suspect, too: what kills often comes several times."""


class _Note(msgspec.Struct, omit_defaults=True):
    """Entries `first` to `last` of a lane are under way; with `hooks`, hooks of any of them. If `single`,
    only the first one is, of which only the task `task`, if it is not None; the others are suspects. `deaths`
    were caused by something else than hooks, those in `tasks` by the tasks of the first entry."""

    lane: int
    first: int
    last: int
    deaths: int = 0
    hooks: bool = False
    single: bool = False
    task: int | None = None
    tasks: dict[int, int] = {}


class Attempts:
    """The attempt note of one worker.

    Called in this order for every batch: `together(...)` says which entries to take; `begin(...)` notes them
    and says whether they may run (False: the one entry has killed the worker too often). Then, if there are
    hooks, either `hooks_of(...)` for some entries after the others or, if they `run_alone`, `may_run(...)`
    for each task; at last `hooks_done()`.

    `by_itself`: the predecessor was not ended from outside. `calls` are those of background work.
    """

    def __init__(self, path: Path, *, by_itself: bool = False) -> None:
        self._suspect = _died_of(read_note(path, _Note), by_itself)
        self._file = NoteFile(path)
        self.calls = CallAttempts(_calls_of(path), by_itself=by_itself)
        self._note = _Note(0, 0, 0)

    @property
    def suspect(self) -> tuple[int, int] | None:
        """The lane of entries that have to be run alone, and the offset of the last one."""
        suspect = self._suspect
        return (suspect.lane, suspect.last) if suspect is not None and suspect.single else None

    def forget(self) -> None:
        """No entry is left that could be suspect. Called when all of the log has been processed."""
        self._suspect = None

    def together(self, lane: int, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of the next entries that are run together: one at a time of the suspects, before that all
        that come before."""
        suspect = self._suspect
        if suspect is None or not suspect.single or suspect.lane != lane:
            return entries
        if entries[0].offset < suspect.first:
            return [entry for entry in entries if entry.offset < suspect.first]
        return entries[:1] if entries[0].offset <= suspect.last else entries

    def begin(self, lane: int, first: int, last: int) -> bool:
        """Note that the entries from `first` to `last` of a lane are about to be processed. Other work that
        calls hooks has a stream of its own, with a number that no lane has."""
        suspect = self._suspect
        note = _Note(lane, first, last, single=lane not in _LANES)
        if suspect is not None and suspect.lane == lane:
            if suspect.first == first:
                note = suspect
                note.last = max(note.last, last)
            elif suspect.single and suspect.first < first <= suspect.last:
                note = _Note(lane, first, suspect.last, single=True)
            elif first > suspect.first:
                self._suspect = None
        self._note = note
        if note.single and note.deaths >= DEATHS:
            return False
        self._file.write(note)
        return True

    @property
    def run_alone(self) -> bool:
        """True if what has begun is one entry, whose tasks have to be run one by one."""
        return self._note.single

    def hooks_of(self, first: int, last: int) -> None:
        """Note that hooks are about to be called for the entries from `first` to `last`."""
        self._file.write(_Note(self._note.lane, first, last, hooks=True))

    def may_run(self, task: int) -> bool:
        """Note that hooks are about to be called for a task, by its number, of an entry that runs alone.
        False: it has killed the worker, and must not run."""
        note = self._note
        if note.tasks.get(task, 0) >= DEATHS:
            self._expect_more(note)
            return False
        note.task = task
        self._file.write(note)
        return True

    def hooks_done(self) -> None:
        """All hooks of what has begun have returned."""
        self._note.task = None
        self._file.write(self._note)

    def _expect_more(self, note: _Note) -> None:
        note.last = max(note.last, note.first + FURTHER)
        if self._suspect is not None:
            self._suspect.last = max(self._suspect.last, note.last)

    def close(self, *, clean: bool = True) -> None:
        """Nothing is under way: a clean stop. If not `clean`, what was under way has failed: the note stays,
        and this counts as a death."""
        self._file.close(clean=clean)
        self.calls.close(clean=clean)


_LANES = frozenset(map(int, Lane))


def hooks_under_way(path: Path) -> bytes:
    """The notes of a worker that has died, if hooks were under way; otherwise empty. As long as hooks end one
    worker after the other, they differ from those before."""
    note, calls = read_note(path, _Note), read_note(_calls_of(path), CallsNote)
    ingested = note is not None and (note.hooks or note.task is not None)
    return msgspec.json.encode((note, calls)) if ingested or (calls is not None and calls.busy) else b""


def _calls_of(path: Path) -> Path:
    return path.with_suffix(".calls")


def _died_of(note: _Note | None, by_itself: bool) -> _Note | None:
    """The note that a worker has left, with its death counted."""
    if note is None:
        return None
    if note.hooks:
        note.hooks, note.single = False, True
    elif note.task is not None:
        note.tasks[note.task] = note.tasks.get(note.task, 0) + (DEATHS if by_itself else 1)
        note.task = None
    else:
        note.deaths += 1
        if note.deaths >= DEATHS and not note.single:
            note.single, note.deaths = True, 0
    return note
