"""`dp3 run`, `dp3 api`, `dp3 worker`."""

import logging
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from dp3.cli.common import CONFIGURATION_ERROR, ConfigDir, DataDirOption, Verbose, fail, load_or_exit
from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.engine.ingest.reader import LogBehind
from dp3.engine.schema.tracking import ModelRefused
from dp3.hooks.loading import ModuleLoadError
from dp3.http.listener import listen, tls_context, url_of
from dp3.runtime.file_limit import TooFewFiles, raise_file_limit
from dp3.runtime.logs import LogFormat, log_stacks_on_signal, set_up_logging
from dp3.runtime.model import note_model
from dp3.runtime.modules import WorkerIdentity
from dp3.runtime.resources import DataDir, open_resources
from dp3.runtime.signals import on_parent_death, on_stop_signal
from dp3.runtime.supervisor import (
    AlreadyRunning,
    Child,
    Supervisor,
    WorkerHealth,
    python_command,
    sole_supervisor,
)
from dp3.sqlite import FormatError
from dp3.store.ports.errors import LeaseRefused

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]

TlsCert = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate chain (PEM): serve https. Default: as configured."),
]
TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Its key, if the certificate's file has none.")
]
AccessLogOption = Annotated[bool, typer.Option("--access-log", help="Log a line for each request.")]

Format = Annotated[LogFormat, typer.Option("--log-format", help="How to write the log.")]

START_LIMIT = 10
"""So many times `hook_hang` a worker may take to start: modules may import and load for long."""

logger = logging.getLogger(__name__)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(api)
    app.command()(worker)


def run(
    config_dir: ConfigDir,
    data_dir: DataDirOption = None,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes. Default: `worker_processes` of processing_core.yml."),
    ] = None,
    app_name: Annotated[
        str | None, typer.Option(help="Name of the application. Default: name of the directory with CONFIG.")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    access_log: AccessLogOption = False,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run an application: the API and its workers, in one command. Ctrl-C stops it."""
    _begin(verbose, "run", log_format)
    config = load_or_exit(config_dir)
    for note in config.notes:
        logger.warning("%s", note)
    data = DataDir.choose(data_dir, config_dir)
    count = workers or config.processing_core.worker_processes
    name = app_name or config_dir.resolve().parent.name or "dp3"
    door = _door(config, host, port, tls_cert, tls_key)
    door.listener.close()  # only tried: the API process listens itself, whenever it is started
    shared = ["--data-dir", str(data.root), "--log-format", log_format, *(["--verbose"] if verbose else [])]
    only_api = _only_api(tls_cert, tls_key, access_log)
    children = [_api_child(config_dir, host, port, count, [*only_api, *shared])]
    for index in range(count):
        command = python_command(
            "worker", name, str(config_dir), str(index), "--workers", str(count), *shared
        )
        children.append(Child(f"worker {index}", command, is_worker=True))
    logger.info(
        "%s: API on %s, %d worker(s), data in %s", name, url_of(host, port, door.tls), count, data.root
    )
    status = _supervise(config, data, children)
    logger.info("%s stopped", name)
    raise typer.Exit(status)


def _begin(verbose: bool, process: str, log_format: LogFormat) -> None:
    """First steps of every process. Signals have been taken care of before, by `dp3.__main__`."""
    set_up_logging(verbose, process, log_format)
    log_stacks_on_signal()
    try:
        raise_file_limit()
    except TooFewFiles as error:
        raise fail(str(error)) from None


class _Door(NamedTuple):
    """Where the API listens, and its TLS if it has any."""

    listener: socket.socket
    tls: ssl.SSLContext | None


def _door(config: Configuration, host: str, port: int, cert: Path | None, key: Path | None) -> _Door:
    """Open it, or say in one line why it can not be opened and exit."""
    if cert is None:
        if key is not None:
            raise fail("--tls-key needs a certificate; give --tls-cert too")
        cert, key = config.api.tls.cert, config.api.tls.key
    try:
        tls = None if cert is None else tls_context(cert, key)
        return _Door(listen(host, port), tls)
    except OSError as error:
        raise fail(str(error)) from None


def _only_api(tls_cert: Path | None, tls_key: Path | None, access_log: bool) -> list[str]:
    """The options that `dp3 run` hands to the API alone."""
    files = [("--tls-cert", tls_cert), ("--tls-key", tls_key)]
    given = [word for name, file in files if file is not None for word in (name, str(file))]
    return [*given, *(["--access-log"] if access_log else [])]


def _api_child(config_dir: Path, host: str, port: int, workers: int, shared: list[str]) -> Child:
    address = ["--host", host, "--port", str(port), "--workers", str(workers)]
    return Child("API", python_command("api", "--config", str(config_dir), *address, *shared))


def _supervise(config: Configuration, data: DataDir, children: list[Child]) -> int:
    stop = threading.Event()
    on_stop_signal(stop.set)
    on_parent_death(stop.set)
    clock = SystemClock()
    try:
        with sole_supervisor(data.run), open_resources(config, data, clock) as resources:
            note_model(resources.store, config, data)
            start_limit_s = START_LIMIT * config.processing_core.hook_hang.total_seconds()
            health = WorkerHealth(resources.store.leases.all, data, start_limit_s)
            return Supervisor(children, health).run(stop)
    except (AlreadyRunning, FormatError, ModelRefused) as error:
        raise fail(str(error)) from None


def api(
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", envvar="CONF_DIR", help="Configuration directory.", show_envvar=True),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of the application. Default: as configured.")
    ] = None,
    data_dir: DataDirOption = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    access_log: AccessLogOption = False,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run only the API. For installations that supervise their processes themselves."""
    _begin(verbose, "api", log_format)
    if config is None:
        raise fail("which configuration? Give --config or set CONF_DIR")
    configuration = load_or_exit(config)
    door = _door(configuration, host, port, tls_cert, tls_key)

    from dp3.http.server import serve  # takes a second, so mistakes are told before

    processes = workers or configuration.processing_core.worker_processes
    data = DataDir.choose(data_dir, config)
    try:
        status = serve(
            configuration,
            data,
            door.listener,
            processes,
            os.environ.get("ROOT_PATH", ""),
            tls=door.tls,
            access_log=access_log,
        )
    except (FormatError, ModelRefused) as error:
        raise fail(str(error)) from None
    raise typer.Exit(status)


def worker(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="Name of the application.")],
    config_dir: ConfigDir,
    index: Annotated[int, typer.Argument(min=0, help="Which worker this is, from 0.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of the application. Default: as configured.")
    ] = None,
    data_dir: DataDirOption = None,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run one worker. For installations that supervise their processes themselves."""
    from dp3.runtime.worker import run_worker

    _begin(verbose, f"worker-{index}", log_format)
    config = load_or_exit(config_dir)
    processes = workers or config.processing_core.worker_processes
    if index >= processes:
        raise fail(
            f"worker index must be less than the number of worker processes ({processes}), got {index}"
        )
    identity = WorkerIdentity(app_name, index, processes)
    try:
        status = run_worker(config, identity, DataDir.choose(data_dir, config_dir))
    except (FormatError, LeaseRefused, LogBehind, ModelRefused, ModuleLoadError) as error:
        raise fail(str(error), CONFIGURATION_ERROR) from None
    raise typer.Exit(status)
