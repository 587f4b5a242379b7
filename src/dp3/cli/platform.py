"""Calls of a running platform, and the options for them. Processes of the platform do without."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

import typer

from dp3.cli.common import echo_json, fail
from dp3.client import Client, ClientError, Refused, Retry

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
