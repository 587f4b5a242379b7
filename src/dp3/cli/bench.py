"""`dp3 bench`."""

from typing import Annotated

import typer

from dp3.bench.command import Scenario
from dp3.bench.command import run as run_scenarios
from dp3.bench.ingest import BenchFailed
from dp3.cli.common import fail


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Measure the real program on this machine.", no_args_is_help=True)
    group.command("ingest")(ingest)
    group.callback()(_bench)
    app.add_typer(group, name="bench")


def _bench() -> None:
    pass


def ingest(
    scenario: Annotated[Scenario, typer.Option(help="What to measure.")] = "main",
    total: Annotated[int, typer.Option(min=1_000, help="Data-points to send.")] = 400_000,
    clients: Annotated[int, typer.Option(min=1, help="Clients that send at the same time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How fast data-points get in, against the floor measured in the same run."""
    try:
        run_scenarios(scenario, total, clients, as_json)
    except BenchFailed as error:
        raise fail(f"The benchmark is void: {error}", 1) from None
