"""A producer that sends data-points at a fixed rate beside a measurement."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

from dp3.bench.failure import BenchFailed
from dp3.bench.load import Body, Results, client, percentile_ms
from dp3.bench.workload import Workload

BATCH = 250
WITHOUT_END = 1 << 40


@dataclass(slots=True)
class Streamed:
    """What was sent, known when the producer has ended; `latencies` are the seconds that each request took,
    ascending."""

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
