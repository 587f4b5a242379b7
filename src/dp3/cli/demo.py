"""`dp3 demo`."""

from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.platform import ApiToken


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(run_demo)


def run_demo(
    seconds: Annotated[
        int | None, typer.Option(min=1, help="End by itself after so many seconds, with a summary.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API. Default: a free one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where data is kept. Default: a temporary directory.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary directory.")] = False,
    token: ApiToken = None,
) -> None:
    """Watch this machine: its processes, services and peers become profiles before your eyes."""
    from dp3.demo.command import demo

    raise typer.Exit(demo(seconds, port, data_dir, keep, token))
