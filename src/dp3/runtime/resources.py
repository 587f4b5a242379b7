"""Opens the log and the state that a configuration asks for: the one place that knows the engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dp3.clock import Clock
from dp3.config.loading import Configuration
from dp3.config.sections import EventLoggingSettings
from dp3.log.port import Log
from dp3.log.sqlite import open_log
from dp3.runtime.paths import DataDir
from dp3.store.ports.counters import EventGroup, EventGroups
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state


def event_groups(settings: EventLoggingSettings) -> EventGroups:
    """Which events are counted, as configured."""
    return {
        name: EventGroup(group.intervals, group.auto_declare_events, frozenset(group.events))
        for name, group in settings.groups.items()
    }


@dataclass(frozen=True, slots=True)
class Resources:
    """The log and the state of an application."""

    log: Log
    store: State


@contextmanager
def open_resources(
    config: Configuration, data: DataDir, clock: Clock, *, checkpoint: bool = False
) -> Iterator[Resources]:
    """Open both, made when they do not exist yet; `checkpoint` in processes that write the state much."""
    settings = config.processing_core
    log = open_log(
        data.root,
        clock,
        segment_bytes=settings.log.segment_size,
        segment_age_s=settings.log.segment_age.total_seconds(),
    )
    try:
        store = open_state(
            data.state,
            clock,
            max_dead_letters=settings.max_dead_letters,
            checkpoint=checkpoint,
            event_groups=event_groups(config.event_logging),
        )
        try:
            yield Resources(log, store)
        finally:
            store.close()
    finally:
        log.close()
