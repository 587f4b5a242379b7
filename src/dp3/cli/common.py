"""Common parts of commands: errors and options."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dp3.config.loading import Configuration, load
from dp3.config.problems import ConfigurationError
from dp3.printable import printable, printable_lines
from dp3.runtime.left_running import LeftRunning
from dp3.runtime.places import Unusable

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


def fail_of(error: Unusable, where: str = "") -> typer.Exit:
    """The same for what can not be used at the start. With status 1 a supervisor starts the process again,
    which may help when the disk was full."""
    return fail(f"{where}{error}", 1 if error.passing else CONFIGURATION_ERROR)


def load_or_exit(config_dir: Path) -> Configuration:
    """Load a configuration, or print all its mistakes and exit."""
    try:
        return load(config_dir)
    except ConfigurationError as error:
        raise fail(f"The configuration has mistakes:\n{error}") from None


@contextmanager
def ending(*, after_failure_only: bool = False) -> Iterator[LeftRunning]:
    """The process ends with the block, also when modules that were loaded in it have left something running.
    What they have when all went well may be waited for."""
    left = LeftRunning()
    status = 0
    try:
        yield left
    except typer.Exit as end:
        status = end.exit_code
        raise
    except BaseException:
        status = 1
        if left.keep_process():
            sys.excepthook(*sys.exc_info())
        raise
    finally:
        if status or not after_failure_only:
            left.end_process(status)


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(printable(json.dumps(value, ensure_ascii=False)))
