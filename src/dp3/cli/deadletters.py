"""`dp3 deadletters`: what failed, and trying it again."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from dp3.cli.common import echo_json, fail
from dp3.cli.platform import DEFAULT_URL, Api, ApiToken, Url
from dp3.hooks.errors import suggestion
from dp3.printable import printable, printable_lines

PAGE = 100
SHOWN = 20
GROUPS = 1_000
RETRY_S = 5.0

INDENT = "      "

MOST_REASON_CHARS = 400
"""Of a reason that is listed; `show` has all of it."""

MOST_REASONS = 10
"""Reasons why some could not be done, the most frequent ones."""


class Kind(StrEnum):
    """A kind of failure."""

    HOOK = "hook"
    RESULT = "result"
    TASK = "task"
    GENERATION = "generation"
    ENTRY = "entry"


Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only of this kind.")]
Module = Annotated[str | None, typer.Option(help="Only of this module.")]
OfHook = Annotated[str | None, typer.Option("--hook", help="Only of this hook, as it is listed.")]
Etype = Annotated[str | None, typer.Option(help="Only of entities of this type.")]
Eid = Annotated[str | None, typer.Option(help="Only of the entity with this id.")]
Reason = Annotated[str | None, typer.Option(help="Only with this text in the reason.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters that there are.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Most = Annotated[int | None, typer.Option("--limit", "-l", min=1, help="At most so many, the oldest ones.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(overview)
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("drop")(drop)
    app.add_typer(group, name="deadletters")


# -- reading ---------------------------------------------------------------------------------------------
def overview(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    kind: OfKind = None,
    module: Module = None,
    hook: OfHook = None,
    etype: Etype = None,
    eid: Eid = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters: what failed, why, and trying it again.

    Without a command: how many there are, by hook and reason, the newest first."""
    if context.invoked_subcommand is not None:
        _refuse_misplaced_options(context)
        return
    api, filters = _api(url, token), _filters(kind, module, hook, etype, eid, reason)
    summary = api.get("/deadletters/summary", limit=GROUPS, **filters)
    if as_json:
        echo_json(summary)
    elif not summary["count"]:
        typer.echo(_why_none(api, filters))
    else:
        of_all = f" of {summary['total']}" if filters else ""
        typer.echo(f"{summary['count']}{of_all} dead letters, by hook and reason, the newest first:")
        for group in summary["groups"]:
            _print_group(group)


def _refuse_misplaced_options(context: typer.Context) -> None:
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.removeprefix("as_")
            raise fail(
                f"--{option} belongs behind the command: dp3 deadletters {context.invoked_subcommand} …"
            )


