"""The data directory of an application, with its log and state: the one place that knows the engines."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dp3.clock import Clock
from dp3.config.loading import Configuration
from dp3.config.sections import EventLoggingSettings
from dp3.engine.continuity import require_continuity
from dp3.log.port import Log
from dp3.log.sqlite import open_log
from dp3.runtime.places import AUDIT_FILE, Unusable, make_private, needed_at_start
from dp3.store.ports.counters import EventGroup, EventGroups
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state

DATA_DIR_ENV = "DP3_DATA_DIR"


@dataclass(frozen=True, slots=True)
class DataDir:
    """The data directory: `log/` (raw data-points), `state/` (profiles), `run/` (of running processes),
    `audit.log` (who changed what). `accept_loss`: whoever opens it goes on without what is missing in it."""

    root: Path
    accept_loss: bool = False

    @classmethod
    def choose(cls, given: Path | None, config_dir: Path, *, accept_loss: bool = False) -> "DataDir":
        """The given directory, else `DP3_DATA_DIR`, else `dp3-data` beside the configuration directory."""
        if given is not None:
            root = given.absolute()
        elif from_environment := os.environ.get(DATA_DIR_ENV):
            root = Path(from_environment).absolute()
        else:
            root = config_dir.resolve().parent / "dp3-data"
        return cls(root, accept_loss)

    def prepare(self) -> None:
        """Make it, unless it is there, and keep other users out. Called before anything in it is opened.
        Raises `Unusable` if this user can not write in it."""
        make_private(self.root, [self.log, self.state, self.run])

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def audit_log(self) -> Path:
        """The record of who changed what."""
        return self.root / AUDIT_FILE

    def attempt(self, worker: int) -> Path:
        """The note of what a worker is doing."""
        return self.run / f"worker-{worker}.attempt"

    def clock_distrust(self, worker: int) -> Path:
        """The file that is there as long as a worker does not trust the clock."""
        return self.run / f"worker-{worker}.clock"

    def sign_of_life(self, worker: int) -> Path:
        """The file that a worker touches when it can not write its heartbeat."""
        return self.run / f"worker-{worker}.alive"


def event_groups(settings: EventLoggingSettings) -> EventGroups:
    """The events to count, as configured."""
    return {
        name: EventGroup(group.intervals, group.auto_declare_events, frozenset(group.events))
        for name, group in settings.groups.items()
    }


@dataclass(frozen=True, slots=True)
class Resources:
    """The log and the state of an application."""

    log: Log
    store: State


@dataclass(frozen=True, slots=True)
class Replica:
    """A copy of the state, for reading. `age_s`: how old what it has is at most, None while nobody knows."""

    store: State
    age_s: Callable[[], float | None]


def has_data(config: Configuration, data: DataDir) -> bool:
    """Whether the application has been started ever. Raises `Unusable`."""
    if (url := config.database.server) is None:
        with needed_at_start():
            return (data.state / "state.db").exists()
    from dp3.store.postgres.presence import has_state

    with server_at_start():
        return has_state(_with_password(config, url), schema_name(config))


def place_of_data(config: Configuration, data: DataDir) -> str:
    """The place of log and state, for messages."""
    return str(data.root) if config.database.server is None else f"the schema {schema_name(config)}"


@contextmanager
def open_resources(
    config: Configuration, data: DataDir, clock: Clock, *, checkpoint: bool = False
) -> Iterator[Resources]:
    """Open both, made when they do not exist yet; `checkpoint` in processes that write the state much. Raises
    `FormatError`, `LogIncomplete`, `Unusable`."""
    with needed_at_start():
        log = _open_log(config, data, clock)
    try:
        with open_store(config, data, clock, checkpoint=checkpoint) as store:
            with needed_at_start():
                require_continuity(log, store.batches, accept_loss=data.accept_loss)
                store.outbox.go_above((*producer, key) for producer, key in log.producer_keys().items())
            yield Resources(log, store)
    finally:
        log.close()


@contextmanager
def open_store(
    config: Configuration, data: DataDir, clock: Clock, *, checkpoint: bool = False
) -> Iterator[State]:
    """Open the state alone; otherwise as `open_resources`."""
    with needed_at_start():
        store = _open_state(config, data, clock, checkpoint)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def open_replica(config: Configuration, clock: Clock) -> Iterator[Replica | None]:
    """Open the copy of the state that answers questions, if there is one. Raises `FormatError`,
    `Unusable`."""
    if config.database.read_url is None:
        yield None
        return
    from dp3.postgres import ReplicaAge
    from dp3.store.postgres import open_state as open_server_state

    with server_at_start():
        url = _with_password(config, config.database.read_url)
        store = open_server_state(
            url,
            schema_name(config),
            clock,
            query_limit_s=config.database.query_timeout.total_seconds(),
            connections=config.database.connections,
        )
    age = ReplicaAge(url)
    try:
        yield Replica(store, age.age_s)
    finally:
        age.close()
        store.close()


def _open_log(config: Configuration, data: DataDir, clock: Clock) -> Log:
    settings = config.processing_core.log
    segment_bytes, segment_age_s = settings.segment_size, settings.segment_age.total_seconds()
    if config.database.server is None:
        return open_log(
            data.root,
            clock,
            segment_bytes=segment_bytes,
            segment_age_s=segment_age_s,
            accept_loss=data.accept_loss,
        )
    from dp3.log.postgres import open_log as open_server_log

    with server_at_start():
        url, schema = server_of(config)
        return open_server_log(
            url,
            schema,
            clock,
            segment_bytes=segment_bytes,
            segment_age_s=segment_age_s,
            connections=config.database.connections,
        )


def _open_state(config: Configuration, data: DataDir, clock: Clock, checkpoint: bool) -> State:
    most, groups = config.processing_core.max_dead_letters, event_groups(config.event_logging)
    query_limit_s = config.database.query_timeout.total_seconds()
    if config.database.server is None:
        return open_state(
            data.state,
            clock,
            max_dead_letters=most,
            checkpoint=checkpoint,
            event_groups=groups,
            query_limit_s=query_limit_s,
        )
    from dp3.store.postgres import open_state as open_server_state

    with server_at_start():
        url, schema = server_of(config)
        return open_server_state(
            url,
            schema,
            clock,
            max_dead_letters=most,
            event_groups=groups,
            query_limit_s=query_limit_s,
            connections=config.database.connections,
        )


@contextmanager
def server_at_start() -> Iterator[None]:
    """Raise `Unusable` for what the server refuses in the block; it may be starting."""
    from dp3.postgres import ServerUnusable

    try:
        yield
    except ServerUnusable as error:
        raise Unusable(str(error), passing=True) from error


def server_of(config: Configuration) -> tuple[str, str]:
    """The address of the server, with its password, and the schema. Raises `FormatError` if that was named
    by nobody and is of another directory of the same name, `Unusable`, `ServerUnusable`."""
    from dp3.postgres import note_directory

    url, schema = _with_password(config, str(config.database.server)), schema_name(config)
    if config.database.schema_name is None:
        note_directory(url, schema, str(config.path.resolve().parent))
    return url, schema


def _with_password(config: Configuration, url: str) -> str:
    """An address with the password of the file, if there is one. Raises `Unusable`."""
    from dp3.postgres import with_password

    if config.database.password_file is None:
        return url
    with needed_at_start():
        password = (config.path / config.database.password_file).read_text("utf-8")
    return with_password(url, password.rstrip("\r\n"))


def schema_name(config: Configuration) -> str:
    """The PostgreSQL schema of an application: as configured, else the name of the directory that has the
    configuration directory, as far as a schema can be called so."""
    if config.database.schema_name is not None:
        return config.database.schema_name
    name = re.sub(r"[^a-z0-9_]+", "_", config.path.parent.name.lower()).strip("_")
    return f"dp3_{name}"[:63]
