"""Composition of an API process."""

import ctypes
import gc
import logging
import socket

import uvicorn

from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.http.app import create_app
from dp3.http.services import Services
from dp3.log.appender import Appender
from dp3.reads.reads import Reads
from dp3.runtime.model import model_kept, note_model
from dp3.runtime.resources import DataDir, Resources, event_groups, open_resources
from dp3.runtime.signals import limit_stop, on_parent_death, on_stop_signal

M_MMAP_THRESHOLD, LARGE_MEMORY = -3, 1 << 20
"""Number of an option in `malloc.h`; blocks of so many bytes are mapped one by one."""

GC_THRESHOLD = 50_000
"""Values die by themselves; looking for cycles at every 700 of them, the default, makes decoding a large
one several times as long."""

GRACE_S = 15
"""Requests under way at a stop have so long to finish."""

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
    config: Configuration, data: DataDir, listener: socket.socket, worker_processes: int, root_path: str = ""
) -> int:
    """Answer requests until told to stop by SIGINT or SIGTERM; returns the exit status. Raises `ModelRefused`
    when the model differs from that of the stored data."""
    clock = SystemClock()
    _return_large_memory()
    gc.set_threshold(GC_THRESHOLD)
    with model_kept(data), open_resources(config, data, clock) as resources:
        note_model(resources.store, config, data)
        appender = Appender(resources.log)
        try:
            services = _services(config, resources, appender, clock, worker_processes, root_path)
            server = uvicorn.Server(
                uvicorn.Config(
                    create_app(services),
                    loop="uvloop",
                    http="httptools",
                    access_log=False,
                    log_config=None,
                    lifespan="on",
                    timeout_graceful_shutdown=GRACE_S,
                    server_header=False,
                )
            )
            _let_stop(server)
            server.run(sockets=[listener])
        finally:
            appender.close()
    logger.info("API stopped")
    return 0 if server.started else 1


def _return_large_memory() -> None:
    """Have memory of large bodies go back to the system when it is free. By default the C library keeps it,
    in pieces that the next body does not fit into, once the first one was freed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # of glibc
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY)


def _services(
    config: Configuration,
    resources: Resources,
    appender: Appender,
    clock: SystemClock,
    worker_processes: int,
    root_path: str,
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
        max_backlog=config.processing_core.log.max_backlog,
        event_groups=event_groups(config.event_logging),
    )


def _let_stop(server: uvicorn.Server) -> None:
    """Stop the server at a signal or when the supervisor is gone. While it runs, uvicorn takes signals itself
    and raises them again at its end; one that comes before ends the server as soon as it has begun."""

    def stop() -> None:
        server.should_exit = True
        limit_stop()

    on_stop_signal(stop)
    on_parent_death(stop)
