"""Types for configurations of modules, and JSON output."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from dp3.model.durations import AwareDatetime, ParsedTimedelta, T2Datetime
from dp3.model.mac import MACAddress

__all__ = ["AwareDatetime", "DP3Encoder", "ParsedTimedelta", "T2Datetime"]


class DP3Encoder(json.JSONEncoder):
    """JSON with the values of data-points: times in UTC as `YYYY-MM-DDTHH:MM:SS.mmm` without a zone,
    addresses as text, durations in seconds."""

    def default(self, o: Any) -> Any:
        """The JSON form of a value that JSON does not know."""
        if isinstance(o, datetime):
            utc = o.astimezone(UTC) if o.tzinfo is not None else o
            return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")
        if isinstance(o, timedelta):
            return o.total_seconds()
        if isinstance(o, IPv4Address | IPv6Address | MACAddress):
            return str(o)
        return super().default(o)
