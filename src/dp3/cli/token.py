"""`dp3 token`: who may use the API."""

import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dp3.cli.common import ConfigDir, DataDirOption, echo_json, fail, fail_of, load_or_exit
from dp3.clock import LAST_US, SystemClock, duration_us, to_datetime
from dp3.config.sections import Role
from dp3.model.durations import parse_time_duration
from dp3.runtime.audit import AuditLog, open_audit_log
from dp3.runtime.places import Unusable
from dp3.runtime.resources import DataDir, has_data, open_store, place_of_data
from dp3.sqlite import FormatError
from dp3.store.ports.errors import StoreUnavailable, StoreUncertain, TokenExists
from dp3.store.ports.tokens import Token, Tokens, digest_of, new_secret

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of who uses it; in logs it stands for the token.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Tokens: who may use the API.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_tokens)
    group.command("revoke")(revoke)
    app.add_typer(group, name="token")


def create(
    config_dir: ConfigDir,
    name: Name,
    role: Annotated[
        Role,
        typer.Option(
            help="ingest sends data-points; read reads profiles; edit also changes and deletes them; operate "
            "reads, and looks after the platform; admin may everything."
        ),
    ],
    data_dir: DataDirOption = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it counts, such as 90d. Default: for ever."),
    ] = None,
) -> None:
    """Make a token, and print it as the last line. It is shown this once: only a digest of it is stored.
    From the first token on all requests need one."""
    if not NAME.fullmatch(name):
        raise fail(
            f"expected a name of at most 64 letters, digits and . _ @ -, beginning with a letter or digit, "
            f"got {name!r}"
        )
    end = None if expires is None else _end_of(expires)
    with _tokens(config_dir, data_dir, make=True) as (tokens, audit):
        first = not tokens.ever_made()
        secret = new_secret()
        try:
            tokens.create(name, role, digest_of(secret.encode()), end)
        except TokenExists as error:
            raise fail(str(error), 1) from None
        _note(audit, "create token", {"name": name, "role": role})
    if first:
        typer.echo("The first token: requests without one are refused from now on.", err=True)
    typer.echo(f"Token {name!r} with the role {role}; it is not shown again:", err=True)
    typer.echo(secret)


def _end_of(text: str) -> int:
    """The time so long from now."""
    try:
        end = SystemClock().now_us() + duration_us(parse_time_duration(text))
    except ValueError as error:
        raise fail(f"--expires: {error}") from None
    if not SystemClock().now_us() < end <= LAST_US:
        raise fail(f"--expires: expected a duration longer than zero, such as 90d, got {text}")
    return end


def list_tokens(
    config_dir: ConfigDir,
    data_dir: DataDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List all tokens, in the order of their making, without the secrets."""
    with _tokens(config_dir, data_dir) as (tokens, _):
        found = tokens.all()
    now = SystemClock().now_us()
    if as_json:
        for token in found:
            echo_json(_shown(token, now))
        return
    table = Table("name", "role", "state", "created", "expires")
    for token in found:
        table.add_row(*(str(value or "never") for value in _shown(token, now).values()))
    Console().print(table if found else "No tokens.")


def _shown(token: Token, now: int) -> dict[str, str | None]:
    state = "revoked" if token.revoked is not None else "expired" if token.is_expired(now) else "live"
    return {
        "name": token.name,
        "role": token.role,
        "state": state,
        "created": _time(token.created),
        "expires": None if token.expires is None else _time(token.expires),
    }


def _time(us: int) -> str:
    return f"{to_datetime(us):%Y-%m-%dT%H:%M:%SZ}"


def revoke(config_dir: ConfigDir, name: Name, data_dir: DataDirOption = None) -> None:
    """Have a token not count any more, within two seconds. Requests go on to need one."""
    with _tokens(config_dir, data_dir) as (tokens, audit):
        if not tokens.revoke(name):
            live = ", ".join(token.name for token in tokens.not_revoked()) or "none"
            raise fail(f"no token named {name!r} counts; those that do: {live}", 1)
        _note(audit, "revoke token", {"name": name})
    typer.echo(f"Token {name!r} is revoked.")


@contextmanager
def _tokens(
    config_dir: Path, data_dir: Path | None, *, make: bool = False
) -> Iterator[tuple[Tokens, AuditLog]]:
    """The tokens of an application, whether or not it runs, and its audit log. `make`: also where there is no
    data yet."""
    config = load_or_exit(config_dir)
    data = DataDir.choose(data_dir, config_dir)
    clock = SystemClock()
    try:
        if not make and not has_data(config, data):
            raise fail(f"there is no data in {place_of_data(config, data)}, so there are no tokens", 1)
        data.prepare()
        with open_store(config, data, clock) as store, open_audit_log(data.audit_log, clock) as audit:
            yield store.tokens, audit
    except Unusable as error:
        raise fail_of(error) from None
    except FormatError as error:
        raise fail(str(error)) from None
    except (StoreUnavailable, StoreUncertain) as error:
        raise fail(str(error), 1) from None


def _note(audit: AuditLog, what: str, on: dict[str, str]) -> None:
    """Commands are noted with the user of the system in place of an address."""
    audit.note(who=_user(), address="command line", what=what, on=on, result=200)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
