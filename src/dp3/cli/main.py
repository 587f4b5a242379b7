"""The command `dp3`."""

import sys
from importlib import import_module

import typer

from dp3 import __version__
from dp3.runtime.interpreter import keep_loaded

COMMANDS = {
    "run": "processes",
    "api": "processes",
    "worker": "processes",
    "check": "check",
    "deadletters": "deadletters",
    "archive": "archive",
    "schema-update": "schema_update",
    "token": "token",
    "demo": "demo",
    "bench": "bench",
    "sh": "sh",
}
"""The module of each command, in the order in which they are listed."""


def application(wanted: str = "") -> typer.Typer:
    """The command line. Only the module of a wanted command is imported, because a process of the platform
    would need a third of its start for those of all others."""
    app = typer.Typer(
        name="dp3",
        help="Dynamic Profile Processing Platform: "
        "keeps a profile of every entity from a stream of data-points.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for module in [COMMANDS[wanted]] if wanted in COMMANDS else dict.fromkeys(COMMANDS.values()):
        import_module(f"dp3.cli.{module}").add_to(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dp3 {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command that the arguments name; called by `dp3.__main__.main`, which begins the program."""
    command = application(*sys.argv[1:2])
    keep_loaded()
    sys.exit(command())
