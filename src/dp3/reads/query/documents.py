"""Stored snapshots as documents: wire values by name, as routes show them and filters see them."""

from typing import Any

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.doc import decode_doc, expand
from dp3.model.canonical import time_to_text
from dp3.reads.query.places import TIME_CREATED

Document = dict[str, Any]


def document_of(run_time: int, doc: bytes) -> Document:
    """A stored snapshot as it was at a run (µs)."""
    return expand(decode_doc(doc), run_time)


def dated_document(run_time: int, doc: bytes) -> Document:
    """The same, with the time of the run in it."""
    return with_time(document_of(run_time, doc), run_time)


def with_time(document: Document, run_time: int) -> Document:
    """The document, with the time (µs) that it was made for."""
    document[TIME_CREATED] = time_to_text(to_datetime(run_time))
    return document
