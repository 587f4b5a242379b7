"""`dp3 run`, `dp3 api`, `dp3 worker`."""

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.common import (
    CONFIGURATION_ERROR,
    ConfigDir,
    DataDirOption,
    Verbose,
    ending,
    fail,
    fail_of,
    load_or_exit,
)
from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.engine.schema.tracking import ModelRefused
from dp3.hooks.loading import ModuleLoadError
from dp3.http.listener import Door, listen, tls_context
from dp3.log.port import LogIncomplete
from dp3.runtime.exposure import Exposed, check_exposure
from dp3.runtime.file_limit import TooFewFiles, raise_file_limit
from dp3.runtime.line_file import LineFiles
from dp3.runtime.logs import LogFormat, log_stacks_on_signal, set_up_logging
from dp3.runtime.model import note_model
from dp3.runtime.modules import WorkerIdentity
from dp3.runtime.places import Unusable, needed_at_start, require_archive
from dp3.runtime.resources import DataDir, open_resources
from dp3.runtime.signals import is_supervised, on_hang_up, on_parent_death, on_stop_signal
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

LogFile = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Append the log to this file. Default: write it to standard error."),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate chain (PEM): serve https. Default: as configured."),
]
TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Its key, if the certificate's file has none.")
]
AccessLogOption = Annotated[bool, typer.Option("--access-log", help="Log a line for each request.")]

AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss", help="Go on without parts of the log that are missing. What is lost is recorded."
    ),
]

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
    accept_loss: AcceptLoss = False,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes. Default: `worker_processes` of processing_core.yml."),
    ] = None,
    app_name: Annotated[
        str | None,
        typer.Option(
            envvar="APP_NAME", help="Name of the application. Default: name of the directory with CONFIG."
        ),
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    access_log: AccessLogOption = False,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
    log_file: LogFile = None,
) -> None:
    """Run an application: the API and its workers, in one command. Ctrl-C stops it."""
    _begin(verbose, "run", log_format, log_file)
    config = _load(config_dir)
    data = DataDir.choose(data_dir, config_dir, accept_loss=accept_loss)
    count = workers or config.processing_core.worker_processes
    name = app_name or config_dir.resolve().parent.name or "dp3"
    door = _open_door(config, host, port, tls_cert, tls_key)
    url = door.url
    door.listener.close()  # only tried: the API process listens itself, whenever it is started
    shared = ["--data-dir", str(data.root), "--log-format", log_format, *(["--verbose"] if verbose else [])]
    shared += ["--log-file", str(log_file.absolute())] if log_file else []
    shared += ["--accept-loss"] if accept_loss else []
    only_api = _only_api(tls_cert, tls_key, access_log)
    children = [_api_child(config_dir, host, port, count, [*only_api, *shared])]
    for index in range(count):
        command = python_command(
            "worker", name, str(config_dir), str(index), "--workers", str(count), *shared
        )
        children.append(Child(f"worker {index}", command, attempt=data.attempt(index)))
    logger.info("%s: API on %s, %d worker(s), data in %s", name, url, count, data.root)
    status = _supervise(config, data, host, children)
    logger.info("%s stopped", name)
    raise typer.Exit(status)


def _begin(verbose: bool, process: str, log_format: LogFormat, log_file: Path | None) -> LineFiles:
    """First steps of every process; returns what opens files that are opened anew at SIGHUP. Signals that
    stop have been taken care of before, by `dp3.__main__`."""
    files = LineFiles()
    on_hang_up(files.reopen)
    try:
        with needed_at_start():
            file = files.open(log_file) if log_file else None
    except Unusable as error:
        raise fail_of(error, "--log-file: ") from None
    set_up_logging(verbose, process, log_format, file)
    log_stacks_on_signal()
    try:
        raise_file_limit()
    except TooFewFiles as error:
        raise fail(str(error)) from None
    return files


def _open_door(config: Configuration, host: str, port: int, cert: Path | None, key: Path | None) -> Door:
    """Listen, or say in one line why that can not be and exit."""
    if cert is None:
        if key is not None:
            raise fail("--tls-key needs a certificate; give --tls-cert too")
        cert, key = config.api.tls.cert, config.api.tls.key
    try:
        tls = None if cert is None else tls_context(cert, key)
        return Door(listen(host, port), host, tls, os.environ.get("ROOT_PATH", ""))
    except OSError as error:
        raise fail(str(error)) from None


