"""The settings of each file, one class per file. Every key is optional.

Durations become `timedelta`, sizes whole bytes.
"""

import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from dp3.config.kinds import (
    Age,
    Count,
    CronExpression,
    HostName,
    Ignored,
    Interval,
    LenientSection,
    OrEmpty,
    Origin,
    OutputFile,
    Section,
    Size,
    Unused,
)

_MIB = 1 << 20
_GIB = 1 << 30


class LogSettings(Section):
    """`processing_core.yml: log`: how much the log of accepted data-points may hold.

    `max_backlog`: unprocessed bytes above which requests are refused. A segment file is closed at
    `segment_size` or `segment_age`.
    """

    max_backlog: Size = ByteSize(4 * _GIB)
    segment_size: Size = ByteSize(128 * _MIB)
    segment_age: Interval = timedelta(days=1)


def _inline_tasks(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("processing_core.max_inline_generated_tasks must be a non-negative integer")
    return value


class ProcessingCoreSettings(LenientSection):
    """`processing_core.yml`: workers, modules and the limits of processing.

    `modules_dir` is absolute once loaded. A batch ends after `batch_time_limit`; a hook is reported
    after `hook_timeout` and makes its worker not ready after `hook_hang`; a derived task of a generation
    above `max_generations` is a dead letter; `entity_cache_size` counts entities.
    """

    worker_processes: Count = 1
    worker_threads: Count = 8
    modules_dir: Path = Path("../modules")
    enabled_modules: tuple[str, ...] = ()
    batch_time_limit: Interval = timedelta(milliseconds=250)
    hook_timeout: Interval = timedelta(seconds=10)
    hook_hang: Annotated[Interval, Field(validate_default=True)] = timedelta(seconds=60)
    max_generations: Count = 16
    entity_cache_size: Count = 200_000
    max_tasks_per_hook: Count = 10_000
    max_dead_letters: Count = 100_000
    log: Annotated[LogSettings, OrEmpty] = LogSettings()
    msg_broker: Ignored = None
    max_inline_generated_tasks: Annotated[int, BeforeValidator(_inline_tasks), Unused()] = 0

    @field_validator("hook_hang")
    @classmethod
    def _not_before_timeout(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        timeout = info.data.get("hook_timeout", value)
        if value < timeout:
            raise ValueError(f"must not be shorter than hook_timeout ({timeout}), got {value}")
        return value


def _engine_address(url: str) -> str:
    """Only the engine of the address is named in messages: the rest may hold a password."""
    engine = urlsplit(url).scheme
    if engine in ("postgresql", "postgres"):
        if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
            raise ValueError("needs psycopg 3 (pip install 'dp3-platform[postgres]'), got postgresql://…")
        _check_words(url)
        return url
    if engine != "sqlite":
        raise ValueError("expected postgresql://…, sqlite:// or no url at all, got another address")
    if url not in ("sqlite:", "sqlite://"):
        raise ValueError(
            "expected sqlite:// without a path (files lie in the data directory), got one with a path"
        )
    return url


def _check_words(url: str) -> None:
    """Raise ValueError unless the driver takes the address."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        needed = "needs psycopg 3 with its library (pip install 'dp3-platform[postgres]'), got postgresql://…"
        raise ValueError(needed) from error
    try:
        words = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        unknown = re.fullmatch(r'invalid URI query parameter: "(\w+)"', str(error).strip())
        what = f"the option {unknown[1]!r} is unknown" if unknown else "the address means nothing"
        raise ValueError(f"{what} to PostgreSQL's clients, got postgresql://…") from None
    if "options" in words:
        raise ValueError("options belong to the user (ALTER ROLE … SET …), got postgresql://…?options=…")


def _server_address(url: str) -> str:
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ValueError("expected postgresql://…, got another address")
    return _engine_address(url)


class DatabaseSettings(Section):
    """`database.yml`: the engine that holds log and state; without `url` it is SQLite in the data directory.

    `schema_name` is the PostgreSQL schema of the application, by default named like the directory that has
    the configuration directory. `read_url`: a copy of the server, which answers questions about entities
    and their snapshots. `password_file` holds the password of the server and nothing else.
    `connections`: the most that a process has to the log of a server, and as many to the state.
    `query_timeout`: how long one question about snapshots may take the state.
    """

    url: Annotated[str, AfterValidator(_engine_address)] | None = None
    schema_name: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] | None = None
    read_url: Annotated[str, AfterValidator(_server_address)] | None = None
    password_file: Path | None = None
    connections: Annotated[Count, Field(ge=2)] = 16
    query_timeout: Interval = timedelta(seconds=5)
    connection: Ignored = None
    db_name: Ignored = None
    username: Ignored = None
    password: Ignored = None
    storage: Ignored = None

    @field_validator("read_url")
    @classmethod
    def _reads_from_a_copy(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not str(info.data.get("url", "postgres")).startswith("postgres"):
            raise ValueError("needs a server (url), of which it is a copy, got postgresql://…")
        return value

    @property
    def server(self) -> str | None:
        """The address of a PostgreSQL server, if that is the engine."""
        return self.url if self.url is not None and self.url.startswith("postgres") else None


class SnapshotsSettings(LenientSection):
    """`snapshots.yml`: when runs start, and whether entities without any value get a snapshot.

    More than `max_component` entities that are linked with each other are processed without the records of
    linked entities.
    """

    creation_rate: CronExpression = CronExpression(minute="*/30")
    keep_empty: bool = True
    max_component: Count = 100_000


class SnapshotCleaningSettings(LenientSection):
    """`history_manager.yml: snapshot_cleaning`: when snapshots older than `older_than` are deleted."""

    schedule: CronExpression = CronExpression(minute="15,45")
    older_than: Age = timedelta(days=7)


class DatapointArchivationSettings(LenientSection):
    """`history_manager.yml: datapoint_archivation`: when raw data older than `older_than` is archived.

    Without `archive_dir` (existing, relative to the process's working directory) it is deleted only.
    """

    schedule: CronExpression = CronExpression(hour=2, minute=0)
    older_than: Age = timedelta(days=7)
    archive_dir: Path | None = None


class HistoryManagerSettings(Section):
    """`history_manager.yml`: packing, cleaning and archiving of history."""

    aggregation_schedule: CronExpression = CronExpression(minute="*/10")
    datapoint_cleaning_schedule: CronExpression = CronExpression(minute="*/30")
    mark_datapoints_schedule: Annotated[CronExpression | None, Unused()] = None
    snapshot_cleaning: Annotated[SnapshotCleaningSettings, OrEmpty] = SnapshotCleaningSettings()
    datapoint_archivation: Annotated[DatapointArchivationSettings, OrEmpty] = DatapointArchivationSettings()


class GarbageCollectorSettings(LenientSection):
    """`garbage_collector.yml`: when entities whose lifetime is over are deleted."""

    collection_rate: CronExpression = CronExpression(hour=3, minute=0)


class UpdaterSettings(Section):
    """`updater.yml`: batches of periodic update hooks; `update_batch_period` is the interval of the cron."""

    update_batch_cron: CronExpression = CronExpression(minute="*/5")
    update_batch_period: Interval = timedelta(minutes=5)
    cache_management_cron: CronExpression = CronExpression(hour=2, minute=0)
    cache_max_entries: Count = 32


ControlAction = Literal["make_snapshots", "refresh_on_entity_creation", "refresh_module_config"]


class ControlSettings(LenientSection):
    """`control.yml`: which control actions workers carry out."""

    allowed_actions: tuple[ControlAction, ...] = (
        "make_snapshots",
        "refresh_on_entity_creation",
        "refresh_module_config",
    )


class EventGroupSettings(LenientSection):
    """`event_logging.yml: groups.<name>`: which events of a group are counted over which intervals."""

    events: tuple[str, ...] = ()
    intervals: tuple[Interval, ...] = (timedelta(minutes=5), timedelta(hours=2))
    auto_declare_events: bool = False
    sync_interval: Ignored = None
    sync_limit: Ignored = None


def _default_groups() -> dict[str, EventGroupSettings]:
    group = EventGroupSettings(auto_declare_events=True)
    return {"te": group, "tasks_by_src": group, "secondary_hooks": group}


class EventLoggingSettings(LenientSection):
    """`event_logging.yml`: event counters; a group that is not configured is not counted."""

    groups: dict[str, EventGroupSettings] = Field(default_factory=_default_groups)
    redis: Ignored = None


class TelemetrySettings(Section):
    """`telemetry.yml`: when the sizes of attributes are measured."""

    attribute_bson_size_schedule: CronExpression = CronExpression(hour=3, minute=15)


class CorsSettings(LenientSection):
    """`api.yml: cors`: other origins whose pages may use the API; `*`: all may read."""

    allow_origins: tuple[Origin, ...] = ()


class DatapointLoggerSettings(LenientSection):
    """`api.yml: datapoint_logger`: files that list accepted and refused data-points, None for no file."""

    good_log: OutputFile = None
    bad_log: OutputFile = None


def _with_certificate(key: Path | None, info: ValidationInfo) -> Path | None:
    if key is not None and info.data.get("cert") is None:
        raise ValueError("a key needs a certificate; set tls.cert too")
    return key


class TlsSettings(LenientSection):
    """`api.yml: tls`: files (PEM) of the certificate chain and of its key, which may also be in `cert`."""

    cert: Path | None = None
    key: Annotated[Path | None, AfterValidator(_with_certificate)] = None


Role = Literal["ingest", "read", "edit", "operate", "admin"]
"""Clients of the API of a role may ask for the routes that it opens; see `dp3.http.rules`."""


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("expected the name of a header, for example X-Forwarded-User")
    return value


class AuthProxySettings(Section):
    """`api.yml: auth.proxy`: a reverse proxy that knows its users and names them in `header`.

    Requests count only from `addresses` (of proxies, or networks). `users` have the role given for them, all
    others `default_role`; None for none.
    """

    header: Annotated[str, AfterValidator(_header_name)] = "X-Forwarded-User"
    addresses: tuple[IPvAnyNetwork, ...] = ()
    users: dict[str, Role] = Field(default_factory=dict)
    default_role: Role | None = None


class AuthSettings(Section):
    """`api.yml: auth`: how clients say who they are.

    `open` asks nobody, `tokens` for a token, `proxy` trusts a reverse proxy. None: `tokens` from the first
    token on that was ever made, until then `open`.
    """

    proxy: Annotated[AuthProxySettings, OrEmpty] = AuthProxySettings()
    mode: Literal["open", "tokens", "proxy"] | None = None

    @field_validator("mode")
    @classmethod
    def _proxies_known(cls, mode: str | None, info: ValidationInfo) -> str | None:
        proxy: AuthProxySettings | None = info.data.get("proxy")
        if mode == "proxy" and proxy is not None and not proxy.addresses:
            raise ValueError("proxy needs the addresses of the proxies in auth.proxy.addresses, got none")
        return mode


Timestamps = Literal["utc", "naive"]
"""Times in answers of the API end in `Z`, or have no zone (and are UTC all the same)."""


class ApiSettings(LenientSection):
    """`api.yml`: `max_body` bytes of one request, `max_concurrent_body` of all requests in flight,
    `max_connections` at a time, `max_value` of the JSON of one value, also of those that hooks make.

    `allowed_hosts`: names by which the API may be asked without a token, besides addresses and localhost.
    `unknown_keys`: what becomes of data-points with keys that mean nothing."""

    allowed_hosts: tuple[HostName, ...] = ()
    auth: Annotated[AuthSettings, OrEmpty] = AuthSettings()
    cors: Annotated[CorsSettings, OrEmpty] = CorsSettings()
    datapoint_logger: Annotated[DatapointLoggerSettings, OrEmpty] = DatapointLoggerSettings()
    max_body: Size = ByteSize(16 * _MIB)
    max_concurrent_body: Size = ByteSize(256 * _MIB)
    max_connections: Count = 1000
    tls: Annotated[TlsSettings, OrEmpty] = TlsSettings()
    max_value: Size = ByteSize(_MIB)
    unknown_keys: Literal["warn", "refuse"] = "warn"
    timestamps: Timestamps = "utc"
