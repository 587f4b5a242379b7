"""`dp3 sh`: the HTTP API from the command line. Each topic is a group of commands."""

from typing import Annotated

import typer

from dp3.cli import telemetry
from dp3.cli.calling import DEFAULT_URL, Api


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Ask a running platform over its HTTP API.", no_args_is_help=True)
    group.callback()(_options)
    telemetry.add_to(group)
    app.add_typer(group, name="sh")


def _options(
    context: typer.Context,
    url: Annotated[
        str, typer.Option("--url", "-u", envvar="DP3_URL", help="Where the API is.")
    ] = DEFAULT_URL,
    timeout: Annotated[
        float, typer.Option("--timeout", "-t", min=0.1, help="Seconds to wait for an answer.")
    ] = 5.0,
) -> None:
    context.obj = Api(url, timeout)