def _only_api(tls_cert: Path | None, tls_key: Path | None, access_log: bool) -> list[str]:
    """The options that `dp3 run` hands to the API alone."""
    files = [("--tls-cert", tls_cert), ("--tls-key", tls_key)]
    given = [word for name, file in files if file is not None for word in (name, str(file))]
    return [*given, *(["--access-log"] if access_log else [])]


def _load(config_dir: Path) -> Configuration:
    """Load the configuration and log what is to be noted of it: once, not by each process of `dp3 run`."""
    config = load_or_exit(config_dir)
    for note in () if is_supervised() else config.notes:
        logger.warning("%s", note)
    return config


def _api_child(config_dir: Path, host: str, port: int, workers: int, shared: list[str]) -> Child:
    address = ["--host", host, "--port", str(port), "--workers", str(workers)]
    return Child("API", python_command("api", "--config", str(config_dir), *address, *shared))


def _supervise(config: Configuration, data: DataDir, host: str, children: list[Child]) -> int:
    stop = threading.Event()
    on_stop_signal(stop.set)
    on_parent_death(stop.set)
    clock = SystemClock()
    try:
        data.prepare()
        require_archive(config)
        with sole_supervisor(data.run), open_resources(config, data, clock) as resources:
            check_exposure(host, config, data, resources.store.tokens)
            note_model(resources.store, config, data)
            hang_s = config.processing_core.hook_hang.total_seconds()
            health = WorkerHealth(
                resources.store.leases.all, data, hang_s=hang_s, start_limit_s=START_LIMIT * hang_s
            )
            return Supervisor(children, health).run(stop)
    except (AlreadyRunning, Exposed, FormatError, LogIncomplete, ModelRefused) as error:
        raise fail(str(error)) from None
    except Unusable as error:
        raise fail_of(error) from None


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
    accept_loss: AcceptLoss = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    access_log: AccessLogOption = False,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
    log_file: LogFile = None,
) -> None:
    """Run only the API. For installations that supervise their processes themselves."""
    files = _begin(verbose, "api", log_format, log_file)
    if config is None:
        raise fail("which configuration? Give --config or set CONF_DIR")
    configuration = _load(config)
    door = _open_door(configuration, host, port, tls_cert, tls_key)

    from dp3.http.server import serve  # takes a second, so mistakes are told before

    processes = workers or configuration.processing_core.worker_processes
    data = DataDir.choose(data_dir, config, accept_loss=accept_loss)
    try:
        data.prepare()
        status = serve(configuration, data, replace(door, access_log=access_log), processes, files)
    except (Exposed, FormatError, LogIncomplete, ModelRefused) as error:
        raise fail(str(error)) from None
    except Unusable as error:
        raise fail_of(error) from None
    raise typer.Exit(status)


def worker(
    app_name: Annotated[str, typer.Argument(metavar="APP_NAME", help="Name of the application.")],
    config_dir: ConfigDir,
    index: Annotated[int, typer.Argument(min=0, help="Which worker this is, from 0.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of the application. Default: as configured.")
    ] = None,
    data_dir: DataDirOption = None,
    accept_loss: AcceptLoss = False,
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
    log_file: LogFile = None,
) -> None:
    """Run one worker. For installations that supervise their processes themselves."""
    from dp3.runtime.worker import run_worker  # takes long, and the other commands do without

    _begin(verbose, f"worker-{index}", log_format, log_file)
    config = _load(config_dir)
    processes = workers or config.processing_core.worker_processes
    if index >= processes:
        raise fail(
            f"worker index must be less than the number of worker processes ({processes}), got {index}"
        )
    identity = WorkerIdentity(app_name, index, processes)
    data = DataDir.choose(data_dir, config_dir, accept_loss=accept_loss)
    with ending(after_failure_only=True):
        try:
            data.prepare()
            require_archive(config)
            status = run_worker(config, identity, data)
        except (FormatError, LeaseRefused, LogIncomplete, ModelRefused, ModuleLoadError) as error:
            raise fail(str(error), CONFIGURATION_ERROR) from None
        except Unusable as error:
            raise fail_of(error) from None
        raise typer.Exit(status)
