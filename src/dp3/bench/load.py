"""Requests to the program, as fast as it takes them or at a fixed rate, from processes of their own."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple, TypeAlias

import msgspec

from dp3.bench.report import BenchFailed
from dp3.bench.sender import Sender
from dp3.bench.workload import Workload

Body = tuple[int, bytes]
"""The number of data-points in a request, and its text."""


@dataclass(slots=True)
class _Sent:
    """The work of one client: accepted data-points, the seconds that each request took, a failure that ended
    it, and the seconds that it computed."""

    accepted: int = 0
    latencies: list[float] = field(default_factory=list)
    failure: str = ""
    cpu_s: float = 0.0


Results: TypeAlias = "multiprocessing.Queue[_Sent]"


class Load(NamedTuple):
    """Results of a load: accepted data-points, seconds from the first request to the last answer, the
    seconds that each request took, ascending, and those that the clients computed."""

    accepted: int
    seconds: float
    latencies: list[float]
    cpu_s: float

    def percentile_ms(self, share: float) -> float:
        return percentile_ms(self.latencies, share)


def percentile_ms(ascending_s: Sequence[float], share: float) -> float:
    """The value in ms that `share` of the values (in seconds, sorted) are not above."""
    return ascending_s[min(int(len(ascending_s) * share), len(ascending_s) - 1)] * 1e3


class LoadFailed(BenchFailed):
    """A request was not accepted."""


def client(url: str, bodies: Iterable[Body], results: Results, token: str | None = None) -> None:
    """Send all bodies one after the other; puts what became of them."""
    sent = _Sent()
    try:
        with Sender(url, token) as sender:
            for count, body in bodies:
                _send_one(sender, count, body, sent)
    except (LoadFailed, OSError) as error:
        sent.failure = f"{type(error).__name__}: {error}"
    sent.cpu_s = time.process_time()
    results.put(sent)


def _send_one(sender: Sender, count: int, body: bytes, sent: _Sent) -> None:
    started = time.perf_counter()
    reply = sender.post(body)
    sent.latencies.append(time.perf_counter() - started)
    if reply.status != 200:
        raise LoadFailed(f"{reply.status}: {reply.text[:200]!r}")
    sent.accepted += count


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
    if failures := [sent.failure for sent in answers if sent.failure]:
        raise LoadFailed(failures[0])
    latencies = sorted(latency for sent in answers for latency in sent.latencies)
    accepted, cpu_s = sum(sent.accepted for sent in answers), sum(sent.cpu_s for sent in answers)
    return Load(accepted, seconds, latencies, cpu_s)


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
        sent = results.get()
        streamed.points, streamed.latencies = sent.accepted, sorted(sent.latencies)
        streamed.seconds = time.perf_counter() - started
        process.join()
    if sent.failure:
        raise BenchFailed(f"the producer beside the measurement failed: {sent.failure}")


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
