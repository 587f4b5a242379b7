"""Processes of all hosts that use the model of an application: while some rely on it, nobody changes it.

A row says that a process does, and when it last said so, by the server's clock: locks of a session do not get
through a pooler.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from dp3.postgres.connecting import ServerUnusable, connected
from dp3.postgres.schemas import changing

GONE_S = 15
"""A process that has said nothing for so long does not count any more: as for leases."""

RENEWAL_S = 3.0

logger = logging.getLogger(__name__)


class _Use:
    """A use of the model, which is renewed while it lasts; `alone`: nobody else may use it meanwhile."""

    def __init__(self, url: str, schema: str, on_lost: Callable[[], None], *, alone: bool) -> None:
        self._url = url
        self._schema = schema
        self._on_lost = on_lost
        self._alone = alone
        self._name = secrets.token_hex(8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="model", daemon=True)

    def begin(self) -> bool:
        """False if others are in the way."""
        values = {"name": self._name, "alone": self._alone}
        with connected(self._url) as connection, changing(connection, self._schema):
            _forget_gone(connection)
            made = connection.execute(
                "INSERT INTO schema_user SELECT %(name)s, %(alone)s, clock_timestamp()"
                " WHERE NOT EXISTS (SELECT 1 FROM schema_user WHERE alone OR %(alone)s)",
                values,
            )
        if made.rowcount == 1:
            self._thread.start()
        return made.rowcount == 1

    def end(self) -> None:
        """Others may begin."""
        self._stop.set()
        self._thread.join()
        try:
            self._run("DELETE FROM {schema}.schema_user WHERE name = %s")
        except ServerUnusable as error:
            logger.warning("%s; the model can not be changed for %d s", error, GONE_S)

    def _renew(self) -> None:
        while not self._stop.wait(RENEWAL_S):
            try:
                found = self._run("UPDATE {schema}.schema_user SET seen = clock_timestamp() WHERE name = %s")
            except ServerUnusable as error:
                logger.warning("%s", error)
                continue
            if not found:
                self._on_lost()
                return

    def _run(self, statement: str) -> int:
        with connected(self._url) as connection:
            text = statement.format(schema=self._schema).encode()
            return connection.execute(text, (self._name,)).rowcount


def _forget_gone(connection: Connection[Any]) -> None:
    connection.execute(
        "DELETE FROM schema_user WHERE seen < clock_timestamp() - make_interval(secs => %s)", (GONE_S,)
    )


@contextmanager
def using(
    url: str, schema: str, on_lost: Callable[[], None] = lambda: None, *, alone: bool = False
) -> Iterator[bool]:
    """Use the model of an application as it is while the block runs, or use it `alone`; False if that can not
    be: others use it, or one uses it alone. `on_lost` is called when this process has been silent for so long
    that somebody else uses it alone. Raises `ServerUnusable`."""
    use = _Use(url, schema, on_lost, alone=alone)
    if not use.begin():
        yield False
        return
    try:
        yield True
    finally:
        use.end()
