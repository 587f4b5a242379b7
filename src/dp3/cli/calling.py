"""Calling the HTTP API for a command: the answer on stdout, what is wrong on stderr with status 1."""

import json
from dataclasses import dataclass
from typing import Any

import typer

from dp3.cli.common import fail
from dp3.client import Client, ClientError, Retry

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
    typer.echo(json.dumps(value, ensure_ascii=False))
