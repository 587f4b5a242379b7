"""`dp3 bench`."""

import signal
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeAlias

import typer

from dp3.bench import history as histories
from dp3.bench import lifecycle as lives
from dp3.bench import peers as by_hand
from dp3.bench import query as queries
from dp3.bench import snapshots as snapshot_runs
from dp3.bench.ingest import Scenario
from dp3.bench.ingest import run as run_scenarios
from dp3.bench.report import BenchFailed, say, show
from dp3.bench.sensors import ATTRS
from dp3.bench.workload import Workload
from dp3.cli.common import fail

ALL_PHASES = ",".join(lives.PHASES)
ALL_KINDS = ",".join(ATTRS)
ALL_PARTS = ",".join(snapshot_runs.PARTS)

Engine: TypeAlias = Literal["sqlite", "postgres"]
OfEngine = Annotated[
    Engine, typer.Option("--engine", help="`postgres`: the same load for files and for a server, compared.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="A PostgreSQL server that runs, in place of one that is started; for --engine postgres."
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Measure the real program on this machine.", no_args_is_help=True)
    group.command("ingest")(ingest)
    group.command("snapshots")(snapshots)
    group.command("query")(query)
    group.command("lifecycle")(lifecycle)
    group.command("history")(history)
    group.command("peers")(peers)
    group.callback()(_bench)
    app.add_typer(group, name="bench")


def _bench() -> None:
    pass


def ingest(
    scenario: Annotated[Scenario, typer.Option(help="What to measure.")] = "main",
    total: Annotated[int, typer.Option(min=1_000, help="Data-points to send.")] = 400_000,
    clients: Annotated[int, typer.Option(min=1, help="Clients that send at the same time.")] = 2,
    tokens: Annotated[bool, typer.Option("--tokens", help="Requests need a token, and bring it.")] = False,
    engine: OfEngine = "sqlite",
    url: Url = None,
    workers: Annotated[
        int, typer.Option(min=2, help="Workers that are compared with one; for --engine postgres.")
    ] = 4,
    latency: Annotated[
        float, typer.Option(min=0, help="Milliseconds added on the way to the server and back.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Measure how fast data-points get in, against the floor measured in the same run."""
    if engine == "sqlite":
        _measure(lambda: run_scenarios(scenario, total, clients, tokens, as_json))
        return
    if scenario != "main":
        raise typer.BadParameter(f"--engine postgres has the scenario main only, got {scenario}")
    both = _both(url)
    setting = both.OnServer(url, workers, latency)
    load = Workload(total=total)
    _measure(lambda: show(both.ingest_on_both(load, clients, tokens, setting, say), as_json))


def _both(url: str | None) -> Any:
    """The benchmarks of both engines; without their packages the command ends."""
    needed = by_hand.missing()
    if url is not None:
        needed = [package for package in needed if package != by_hand.SERVER]
    if needed:
        extra = "postgres" if url is not None else "peers"
        raise fail(f"This needs {', '.join(needed)}: pip install 'dp3-platform[{extra}]'", 2)
    from dp3.bench import both

    return both


def _named(names: str, known: Collection[str], what: str) -> list[str]:
    """The names of a list; a wrong one ends the command."""
    for name in names.split(","):
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise typer.BadParameter(f"there is no {what} {name!r} of {','.join(known)}{hint}")
    return names.split(",")


def snapshots(
    only: Annotated[
        str, typer.Option(metavar="PARTS", help="What to measure, divided by commas.")
    ] = ALL_PARTS,
    entities: Annotated[
        int, typer.Option(min=1_000, help="Devices without hooks, of which then one in a hundred changes.")
    ] = snapshot_runs.ENTITIES,
    linked: Annotated[
        int, typer.Option(min=1_000, help="Devices with a hook over links.")
    ] = snapshot_runs.LINKED,
    runs: Annotated[
        int, typer.Option(min=1, help="Runs whose stored rows are weighed.")
    ] = snapshot_runs.RUNS,
    engine: OfEngine = "sqlite",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast snapshot runs are, and what they cost when one entity in a hundred has changed."""
    parts = _named(only, snapshot_runs.PARTS, "part")
    if engine == "postgres":
        both = _both(url)
        setting = both.OnServer(url)
        _measure(lambda: show(both.snapshots_on_both(parts, linked, entities, runs, setting, say), as_json))
        return
    _measure(lambda: show(snapshot_runs.snapshots(parts, linked, entities, runs, say), as_json))


def query(
    large: Annotated[
        bool, typer.Option("--large", help=f"{queries.LARGE:,} devices instead of {queries.ENTITIES:,}.")
    ] = False,
    requests: Annotated[int, typer.Option(min=1, help="Questions of each kind.")] = queries.REQUESTS,
    engine: OfEngine = "sqlite",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Measure how long questions take while data-points come in."""
    entities = queries.LARGE if large else queries.ENTITIES
    if engine == "postgres":
        both = _both(url)
        setting = both.OnServer(url)
        _measure(lambda: show(both.query_on_both(entities, requests, setting, say), as_json))
        return
    _measure(lambda: show(queries.query(entities, requests, say), as_json))


def lifecycle(
    only: Annotated[
        str, typer.Option(metavar="PHASES", help="What to measure, divided by commas.")
    ] = ALL_PHASES,
    intervals: Annotated[
        int, typer.Option(min=1_000, help="Intervals of observations to pack.")
    ] = lives.INTERVALS,
    entities: Annotated[int, typer.Option(min=1_000, help="Entities of all other phases.")] = lives.ENTITIES,
    large: Annotated[bool, typer.Option("--large", help=f"{lives.LARGE:,} entities.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure how fast history is packed and cleaned, entities collected and visited, raw data archived.

    Each phase runs with a quarter of its size first, so that its need of memory can be compared.
    """
    count = lives.LARGE if large else entities
    phases = _named(only, lives.PHASES, "phase")
    _measure(lambda: show(lives.lifecycle(phases, intervals, count, say), as_json))


def history(
    only: Annotated[
        str, typer.Option(metavar="KINDS", help="Kinds of data to measure, divided by commas.")
    ] = ALL_KINDS,
    most: Annotated[
        int, typer.Option(min=100, help="The longest history: so many observations of an attribute.")
    ] = histories.MOST,
    entities: Annotated[
        int, typer.Option(min=10, help="Entities with each length of each kind.")
    ] = histories.ENTITIES,
    population: Annotated[
        int, typer.Option(min=1, help="Other entities, among which these are scattered.")
    ] = histories.POPULATION,
    large: Annotated[bool, typer.Option("--large", help=f"{histories.LARGE:,} other entities.")] = False,
    runs: Annotated[
        int, typer.Option(min=1, help="Snapshot runs over each length of each kind; their median counts.")
    ] = histories.RUNS,
    as_json: AsJson = False,
) -> None:
    """Measure whether reads and runs cost more the longer histories are."""
    kinds = _named(only, ATTRS, "kind")
    lengths = [length for length in histories.LENGTHS if length <= most]
    others = histories.LARGE if large else population
    _measure(lambda: show(histories.history(kinds, lengths, say, entities, others, runs), as_json))


def peers(
    total: Annotated[
        int, typer.Option(min=1_000, help="Data-points to send in batches of 1 000, in each round.")
    ] = by_hand.TOTAL,
    singles: Annotated[
        int, typer.Option(min=100, help="Data-points to send one by one, in each round.")
    ] = by_hand.SINGLES,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds, in which both take turns; their median counts.")
    ] = by_hand.ROUNDS,
    as_json: AsJson = False,
) -> None:
    """Measure the same load against code written by hand: FastAPI, pydantic and PostgreSQL."""
    if packages := by_hand.missing():
        raise fail(f"This needs {', '.join(packages)}: pip install 'dp3-platform[peers]'", 2)
    from dp3.bench.peers.comparison import peers as compare

    _measure(lambda: show(compare(total, singles, rounds, say), as_json))


def _measure(measure: Callable[[], None]) -> None:
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # As Ctrl-C: the measured program, which goes on when its terminal is closed, is ended in order.
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        measure()
    except BenchFailed as error:
        raise fail(f"The benchmark is void: {error}", 1) from None
