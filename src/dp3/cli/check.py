"""`dp3 check`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.common import ConfigDir, ending, fail
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


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(check)


def check(
    config_dir: ConfigDir,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the entity model as JSON.")] = False,
    hooks: Annotated[
        bool, typer.Option("--hooks", help="Print the order of hooks in snapshot runs, also as a diagram.")
    ] = False,
) -> None:
    """Check a configuration and the registrations of its modules. Silent, with status 0, when all is well."""
    with ending() as left_running:
        config = _configuration(config_dir)
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


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        typer.echo(printable(f"note: {note}"), err=True)
