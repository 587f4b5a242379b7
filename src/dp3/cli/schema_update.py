"""`dp3 schema-update`: changes of the model that leave stored data without meaning."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from dp3.cli.common import ConfigDir, DataDirOption, fail, fail_of, load_or_exit
from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.engine.schema.tracking import losses, track_model
from dp3.engine.schema.update import begin_update, finish_update, require_stopped
from dp3.log.port import LogIncomplete, LogUnavailable
from dp3.model.schema import compare, decode_schema, encode_schema, schema_of
from dp3.printable import printable
from dp3.runtime.model import ModelInUse, model_owned, update_command
from dp3.runtime.places import Unusable
from dp3.runtime.resources import DataDir, Resources, has_data, open_resources, place_of_data
from dp3.runtime.supervisor import AlreadyRunning, sole_supervisor
from dp3.sqlite import FormatError
from dp3.store.ports.errors import LeaseRefused, StoreUnavailable

_REFUSALS = (
    AlreadyRunning,
    FormatError,
    LeaseRefused,
    LogUnavailable,
    LogIncomplete,
    ModelInUse,
    StoreUnavailable,
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("schema-update")(schema_update)


def schema_update(
    config_dir: ConfigDir,
    data_dir: DataDirOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be lost.")] = False,
) -> None:
    """Show what a changed model leaves without meaning in the stored data; once confirmed, remove that.
    Nothing else may run. What was interrupted is finished by calling it again."""
    config = load_or_exit(config_dir)
    data = DataDir.choose(data_dir, config_dir)
    try:
        if not has_data(config, data):
            typer.echo(f"No data in {place_of_data(config, data)}: nothing to do.")
            return
        data.prepare()
        with ExitStack() as stack:
            if not dry_run:
                stack.enter_context(sole_supervisor(data.run))
                stack.enter_context(model_owned(config, data))
            resources = stack.enter_context(
                open_resources(config, data, SystemClock(), checkpoint=not dry_run)
            )
            if not dry_run:
                require_stopped(resources.store)
            _update(config, data, resources, yes=yes, dry_run=dry_run)
    except Unusable as error:
        raise fail_of(error) from None
    except _REFUSALS as error:
        raise fail(str(error)) from None


def _update(config: Configuration, data: DataDir, resources: Resources, *, yes: bool, dry_run: bool) -> None:
    store = resources.store
    if store.models.removal() is not None:
        typer.echo("Not all is removed yet that was confirmed to go.")
        if dry_run:
            return
        _finish(resources)
    tracked, _ = store.models.tracked()
    schema = schema_of(config.model)
    difference = compare({} if tracked is None else decode_schema(tracked), schema)
    for place in difference.added if tracked is not None else ():
        typer.echo(printable(f"new or wider: {place}"))
    for lost in losses(store, difference.destroyed):
        typer.echo(printable(str(lost)))
    if not difference.destroyed:
        typer.echo("Nothing is lost.")
    if dry_run:
        return
    if tracked is None or not difference.destroyed:
        track_model(store, config.model, update_command(config, data))
        return
    if not yes:
        typer.confirm("Remove this for good?", abort=True)
    if not begin_update(resources.log, store, tracked, encode_schema(schema), difference.destroyed):
        raise fail("Another process changed the model meanwhile; nothing was removed, call this again", 1)
    _finish(resources)


def _finish(resources: Resources) -> None:
    with _progress() as report:
        finish_update(resources.store, report)
    typer.echo("All of it is removed; the application can be started.")


@contextmanager
def _progress() -> Iterator["_Report"]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Report(progress)


class _Report:
    """Shows how far a removal is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("")

    def __call__(self, stage: str, rows: int) -> None:
        self._progress.update(self._task, description=f"removing {stage}: {rows:,} rows so far")
