"""Sends requests as fast as the server takes them, from processes of their own."""

import multiprocessing
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

Body = tuple[int, bytes]


class Load(NamedTuple):
    """What came of a load: accepted data-points, seconds from the first request to the last answer, and
    the seconds that each request took, ascending."""

    accepted: int
    seconds: float
    latencies: list[float]

    def percentile_ms(self, share: float) -> float:
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)] * 1e3


class LoadFailed(Exception):
    """A request was not accepted."""


def _client(
    url: str, bodies: Sequence[Body], results: "multiprocessing.Queue[tuple[int, list[float], str]]"
) -> None:
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=120)
    accepted, latencies = 0, []
    for count, body in bodies:
        started = time.perf_counter()
        connection.request("POST", "/datapoints", body)
        response = connection.getresponse()
        text = response.read()
        while response.status == 503:
            time.sleep(float(response.headers.get("Retry-After", 1)))
            connection.request("POST", "/datapoints", body)
            response = connection.getresponse()
            text = response.read()
        latencies.append(time.perf_counter() - started)
        if response.status != 200:
            results.put((accepted, latencies, f"{response.status}: {text[:200]!r}"))
            return
        accepted += count
    results.put((accepted, latencies, ""))


def send(url: str, bodies: Sequence[Body], clients: int) -> Load:
    """Send all bodies with so many clients at a time. Raises `LoadFailed`."""
    results: multiprocessing.Queue[tuple[int, list[float], str]] = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=_client, args=(url, bodies[index::clients], results))
        for index in range(clients)
    ]
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
