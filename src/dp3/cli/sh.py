"""`dp3 sh`: how a running platform is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dp3.cli.common import echo_json
from dp3.cli.platform import DEFAULT_URL, Api, ApiToken, Url

Context = typer.Context
Start = Annotated[str | None, typer.Option("--from", "-f", help="Begun at this time or later.")]
End = Annotated[str | None, typer.Option("--to", "-t", help="Begun at this time or before.")]


class Unit(StrEnum):
    """Units of an age."""

    MINUTES = "minutes"
    SECONDS = "seconds"


class Sort(StrEnum):
    """Orders of records."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Lines(StrEnum):
    """Ways to print a list: at once, or one element a line."""

    JSON = "json"
    NDJSON = "ndjson"


def _add_telemetry(sh: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="How a running platform is.", no_args_is_help=True)
    group.command("sources-validity")(sources_validity)
    group.command("source-age")(source_age)
    group.command("entities-per-attr")(entities_per_attr)
    group.command("attribute-bson-sizes")(attribute_bson_sizes)
    group.command("snapshot-summary")(snapshot_summary)
    group.command("rabbitmq-queues")(rabbitmq_queues)
    group.command("metadata")(metadata)
    group.command("event-counts")(event_counts)
    sh.add_typer(group, name="telemetry")


def sources_validity(context: Context) -> None:
    """Show how far the data-points of each source reach."""
    _api(context).show("/telemetry/sources_validity")


def source_age(
    context: Context, unit: Annotated[Unit, typer.Option("--unit", "-u", help="Of the age.")] = Unit.MINUTES
) -> None:
    """Show the age of the latest data-point of each source."""
    _api(context).show("/telemetry/sources_age", unit=unit)


def entities_per_attr(context: Context) -> None:
    """Count the entities that have data of each attribute."""
    _api(context).show("/telemetry/entities_per_attr")


def attribute_bson_sizes(context: Context) -> None:
    """Sizes of stored values, as they were last measured."""
    _api(context).show("/telemetry/attribute_bson_sizes")


def snapshot_summary(context: Context) -> None:
    """Show the age of the snapshots."""
    _api(context).show("/telemetry/snapshot_summary")


def rabbitmq_queues(context: Context) -> None:
    """Show the data that waits for each worker."""
    _api(context).show("/telemetry/rabbitmq/queues")


def metadata(
    context: Context,
    module: Annotated[str | None, typer.Option("--module", "-m", help="Only of this module.")] = None,
    start: Start = None,
    end: End = None,
    skip: Annotated[int, typer.Option("--skip", "-s", min=0, help="Leave out so many.")] = 0,
    limit: Annotated[int, typer.Option("--limit", "-l", min=0, help="At most so many; 0: all.")] = 0,
    sort: Annotated[Sort, typer.Option("--sort", "-S", help="Which come first.")] = Sort.NEWEST,
    form: Annotated[Lines, typer.Option("--format", "-F", help="How to print them.")] = Lines.NDJSON,
) -> None:
    """Records of snapshot runs."""
    span = {"date_from": start, "date_to": end}
    found = _api(context).get("/telemetry/metadata", module=module, skip=skip, limit=limit, sort=sort, **span)
    for shown in [found] if form is Lines.JSON else found:
        echo_json(shown)


def event_counts(
    context: Context,
    group: Annotated[str, typer.Option("--group", "-g", help="As in event_logging.yml.")],
    interval: Annotated[str, typer.Option("--interval", "-i", help="One of the group's, such as 5m.")],
    last: Annotated[
        bool, typer.Option("--last", help="Those of the interval before, as without any of these.")
    ] = False,
    current: Annotated[bool, typer.Option("--current", help="Those of the current interval.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Those of both.")] = False,
) -> None:
    """Count the events of a group."""
    found = _api(context).get("/telemetry/event_counts", group=group, interval=interval)
    wanted = {"group", "interval"}
    if current or both:
        wanted.add("current")
    if last or both or not current:
        wanted.add("last")
    echo_json({name: found[name] for name in sorted(wanted)})


def _api(context: Context) -> Api:
    api: Api = context.obj
    return api


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Ask a running platform over its HTTP API.", no_args_is_help=True)
    group.callback()(_options)
    _add_telemetry(group)
    app.add_typer(group, name="sh")


def _options(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    timeout: Annotated[
        float, typer.Option("--timeout", "-t", min=0.1, help="Seconds to wait for an answer.")
    ] = 5.0,
    _config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="DIR", help="Accepted; the platform knows its configuration."),
    ] = None,
) -> None:
    context.obj = Api(url, token, timeout)
