"""The age of what a copy of a server knows."""

import logging
import threading
import time

import psycopg

from dp3.postgres.connecting import shown

EVERY_S = 1.0

AGE = """
SELECT CASE WHEN pg_is_in_recovery()
    THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 ELSE 0 END
"""
"""Since the last commit that has come: workers commit signs of life, so a copy that keeps up is never old."""

logger = logging.getLogger(__name__)


class ReplicaAge:
    """Asks a server how old its data is, in a thread, once a second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: tuple[float, float] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="replica age", daemon=True)
        self._thread.start()

    def age_s(self) -> float | None:
        """The age (s) that the answers of the copy have at most; None as long as it has not told."""
        known = self._known
        return None if known is None else known[0] + time.monotonic() - known[1]

    def close(self) -> None:
        """Stop asking."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            try:
                self._ask_on_one_connection()
            except psycopg.Error as error:
                logger.warning("%s: nobody tells how old its data is: %s", shown(self._url), error)
                self._over.wait(EVERY_S)

    def _ask_on_one_connection(self) -> None:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
            while not self._over.is_set():
                row = connection.execute(AGE).fetchone()
                if row is not None and row[0] is not None:
                    self._known = row[0], time.monotonic()
                self._over.wait(EVERY_S)
