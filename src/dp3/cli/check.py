"""`dp3 check`."""

import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.common import ConfigDir, ending, fail, fail_of
from dp3.config.loading import Configuration, load
from dp3.config.problems import ConfigurationError
from dp3.hooks.graph import order_as_mermaid, order_as_text
from dp3.hooks.loading import ModuleLoadError
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.scheduler import never_firing
from dp3.model.task import set_default_model
from dp3.printable import printable, printable_lines
from dp3.runtime.left_running import LeftRunning
from dp3.runtime.modules import WorkerIdentity, register_modules
from dp3.runtime.places import Unusable
from dp3.runtime.resources import DataDir
from dp3.runtime.supervisor import AlreadyRunning, sole_supervisor
from dp3.runtime.verification import renew_state, verify
from dp3.sqlite import FormatError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(check)


def check(
    config_dir: ConfigDir,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the entity model as JSON.")] = False,
    hooks: Annotated[
        bool, typer.Option("--hooks", help="Print the order of hooks in snapshot runs, also as a diagram.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also verify the data in this directory: every entry and page. Stop the platform first.",
        ),
    ] = None,
    renew_checksums: Annotated[
        bool,
        typer.Option(
            "--renew-checksums",
            help="Before that, renew checksums of the state that another program has left wrong.",
        ),
    ] = False,
) -> None:
    """Check a configuration and the registrations of its modules; with --data-dir also the data. Silent, with
    status 0, when all is well."""
    if renew_checksums and data_dir is None:
        raise fail("--renew-checksums needs --data-dir")
    with ending() as left_running:
        config = _configuration(config_dir)
        if data_dir is not None:
            _verify(DataDir(data_dir), renew=renew_checksums)
        registrar = _registrations(config, left_running)
        if hooks:
            typer.echo(order_as_text(registrar.registrations))
            typer.echo(f"\n```mermaid\n{order_as_mermaid(registrar.registrations)}\n```")
        if verbose:
            typer.echo(json.dumps(config.tree["db_entities"], indent=2, default=str))


def _configuration(config_dir: Path) -> Configuration:
    try:
        config = load(config_dir)
    except ConfigurationError as error:
        typer.echo(printable_lines(f"The configuration has mistakes:\n{error}"))
        raise typer.Exit(1) from None
    _note(config.notes)
    return config


def _registrations(config: Configuration, left_running: LeftRunning) -> CallbackRegistrar:
    set_default_model(config.model)
    identity = WorkerIdentity("check", 0, config.processing_core.worker_processes)
    try:
        registrar = register_modules(config, identity, left_running.loading).registrar
    except ModuleLoadError as error:
        raise fail(str(error), 1) from None
    finally:
        _note(left_running.notes())
    _note(never_firing(registrar.registrations))
    return registrar


def _verify(data: DataDir, *, renew: bool) -> None:
    """Say what is wrong with the data, and exit if anything is; before that, `renew` checksums of the
    state."""
    try:
        with sole_supervisor(data.run) if data.run.is_dir() else nullcontext():
            if renew:
                typer.echo(f"pages whose checksum was renewed: {renew_state(data.state)}")
            problems = list(verify(data))
    except FormatError as error:
        raise fail(str(error), 1) from None
    except AlreadyRunning as error:
        raise fail(f"{error}; stop it, then check the data", 1) from None
    except Unusable as error:
        raise fail_of(error) from None
    if problems:
        typer.echo(printable_lines("\n".join(problems)))
        raise typer.Exit(1)


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        typer.echo(printable(f"note: {note}"), err=True)
