"""The audit log: who changed what."""

import logging
from collections.abc import Mapping
from pathlib import Path

from dp3.clock import Clock, to_datetime
from dp3.model.canonical import encode_json

AUDIT_FILE = "audit.log"
"""Its name in the data directory."""

logger = logging.getLogger(__name__)


class AuditLog:
    """Appends one JSON object per request or command that changes something. Never fails who calls it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def note(self, *, who: str, address: str, what: str, on: Mapping[str, str], result: int) -> None:
        """Note what somebody did or wanted to do. `who`: the name of a token or user; `address`: from where;
        `on`: about what; `result`: the status of the answer, 0 without one."""
        time = to_datetime(self._clock.now_us())
        line = {"time": time, "who": who, "address": address, "what": what, "on": dict(on), "result": result}
        try:
            with self._path.open("ab") as file:
                file.write(encode_json(line) + b"\n")
        except OSError as error:
            logger.warning("%s: not written: %s", self._path, error)
