"""Common parts of commands: errors, options, and calls of a running platform."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dp3.client import Client, ClientError, Retry
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


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `url`; each answer is waited for `timeout_s`."""

    url: str
    timeout_s: float

    def get(self, path: str, **query: Any) -> Any:
        """The decoded answer; ends the command if there is none."""
        try:
            return Client(self.url, timeout_s=self.timeout_s, retry=Retry(total_s=0)).get(path, **query)
        except (ClientError, ValueError) as error:
            raise fail(str(error), 1) from None

    def show(self, path: str, **query: Any) -> None:
        """Print an answer as one line of JSON."""
        echo_json(self.get(path, **query))


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(printable(json.dumps(value, ensure_ascii=False)))