def list_letters(
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    kind: OfKind = None,
    module: Module = None,
    hook: OfHook = None,
    etype: Etype = None,
    eid: Eid = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")] = SHOWN,
    before: Annotated[int, typer.Option(min=0, help="Only those older than the one of this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    api, filters = _api(url, token), _filters(kind, module, hook, etype, eid, reason)
    last = shown = 0
    for letter in _letters(api, filters, limit, before):
        echo_json(letter) if as_json else _print_letter(letter)
        last, shown = letter["id"], shown + 1
    if as_json:
        return
    if not shown:
        typer.echo(_why_none(api, filters))
        return
    count = api.get("/deadletters/summary", limit=1, **filters)["count"]
    more = f"; older ones: --before {last}" if shown == limit else ""
    typer.echo(f"{shown} of {count} dead letters{more}")


def _letters(api: Api, filters: Mapping[str, str], limit: int, before: int) -> Iterator[dict[str, Any]]:
    while limit > 0:
        size = min(limit, PAGE)
        page = api.get("/deadletters", order="newest", after=before, limit=size, **filters)["data"]
        yield from page
        if len(page) < size:
            return
        before, limit = page[-1]["id"], limit - len(page)


def show(
    id: Annotated[int, typer.Argument(help="Number of the dead letter.")],
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its traceback."""
    letter = _api(url, token).get(f"/deadletters/{id}")
    if as_json:
        echo_json(letter)
        return
    for name, value in letter.items():
        if name != "traceback":
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            typer.echo(printable(f"{name}: {text}"))
    typer.echo(printable_lines(letter.get("traceback") or ""))


# -- orders ----------------------------------------------------------------------------------------------
def retry(
    ids: Ids = None,
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    kind: OfKind = None,
    module: Module = None,
    hook: OfHook = None,
    etype: Etype = None,
    eid: Eid = None,
    reason: Reason = None,
    all_letters: All = False,
    limit: Most = None,
    yes: Yes = False,
) -> None:
    """Call failed hooks again, process failed tasks again. Letters that succeed are removed.

    Either those with these numbers, or those that match the options; then it asks first."""
    api, filters = _api(url, token), _filters(kind, module, hook, etype, eid, reason)
    _order(api, "retry", ids or (), filters, limit, all_letters=all_letters, yes=yes)


def drop(
    ids: Ids = None,
    url: Url = DEFAULT_URL,
    token: ApiToken = None,
    kind: OfKind = None,
    module: Module = None,
    hook: OfHook = None,
    etype: Etype = None,
    eid: Eid = None,
    reason: Reason = None,
    all_letters: All = False,
    limit: Most = None,
    yes: Yes = False,
) -> None:
    """Remove dead letters for good.

    Either those with these numbers, or those that match the options; then it asks first."""
    api, filters = _api(url, token), _filters(kind, module, hook, etype, eid, reason)
    _order(api, "drop", ids or (), filters, limit, all_letters=all_letters, yes=yes)


ONE = {"retry": ("POST", "/deadletters/{id}/retry"), "drop": ("DELETE", "/deadletters/{id}")}
"""Method and path of an order for one dead letter."""


def _order(
    api: Api,
    op: str,
    ids: Sequence[int],
    filters: Mapping[str, str],
    limit: int | None,
    *,
    all_letters: bool,
    yes: bool,
) -> None:
    """Numbers say which dead letters it is about; else filters do, or `--all`."""
    if bool(ids) == bool(filters or all_letters):
        raise fail("which dead letters? Give either their numbers, or options such as --module, or --all")
    if ids:
        _each(api, *ONE[op], ids)
    else:
        _many(api, op, filters, limit, yes)


def _each(api: Api, method: str, path: str, ids: Sequence[int]) -> None:
    failed = 0
    for id in ids:
        answer = api.request(method, path.format(id=id))
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


def _many(api: Api, op: str, filters: Mapping[str, str], limit: int | None, yes: bool) -> None:
    """Have all that match retried or dropped, the oldest first, after asking. Newer ones stay."""
    count = api.get("/deadletters/summary", limit=1, **filters)["count"]
    if not count:
        typer.echo(_why_none(api, filters))
        return
    wanted = min(count, limit or count)
    _confirm(f"{op} {wanted} of the {count} dead letters that match", yes)
    done, reasons, after = 0, Counter[str](), 0
    while (left := wanted - done - reasons.total()) > 0:
        size = min(left, PAGE)
        answer = api.request("POST", f"/deadletters/{op}", limit=size, after=after, **filters)
        results = answer["results"]
        done += sum(result["done"] for result in results.values())
        reasons.update(str(result["reason"]) for result in results.values() if not result["done"])
        if answer["detail"] != "OK" or not results:
            break
        after = max(map(int, results))
    _print_results(done, reasons, left=wanted - done - reasons.total())


def _confirm(what: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise fail(f"this would {what}; add --yes to do it")
    typer.confirm(f"{what.capitalize()}?", abort=True)


def _print_results(done: int, reasons: Counter[str], left: int) -> None:
    typer.echo(f"{done} done")
    for reason, count in reasons.most_common(MOST_REASONS):
        typer.echo(f"{count} not done: {_line(reason)}", err=True)
    if left:
        typer.echo(f"{left} not done yet, or gone meanwhile", err=True)
    if left or reasons:
        raise typer.Exit(1)


# -- text ------------------------------------------------------------------------------------------------
def _print_group(group: Mapping[str, Any]) -> None:
    newest = f"last {_moment(group['last'])} (#{group['newest']})"
    typer.echo(printable(f"{group['count']} × {_what(group)}, {newest}"))
    several = f"{group['reasons']} different reasons, such as: " if group["reasons"] > 1 else ""
    _print_wrapped(several + group["reason"])


def _print_letter(letter: Mapping[str, Any]) -> None:
    entity = f" {letter['etype']}/{letter['eid']}" if letter["etype"] else ""
    typer.echo(printable(f"#{letter['id']} {_moment(letter['time'])} {_what(letter)}{entity}"))
    _print_wrapped(letter["reason"])


def _what(letter: Mapping[str, Any]) -> str:
    return f"{letter['kind']} {letter['module']}: {letter['hook']}" if letter["hook"] else str(letter["kind"])


def _moment(time: str) -> str:
    """Whole seconds (UTC)."""
    return time[:19].replace("T", " ")


def _print_wrapped(text: str) -> None:
    """A reason, below what it belongs to: in lines that fit on a terminal, else in one."""
    text = _line(text)
    if sys.stdout.isatty():
        width = max(shutil.get_terminal_size().columns - 1, len(INDENT) + 20)
        text = textwrap.fill(text, width, initial_indent=INDENT, subsequent_indent=INDENT)
    else:
        text = INDENT + text
    typer.echo(text)


def _line(text: str) -> str:
    return textwrap.shorten(printable(" ".join(text.split())), MOST_REASON_CHARS, placeholder=" …")


# -- filters ---------------------------------------------------------------------------------------------
def _filters(
    kind: Kind | None,
    module: str | None,
    hook: str | None,
    etype: str | None,
    eid: str | None,
    reason: str | None,
) -> dict[str, str]:
    given = {"kind": kind, "module": module, "hook": hook, "etype": etype, "eid": eid, "reason": reason}
    return {name: value for name, value in given.items() if value is not None}


def _why_none(api: Api, filters: Mapping[str, str]) -> str:
    """The message that there are none, with near names for those that no dead letter has."""
    if not filters:
        return "No dead letters."
    lines = ["No dead letters match."]
    groups = api.get("/deadletters/summary", limit=GROUPS)["groups"]
    known = {name: {group[name] for group in groups if group[name]} for name in ("module", "hook")}
    if "etype" in filters:
        known["etype"] = set(api.get("/entities"))
    for name, names in known.items():
        value = filters.get(name)
        if value is not None and value not in names:
            lines.append(f"No dead letter has {name} '{value}'.{suggestion(value, names)}")
    return "\n".join(map(printable, lines))


def _api(url: str, token: str | None) -> Api:
    return Api(url, token, retry_s=RETRY_S)
