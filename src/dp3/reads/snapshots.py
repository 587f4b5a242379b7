"""Stored snapshots as documents: wire values by name, as routes show them and filters see them; and the
snapshots of one entity."""

from bisect import bisect_right

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.doc import decode_doc, expand
from dp3.model.canonical import time_to_text
from dp3.reads.as_of import Document
from dp3.reads.profiles import Span
from dp3.reads.query.places import TIME_CREATED
from dp3.store.ports.runs import Runs
from dp3.store.ports.snapshots import Snapshots as SnapshotPort

MAX_ROWS = 50_000
"""Rows of one answer."""


def dated_document(run_time: int, doc: bytes) -> Document:
    """A stored snapshot as it was at a run (µs), with the time of the run in it."""
    return with_time(expand(decode_doc(doc), run_time), run_time)


def with_time(document: Document, run_time: int) -> Document:
    """The document, with the time (µs) that it was made for."""
    document[TIME_CREATED] = time_to_text(to_datetime(run_time))
    return document


class Snapshots:
    """The snapshots of one entity."""

    def __init__(self, snapshots: SnapshotPort, runs: Runs) -> None:
        self._snapshots = snapshots
        self._runs = runs

    def series(self, etype: str, eid: str, span: Span, skip: int = 0, limit: int = 0) -> list[Document]:
        """The entity's snapshots of all runs in `span`, oldest first, each with the time of its run.

        `limit` 0 is as many as an answer may have."""
        runs = self._runs.between(*span.bounds())
        rows = self._snapshots.of(etype, eid)  # after the runs: all that they wrote is there
        if not rows:
            return []
        firsts = [row.run for row in rows]
        runs = [run for run in runs if run.id >= firsts[0]]
        covered = self._runs.covered(rows[0].entity, [run.id for run in runs])
        wanted = [run for run in runs if run.id in covered][skip : skip + min(limit or MAX_ROWS, MAX_ROWS)]
        return [dated_document(run.time, rows[bisect_right(firsts, run.id) - 1].doc) for run in wanted]
