"""`dp3 run`, `dp3 api`, `dp3 worker`."""

import logging
import os
import threading
from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.common import CONFIGURATION_ERROR, ConfigDir, DataDirOption, Verbose, fail, load_or_exit
from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.engine.ingest.reader import LogBehind
from dp3.engine.schema.tracking import ModelRefused
from dp3.hooks.loading import ModuleLoadError
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
    shared = ["--data-dir", str(data.root), "--log-format", log_format, *(["--verbose"] if verbose else [])]
    children = [_api_child(config_dir, host, port, count, shared)]
    for index in range(count):
        command = python_command(
            "worker", name, str(config_dir), str(index), "--workers", str(count), *shared
        )
        children.append(Child(f"worker {index}", command, is_worker=True))
    logger.info("%s: API on http://%s:%d, %d worker(s), data in %s", name, host, port, count, data.root)
    raise typer.Exit(_supervise(config, data, children))


def _begin(verbose: bool, process: str, log_format: LogFormat) -> None:
    """First steps of every process."""
    set_up_logging(verbose, process, log_format)
    log_stacks_on_signal()


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
            hang_s = config.processing_core.hook_hang.total_seconds()
            health = WorkerHealth(
                resources.store.leases.all, data, hang_s=hang_s, start_limit_s=START_LIMIT * hang_s
            )
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
    verbose: Verbose = False,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run only the API. For installations that supervise their processes themselves."""
    from dp3.http.server import listen, serve

    _begin(verbose, "api", log_format)
    if config is None:
        raise fail("which configuration? Give --config or set CONF_DIR")
    configuration = load_or_exit(config)
    try:
        listener = listen(host, port)
    except OSError as error:
        raise fail(str(error)) from None
    processes = workers or configuration.processing_core.worker_processes
    data = DataDir.choose(data_dir, config)
    try:
        status = serve(configuration, data, listener, processes, os.environ.get("ROOT_PATH", ""))
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
