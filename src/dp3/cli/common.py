"""Common parts of commands: errors, options, and calls of a running platform."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer

from dp3.client import Client, ClientError, Refused, Retry
from dp3.config.loading import Configuration, load
from dp3.config.problems import ConfigurationError
from dp3.printable import printable, printable_lines

CONFIGURATION_ERROR = 2
"""Exit status for mistakes in the configuration, in modules, or in the way a command was called."""

ConfigDir = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration directory.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where data is kept. Default: $DP3_DATA_DIR, else `dp3-data` beside CONFIG.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages too.")]


def fail(message: str, status: int = CONFIGURATION_ERROR) -> typer.Exit:
    """Print a message, which may have several lines, on stderr; the caller raises what is returned."""
    typer.echo(printable_lines(message), err=True)
    return typer.Exit(status)


def load_or_exit(config_dir: Path) -> Configuration:
    """Load a configuration, or print all its mistakes and exit."""
    try:
        return load(config_dir)
    except ConfigurationError as error:
        raise fail(f"The configuration has mistakes:\n{error}") from None


DEFAULT_URL = "http://127.0.0.1:5000"

Url = Annotated[str, typer.Option("--url", "-u", envvar="DP3_URL", help="Where the API is.")]
ApiToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="DP3_TOKEN",
        help="Token for the API. Others on this machine see arguments, but not the variable.",
    ),
]


def connect(url: str, token: str | None, **options: Any) -> Client:
    """A client of the API; ends the command if there can be none with this address or token."""
    try:
        return Client(url, token=token, **options)
    except ValueError as error:
        raise fail(str(error)) from None


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `url`, asked with a token if there is one. Each answer is waited for `timeout_s`; a platform
    that is busy is asked again for `retry_s`."""

    url: str
    token: str | None = field(repr=False)
    timeout_s: float = 30.0
    retry_s: float = 0.0

    def get(self, path: str, **query: Any) -> Any:
        """The decoded answer; ends the command if there is none."""
        return self.request("GET", path, **query)

    def request(self, method: str, path: str, **query: Any) -> Any:
        """The same, by any method."""
        retry = Retry(total_s=self.retry_s)
        client = connect(self.url, self.token, timeout_s=self.timeout_s, retry=retry)
        try:
            return client.request(method, path, query=query)
        except (ClientError, ValueError) as error:
            unknown = isinstance(error, Refused) and error.status == HTTPStatus.UNAUTHORIZED
            hint = "; give it with $DP3_TOKEN or --token" if unknown and self.token is None else ""
            raise fail(f"{error}{hint}", 1) from None

    def show(self, path: str, **query: Any) -> None:
        """Print an answer as one line of JSON."""
        echo_json(self.get(path, **query))


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(printable(json.dumps(value, ensure_ascii=False)))
