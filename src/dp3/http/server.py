"""Composition of an API process."""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.http.app import create_app
from dp3.http.audit import AUDIT_FILE, AuditLog
from dp3.http.services import Services
from dp3.log.appender import Appender
from dp3.reads.reads import Reads
from dp3.runtime.exposure import check_exposure, is_loopback
from dp3.runtime.line_file import LineFiles
from dp3.runtime.model import model_kept, note_model
from dp3.runtime.places import needed_at_start
from dp3.runtime.resources import DataDir, Resources, event_groups, open_resources
from dp3.runtime.signals import limit_stop, on_parent_death, on_stop_signal

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

logger = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` with a message that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.listen(2048)
    return listener


def serve(
    config: Configuration,
    data: DataDir,
    listener: socket.socket,
    worker_processes: int,
    root_path: str = "",
    bound_host: str = "",
    files: LineFiles | None = None,
) -> int:
    """Answer requests until told to stop by SIGINT or SIGTERM; returns the exit status. `bound_host` is the
    host given to `listen`, `files` opens the logs. Raises `ModelRefused` when the model differs from that of
    the stored data, `Exposed` when nobody said who may use the API, `FormatError`, `Unusable`."""
    clock = SystemClock()
    with (
        model_kept(data),
        open_resources(config, data, clock) as resources,
        _audit_log(data, clock, files) as audit,
    ):
        host = listener.getsockname()[0]
        check_exposure(host, config, data, resources.store.tokens)
        _warn_of_open_door(host, config)
        note_model(resources.store, config, data)
        appender = Appender(resources.log)
        try:
            services = _services(
                config, resources, appender, clock, audit, worker_processes, files, root_path, bound_host
            )
            with needed_at_start():
                app = create_app(services)
            server = uvicorn.Server(
                uvicorn.Config(
                    app,
                    loop="uvloop",
                    http="httptools",
                    access_log=False,
                    log_config=None,
                    lifespan="on",
                    timeout_graceful_shutdown=GRACE_S,
                    server_header=False,
                    headers=list(HEADERS),
                    proxy_headers=config.api.auth.mode != "proxy",
                )
            )
            _let_stop(server)
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            server.run(sockets=[listener])
            services.pools.close()
        finally:
            appender.close()
    logger.info("API stopped")
    return 0 if server.started else 1


@contextmanager
def _audit_log(data: DataDir, clock: SystemClock, files: LineFiles | None) -> Iterator[AuditLog]:
    """Closed after everything that notes something."""
    with needed_at_start():
        audit = AuditLog(data.root / AUDIT_FILE, clock, files)
    try:
        yield audit
    finally:
        audit.close()


def _warn_of_open_door(host: str, config: Configuration) -> None:
    if config.api.auth.mode == "open" and not is_loopback(host):
        logger.warning(
            "auth.mode is open: everybody who reaches %s can read, change and delete everything", host
        )


def _services(
    config: Configuration,
    resources: Resources,
    appender: Appender,
    clock: SystemClock,
    audit: AuditLog,
    worker_processes: int,
    files: LineFiles | None,
    root_path: str,
    bound_host: str,
) -> Services:
    return Services(
        model=config.model,
        log=resources.log,
        store=resources.store,
        appender=appender,
        reads=Reads(resources.store, resources.log, config.model, clock),
        settings=config.api,
        clock=clock,
        worker_processes=worker_processes,
        allowed_actions=config.control.allowed_actions,
        modules=config.processing_core.enabled_modules,
        root_path=root_path,
        bound_host=bound_host,
        max_backlog=config.processing_core.log.max_backlog,
        event_groups=event_groups(config.event_logging),
        audit=audit,
        files=files or LineFiles(),
    )


def _let_stop(server: uvicorn.Server) -> None:
    """Stop the server at a signal or when the supervisor is gone. While it runs, uvicorn takes signals itself
    and raises them again at its end; one that comes before ends the server as soon as it has begun."""

    def stop() -> None:
        server.should_exit = True
        limit_stop()

    on_stop_signal(stop)
    on_parent_death(stop)
