"""`dp3 deadletters`: what failed, and trying it again."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dp3.cli.common import DEFAULT_URL, fail
from dp3.client import Client, ClientError, Retry
from dp3.printable import printable, printable_lines

PAGE = 100
RETRY_S = 5.0

Url = Annotated[str, typer.Option("--url", "-u", envvar="DP3_URL", help="Where the API is.")]
Ids = Annotated[list[int], typer.Argument(help="Numbers of dead letters.")]
Kind = Annotated[str | None, typer.Option(help="Only this kind: hook, result, task, generation or entry.")]
Module = Annotated[str | None, typer.Option(help="Only of this module.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Dead letters: what failed, why, and trying it again.", no_args_is_help=True)
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("drop")(drop)
    app.add_typer(group, name="deadletters")


def list_letters(
    url: Url = DEFAULT_URL,
    kind: Kind = None,
    module: Module = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")] = PAGE,
) -> None:
    """List dead letters, oldest first."""
    table = Table("id", "time", "kind", "hook", "entity", "reason")
    for letter in _letters(url, kind, module, limit):
        hook = f"{letter['module']}.{letter['hook']}" if letter["hook"] else ""
        entity = f"{letter['etype']}/{letter['eid']}"
        row = (str(letter["id"]), letter["time"], letter["kind"], hook, entity, letter["reason"])
        table.add_row(*(escape(printable(text)) for text in row))
    Console().print(table if table.rows else "No dead letters.")


def _letters(url: str, kind: str | None, module: str | None, limit: int) -> Iterator[dict[str, Any]]:
    after = 0
    while limit > 0:
        size = min(limit, PAGE)
        page = _call(url, "GET", "/deadletters", after=after, limit=size, kind=kind, module=module)["data"]
        yield from page
        if len(page) < size:
            return
        after, limit = page[-1]["id"], limit - len(page)


def show(
    id: Annotated[int, typer.Argument(help="Number of the dead letter.")], url: Url = DEFAULT_URL
) -> None:
    """Show one dead letter with its traceback."""
    letter = _call(url, "GET", f"/deadletters/{id}")
    console = Console()
    for name, value in letter.items():
        if name != "traceback":
            console.print(f"[bold]{name}[/bold]: {escape(printable(str(value)))}")
    console.print(escape(printable_lines(letter.get("traceback") or "")))


def retry(ids: Ids, url: Url = DEFAULT_URL) -> None:
    """Call failed hooks again, process failed tasks again. Letters that succeed are removed."""
    _each(url, "POST", "/deadletters/{id}/retry", ids)


def drop(ids: Ids, url: Url = DEFAULT_URL) -> None:
    """Remove dead letters for good."""
    _each(url, "DELETE", "/deadletters/{id}", ids)


def _each(url: str, method: str, path: str, ids: list[int]) -> None:
    failed = 0
    for id in ids:
        answer = _call(url, method, path.format(id=id))
        result = answer.get("results", {}).get(str(id))
        if result is None:
            typer.echo(f"{id}: not done yet")
        elif result.get("done"):
            typer.echo(f"{id}: done")
        else:
            failed += 1
            typer.echo(printable(f"{id}: {result.get('reason')}"), err=True)
    if failed:
        raise typer.Exit(1)


def _call(url: str, method: str, path: str, **query: Any) -> Any:
    try:
        return Client(url, retry=Retry(total_s=RETRY_S)).request(method, path, query=query)
    except ClientError as error:
        raise fail(str(error), 1) from None
