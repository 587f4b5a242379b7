"""The producer that sends at a fixed rate."""

import itertools
import threading

from dp3.bench.load import Paced
from dp3.bench.workload import Workload

WORKLOAD = Workload(total=1_000, entities=10, batch=100)


class WaitsNoted:
    """A stop event for which time passes only while somebody waits."""

    def __init__(self):
        self.time = 0.0
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.time += seconds
        return False


def test_requests_come_at_the_moments_when_they_are_due():
    stop = WaitsNoted()

    list(Paced(WORKLOAD, rate=1_000, stop=stop, now=lambda: stop.time))

    assert [round(wait, 3) for wait in stop.waits] == [0, *[0.1] * 9]


def test_what_is_late_is_sent_at_once():
    stop, late = WaitsNoted(), itertools.chain([0.0], itertools.repeat(10.0))

    list(Paced(WORKLOAD, rate=1_000, stop=stop, now=lambda: next(late)))

    assert set(stop.waits) == {0}


def test_nothing_is_sent_after_the_end():
    stop = threading.Event()
    bodies = iter(Paced(WORKLOAD, rate=10**9, stop=stop))
    next(bodies)

    stop.set()

    assert list(bodies) == []
