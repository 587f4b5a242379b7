"""Compares the model of a process with the one that the state was last run with."""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dp3.model.schema import Change, Difference, Loss, compare, decode_schema, encode_schema, schema_of
from dp3.model.spec import ModelSpec
from dp3.store.ports.state import State

PAGE = 1_000
"""Entities whose rows are counted at once: some ten milliseconds."""

COUNT_S = 5.0
"""A process that starts counts for so long what would be lost, then says that it is more."""

logger = logging.getLogger(__name__)


class ModelRefused(Exception):
    """Data was stored under another model and would lose its meaning under this one."""


class Lost(NamedTuple):
    """The loss by a destructive change. `rows` is None for entity types; `more`: it was not counted to the
    end."""

    change: Change
    entities: int
    rows: int | None = None
    more: bool = False

    def __str__(self) -> str:
        least = "at least " if self.more else ""
        if self.rows is None:
            counted = f"{least}{self.entities} entities with everything known of them"
        elif self.change.loss in (Loss.SNAPSHOTS, Loss.MIRROR):
            counted = "what snapshots show of it"
        else:
            counted = f"{least}{self.rows} data-points of {self.entities} entities"
        return f"{self.change.place}: {self.change.what}. Lost: {counted}"


def track_model(state: State, model: ModelSpec, command: str) -> None:
    """Note the model; what is new in it is logged. `command` is what the user has to call to confirm
    destructive changes. Raises `ModelRefused` for those, and while data is being removed."""
    schema = schema_of(model)
    text = encode_schema(schema)
    while True:
        tracked, removing = state.models.tracked()
        if removing:
            raise ModelRefused(
                "the model is being changed and not all is removed that was confirmed to go; finish it with\n"
                f"  {command}"
            )
        if tracked == text:
            return
        difference = compare({} if tracked is None else decode_schema(tracked), schema)
        if difference.destroyed:
            raise ModelRefused(_refusal(difference, losses(state, difference.destroyed, COUNT_S), command))
        if state.models.track(text, tracked):
            _report(tracked, difference)
            return


def _report(before: str | None, difference: Difference) -> None:
    if before is not None:
        logger.info("the model has grown: %s", ", ".join(difference.added) or "other settings")


def _refusal(difference: Difference, lost: Iterable[Lost], command: str) -> str:
    changes = "\n".join(f"  {one}" for one in lost)
    count = len(difference.destroyed)
    return (
        f"The model differs from the one that data was stored under; {count} change"
        f"{'s' if count > 1 else ''} would leave data without meaning:\n{changes}\n"
        f"Undo them in the configuration, or stop everything and confirm them with\n  {command}"
    )


def losses(state: State, changes: Sequence[Change], limit_s: float | None = None) -> list[Lost]:
    """The losses by destructive changes. With `limit_s` counting ends then."""
    end = None if limit_s is None else time.monotonic() + limit_s
    entities = state.entities.counts()
    return [
        _lost(state, change, end) if change.attr else Lost(change, entities.get(change.etype, 0))
        for change in changes
    ]


def _lost(state: State, change: Change, end: float | None) -> Lost:
    if change.loss in (Loss.SNAPSHOTS, Loss.MIRROR):
        return Lost(change, 0, 0)
    start: str | None = ""
    rows = entities = 0
    while start is not None:
        if end is not None and time.monotonic() > end:
            return Lost(change, entities, rows, more=True)
        counts, start = state.models.attr_rows(
            change.etype, [change.attr], sorted(change.values), start, PAGE
        )
        rows += sum(of_attr for _, of_attr, _ in counts)
        entities += sum(having for _, _, having in counts)
    return Lost(change, entities, rows)
