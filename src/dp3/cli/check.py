"""`dp3 check`."""

import json
from typing import Annotated

import typer

from dp3.cli.common import ConfigDir, fail
from dp3.config.loading import load
from dp3.config.problems import ConfigurationError
from dp3.hooks.graph import order_as_mermaid, order_as_text
from dp3.hooks.loading import ModuleLoadError
from dp3.model.task import set_default_model
from dp3.printable import printable, printable_lines
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
    try:
        config = load(config_dir)
    except ConfigurationError as error:
        typer.echo(printable_lines(f"The configuration has mistakes:\n{error}"))
        raise typer.Exit(1) from None
    for note in config.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    set_default_model(config.model)
    processes = config.processing_core.worker_processes
    try:
        registrar = register_modules(config, WorkerIdentity("check", 0, processes)).registrar
    except ModuleLoadError as error:
        raise fail(str(error), 1) from None
    if hooks:
        typer.echo(order_as_text(registrar.registrations))
        typer.echo(f"\n```mermaid\n{order_as_mermaid(registrar.registrations)}\n```")
    if verbose:
        typer.echo(json.dumps(config.tree["db_entities"], indent=2, default=str))
