"""Composition of an API process."""

import ctypes
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.http.accepting import Acceptor, Plain
from dp3.http.access_log import AccessLog
from dp3.http.app import create_app
from dp3.http.connections import Connection, Connections
from dp3.http.handshakes import Handshakes
from dp3.http.listener import Door
from dp3.http.protocol import HttpProtocol
from dp3.http.services import Services
from dp3.http.turns import Turns
from dp3.log.appender import Appender
from dp3.reads.reads import Reads
from dp3.runtime.audit import AuditLog, open_audit_log
from dp3.runtime.exposure import check_exposure, is_loopback
from dp3.runtime.file_limit import raise_file_limit
from dp3.runtime.interpreter import tune
from dp3.runtime.line_file import LineFiles
from dp3.runtime.model import model_kept, note_model
from dp3.runtime.places import needed_at_start
from dp3.runtime.resources import DataDir, Replica, Resources, event_groups, open_replica, open_resources
from dp3.runtime.signals import stop_event

M_MMAP_THRESHOLD, LARGE_MEMORY = -3, 1 << 20
"""Number of an option in `malloc.h`; blocks of so many bytes are mapped one by one."""

GRACE_S = 15
"""Requests under way at a stop have so long to finish."""

HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
"""Every answer has them: browsers take it for what its `Content-Type` says, never show it inside of another
page, and tell nobody the addresses, which hold ids and filters."""

SWITCH_INTERVAL_S = 0.0005
"""The event loop and the thread that appends to the log wait so long for one that computes an answer, dozens
of times in a request. Beside two queries a data-point took up to 120 ms with the default, 5 ms, and 40 ms
with this."""

OTHER_FILES = 128
"""Of the files that the process may open, so many are left to the log, the state and libraries."""

logger = logging.getLogger(__name__)


def serve(
    config: Configuration,
    data: DataDir,
    door: Door,
    worker_processes: int,
    files: LineFiles | None = None,
) -> int:
    """Answer requests until told to stop by SIGINT or SIGTERM; returns the exit status. `files` opens the
    logs. Raises `ModelRefused` when the model differs from that of the stored data, `Exposed` when nobody
    said who may use the API, `FormatError`, `TooFewFiles`, `Unusable`."""
    stop, _ = stop_event()
    connections = Connections(_most_connections(config))
    clock = SystemClock()
    _return_large_memory()
    tune(SWITCH_INTERVAL_S)
    with (
        model_kept(config, data, _lost_model(stop)),
        open_resources(config, data, clock) as resources,
        open_replica(config, clock) as replica,
        open_audit_log(data.audit_log, clock, files) as audit,
    ):
        check_exposure(door.host, config, data, resources.store.tokens)
        _warn_of_open_door(door.host, config)
        note_model(resources.store, config, data)
        appender = Appender(resources.log)
        try:
            services = _services(
                config, resources, replica, appender, clock, audit, worker_processes, files, door
            )
            with needed_at_start():
                app = create_app(services)
            server = http_server(
                app,
                connections,
                stop,
                door.tls,
                access_log=door.access_log,
            )
            logger.info("API on %s", door.url)
            server.run(sockets=[door.listener])
            services.pools.close()
        finally:
            appender.close()
    logger.info("API stopped")
    return 0 if server.started else 1


def _lost_model(stop: threading.Event) -> Callable[[], None]:
    """The end of this process, when the model is being changed although it relies on it."""

    def end() -> None:
        logger.critical("the model is being changed, because this process was not heard of; stopping")
        stop.set()

    return end


def _warn_of_open_door(host: str, config: Configuration) -> None:
    if config.api.auth.mode == "open" and not is_loopback(host):
        logger.warning(
            "auth.mode is open: everybody who reaches %s can read, change and delete everything", host
        )


def _most_connections(config: Configuration) -> int:
    """As configured, if the process may have so many files."""
    room = raise_file_limit() - OTHER_FILES
    wanted = config.api.max_connections
    if wanted > room:
        logger.warning("at most %d connections: the limit of open files allows no more (ulimit -n)", room)
    return min(wanted, room)


def _return_large_memory() -> None:
    """Have memory of large bodies go back to the system when it is free. By default the C library keeps it,
    in pieces that the next body does not fit into, once the first one was freed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # of glibc
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY)


def _services(
    config: Configuration,
    resources: Resources,
    replica: Replica | None,
    appender: Appender,
    clock: SystemClock,
    audit: AuditLog,
    worker_processes: int,
    files: LineFiles | None,
    door: Door,
) -> Services:
    return Services(
        model=config.model,
        log=resources.log,
        store=resources.store,
        appender=appender,
        reads=Reads(
            resources.store,
            resources.log,
            config.model,
            clock,
            run_rate=config.snapshots.creation_rate,
            hooks_are_possible=bool(config.processing_core.enabled_modules),
            answers=None if replica is None else replica.store,
        ),
        settings=config.api,
        clock=clock,
        worker_processes=worker_processes,
        allowed_actions=config.control.allowed_actions,
        modules=config.processing_core.enabled_modules,
        root_path=door.root_path,
        bound_host=door.host,
        max_backlog=config.processing_core.log.max_backlog,
        event_groups=event_groups(config.event_logging),
        audit=audit,
        files=files or LineFiles(),
        data_age_s=None if replica is None else replica.age_s,
    )


def http_server(
    app: ASGIApp,
    connections: Connections,
    stop: threading.Event,
    tls: ssl.SSLContext | None = None,
    *,
    access_log: bool = False,
) -> uvicorn.Server:
    """The HTTP server of an application; it ends when `stop` is set."""
    config = uvicorn.Config(
        AccessLog(app) if access_log else app,
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        headers=list(HEADERS),
        proxy_headers=False,  # the application knows the proxies
    )
    return _Server(config, connections, stop, tls, access_log=access_log)


class _Server(uvicorn.Server):
    """uvicorn's server, which looks after its connections and leaves signals to the process."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        stop: threading.Event,
        tls: ssl.SSLContext | None,
        *,
        access_log: bool,
    ) -> None:
        super().__init__(config)
        self._access_log = access_log
        self._connections = connections
        self._stop = stop
        self._tls = tls
        self._turns = Turns()
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        tls = self._tls
        taker = Plain(self._protocol) if tls is None else Handshakes(tls, self._connections, self._protocol)
        for listener in sockets or []:
            acceptor = Acceptor(listener, self._connections, taker)
            acceptor.start()
            self._acceptors.append(acceptor)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the server."""
        self._connections.look()
        return await super().on_tick(counter) or self._stop.is_set()

    def _protocol(self, handshake: Connection | None = None) -> HttpProtocol:
        return HttpProtocol(
            self._connections,
            self._turns,
            access_log=self._access_log,
            handshake=handshake,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
        self._connections.drop_silent()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
