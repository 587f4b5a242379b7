"""The command `dp3`."""

import sys

import typer

from dp3 import __version__
from dp3.cli import archive, bench, check, deadletters, demo, processes, schema_update, sh

app = typer.Typer(
    name="dp3",
    help="Dynamic Profile Processing Platform: keeps a profile of every entity from a stream of data-points.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
processes.add_to(app)
check.add_to(app)
deadletters.add_to(app)
archive.add_to(app)
schema_update.add_to(app)
demo.add_to(app)
bench.add_to(app)
sh.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dp3 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    sys.exit(app())
