"""Requests to the program, as fast as it takes them or at a fixed rate, from processes of their own."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec

from dp3.bench.report import BenchFailed
from dp3.bench.server import credentials
from dp3.bench.workload import Workload

Body = tuple[int, bytes]
"""The number of data-points in a request, and its text."""


Results: TypeAlias = "multiprocessing.Queue[tuple[int, list[float], str]]"


class Load(NamedTuple):
    """Results of a load: accepted data-points, seconds from the first request to the last answer, and
    the seconds that each request took, ascending."""

    accepted: int
    seconds: float
    latencies: list[float]

    def percentile_ms(self, share: float) -> float:
        return percentile_ms(self.latencies, share)


def percentile_ms(ascending_s: Sequence[float], share: float) -> float:
    """The value in ms that `share` of the values (in seconds, sorted) are not above."""
    return ascending_s[min(int(len(ascending_s) * share), len(ascending_s) - 1)] * 1e3


class LoadFailed(BenchFailed):
    """A request was not accepted."""


def client(url: str, bodies: Iterable[Body], results: Results, token: str | None = None) -> None:
    """Send all bodies one after the other; puts (accepted data-points, seconds of each request, failure)."""
    latencies: list[float] = []
    accepted, failure = 0, ""
    try:
        for count in _accepted(url, bodies, latencies, token):
            accepted += count
    except (LoadFailed, OSError, HTTPException) as error:
        failure = f"{type(error).__name__}: {error}"
    results.put((accepted, latencies, failure))


def _accepted(url: str, bodies: Iterable[Body], latencies: list[float], token: str | None) -> Iterator[int]:
    """Sends; the number of data-points of each request that was accepted."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=120)
    headers = {"Content-Type": "application/json", **credentials(token)}
    for count, body in bodies:
        started = time.perf_counter()
        response, text = _post(connection, body, headers)
        while response.status == 503:
            time.sleep(float(response.headers.get("Retry-After", 1)))
            response, text = _post(connection, body, headers)
        latencies.append(time.perf_counter() - started)
        if response.status != 200:
            raise LoadFailed(f"{response.status}: {text[:200]!r}")
        yield count


def _post(connection: HTTPConnection, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, bytes]:
    connection.request("POST", "/datapoints", body, headers)
    response = connection.getresponse()
    return response, response.read()


def send(url: str, bodies: Sequence[Body], clients: int, token: str | None = None) -> Load:
    """Send all bodies with so many clients at a time. Raises `LoadFailed`."""
    return send_parts(url, [bodies[index::clients] for index in range(clients)], token)


def send_parts(url: str, parts: Sequence[Iterable[Body]], token: str | None = None) -> Load:
    """Send all bodies, each part by a client of its own, all at the same time. Raises `LoadFailed`."""
    results: Results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=client, args=(url, part, results, token)) for part in parts]
    started = time.perf_counter()
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    if failures := [failure for _, _, failure in answers if failure]:
        raise LoadFailed(failures[0])
    latencies = sorted(latency for _, some, _ in answers for latency in some)
    return Load(sum(accepted for accepted, _, _ in answers), seconds, latencies)


def ask(connection: HTTPConnection, path: str) -> tuple[float, Any]:
    """The seconds that an answer took until all of it was there, and the answer. Raises `BenchFailed` for
    another status than 200."""
    started = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read()
    seconds = time.perf_counter() - started
    if response.status != 200:
        raise BenchFailed(f"{path} was answered with {response.status}: {text[:300]!r}")
    return seconds, msgspec.json.decode(text)


BATCH = 250
WITHOUT_END = 1 << 40


@dataclass(slots=True)
class Streamed:
    """Figures of what was sent, known when the producer has ended; `latencies` are the seconds that each
    request took, ascending."""

    points: int = 0
    seconds: float = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return self.points / self.seconds

    def percentile_ms(self, share: float) -> float:
        return percentile_ms(self.latencies, share)


@contextmanager
def streaming(url: str, entities: int, rate: int) -> Iterator[Streamed]:
    """Send `rate` data-points a second about so many devices until the end of the block.

    Raises `BenchFailed` if a request is not accepted."""
    stop = multiprocessing.Event()
    results: Results = multiprocessing.Queue()
    bodies = Paced(Workload(total=WITHOUT_END, entities=entities, batch=BATCH), rate, stop)
    process = multiprocessing.Process(target=client, args=(url, bodies, results))
    streamed = Streamed()
    started = time.perf_counter()
    process.start()
    try:
        yield streamed
    finally:
        stop.set()
        streamed.points, latencies, failure = results.get()
        streamed.latencies = sorted(latencies)
        streamed.seconds = time.perf_counter() - started
        process.join()
    if failure:
        raise BenchFailed(f"the producer beside the measurement failed: {failure}")


@dataclass(frozen=True, slots=True)
class Paced:
    """Requests at the moments when they are due, until `stop`. What is late is sent at once."""

    workload: Workload
    rate: int
    stop: Event
    now: Callable[[], float] = time.monotonic

    def __iter__(self) -> Iterator[Body]:
        started, sent = self.now(), 0
        for count, body in self.workload.bodies():
            early = started + sent / self.rate - self.now()
            if self.stop.wait(max(early, 0)):
                return
            yield count, body
            sent += count
