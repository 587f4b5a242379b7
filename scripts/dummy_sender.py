#!/usr/bin/env python3
"""Sends recorded data-points to the platform: an example of a primary module.

    scripts/dummy_sender.py points.jsonl.gz all --shift-time --endpoint-url http://127.0.0.1:5000

A token, if the platform wants one, is taken from $DP3_TOKEN.

A primary module of your own needs no more than `Client(url).send(datapoints)`; the rest is reading files.
"""

import argparse
import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any

from dp3.client import Client, ClientError

Point = dict[str, Any]

TIME_SERIES = ("time", "time_first", "time_last")
LATEST_IN_SECONDS = 2e10
"""Unix times above it are milliseconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Send what the arguments say; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with _opened(options.input_file) as file:
            points = read(file, by_line="jsonl" in options.input_file.name)
            if options.which == "cherry-pick":
                points = first_of_each_attribute(points, options.n)
            if options.shift_time:
                points = (shifted(point, datetime.now(UTC)) for point in points)
            client = Client(options.endpoint_url, token=os.environ.get("DP3_TOKEN"))
            send_all(client, points, options.chunk or options.n, options.workers)
    except (OSError, EOFError, ValueError, ClientError) as error:
        print(f"{options.input_file}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Sends recorded data-points to the platform.")
    parser.add_argument("input_file", type=Path, help="JSON array, or JSON Lines (*.jsonl*); may be *.gz")
    parser.add_argument(
        "which", choices=["cherry-pick", "all"], help="the first -n of every attribute, or everything"
    )
    parser.add_argument("--endpoint-url", default="http://127.0.0.1:5000", help="where the API is")
    parser.add_argument("-n", type=int, default=50, help="data-points of each attribute (50)")
    parser.add_argument("-c", "--chunk", type=int, help="data-points in a request (as -n)")
    parser.add_argument("-w", "--workers", type=int, default=1, help="requests at a time; 1 keeps the order")
    parser.add_argument("--shift-time", action="store_true", help="as if everything was measured now")
    return parser


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read(file: IO[bytes], *, by_line: bool) -> Iterator[Point]:
    """The data-points of a file; without what they do not have."""
    points = map(json.loads, filter(bytes.strip, file)) if by_line else json.load(file)
    for point in points:
        if not isinstance(point, dict):
            raise ValueError("expected every data-point to be a JSON object")
        yield {name: value for name, value in point.items() if value is not None}


def first_of_each_attribute(points: Iterable[Point], number: int) -> Iterator[Point]:
    """So many data-points of every attribute of every type."""
    seen = Counter[tuple[Any, Any]]()
    for point in points:
        attribute = point.get("type"), point.get("attr")
        seen[attribute] += 1
        if seen[attribute] <= number:
            yield point


def shifted(point: Point, now: datetime) -> Point:
    """The data-point as if it began now; all its times move with it."""
    if "t1" not in point:
        return point
    by = now - _moment(point["t1"])
    moved: Point = {name: _moment(point[name]) + by for name in ("t1", "t2") if name in point}
    return {**point, **moved, "v": _shifted_series(point.get("v"), by)}


def _shifted_series(v: Any, by: timedelta) -> Any:
    if not isinstance(v, dict):
        return v
    series = {name: v[name] for name in TIME_SERIES if isinstance(v.get(name), list)}
    return {**v, **{name: [_moment(item) + by for item in items] for name, items in series.items()}}


def _moment(value: str | float) -> datetime:
    if not isinstance(value, str):
        return datetime.fromtimestamp(value if abs(value) <= LATEST_IN_SECONDS else value / 1000, UTC)
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def send_all(client: Client, points: Iterable[Point], chunk: int, workers: int) -> None:
    """Send everything in requests of `chunk` data-points and say how fast that was."""
    began, sent, points = time.monotonic(), 0, iter(points)
    with ThreadPoolExecutor(workers) as pool:
        while batches := [batch for _ in range(workers) if (batch := list(islice(points, chunk)))]:
            list(pool.map(client.send, batches))
            sent += sum(map(len, batches))
    elapsed = time.monotonic() - began
    print(f"{sent} data-points in {elapsed:.1f} s: {sent / max(elapsed, 1e-9):.0f} a second")


if __name__ == "__main__":
    sys.exit(main())
