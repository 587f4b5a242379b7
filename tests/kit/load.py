"""A stream of numbered data-points, a module that derives others from them, and what must come of both."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.program import HEADER, App

BASE = datetime(2020, 1, 1, tzinfo=UTC)
SOURCES = 20
SEEN, BORN = "all", "births"

DERIVING_MODULE = (
    HEADER
    + """
class Deriving(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(self.on_creation, "a")
        registrar.register_on_new_attr_hook(self.on_new, "a", "o")

    def on_creation(self, eid, task):
        number = int(eid[1:])
        return [self.task("births", "born", datetime(2020, 1, 1) + timedelta(seconds=number), number)]

    def on_new(self, eid, dp):
        own = {"etype": "a", "eid": eid, "attr": "p", "v": str(dp.v), "src": "derived"}
        return [
            self.task("all", "seen", dp.t1, dp.v),
            DataPointTask(etype="a", eid=eid, data_points=[own]),
        ]

    def task(self, eid, attr, t1, v):
        point = {"etype": "c", "eid": eid, "attr": attr, "t1": t1, "v": v, "src": "derived"}
        return DataPointTask(etype="c", eid=eid, data_points=[point])
"""
)


def moment(number: int) -> str:
    return (BASE + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def source_of(number: int) -> str:
    return f"s{number % SOURCES}"


def point(number: int) -> dict[str, Any]:
    """Data-point `number` of the stream: its value is the number, its time tells it from all others."""
    return {"type": "a", "id": source_of(number), "attr": "o", "v": number, "t1": moment(number)}


class Sender:
    """Threads that send requests of five data-points, each again and again until it is accepted."""

    def __init__(self, app: App, threads: int = 2) -> None:
        self._app = app
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self.accepted: list[int] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> "Sender":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client = self._app.client
        while not self._stop.wait(0.005):
            with self._lock:
                numbers = range(self._next, self._next + 5)
                self._next = numbers.stop
            client.send([point(number) for number in numbers])
            self.accepted.extend(numbers)


def assert_each_exactly_once(app: App, numbers: list[int]) -> None:
    """Every data-point and everything derived from it is in profiles and raw data, once."""
    numbers = sorted(numbers)
    sources = sorted({source_of(number) for number in numbers})
    for source in sources:
        expected = [(moment(n), n) for n in numbers if source_of(n) == source]
        assert app.history("a", source, "o") == expected
    assert app.history("c", SEEN, "seen") == [(moment(n), n) for n in numbers]
    born = sorted(int(source[1:]) for source in sources)
    assert app.history("c", BORN, "born") == [(moment(n), n) for n in born]
    assert app.raw("a", "o") == sorted((source_of(n), moment(n), n) for n in numbers)
    assert app.raw("c", "seen") == [(SEEN, moment(n), n) for n in numbers]
    assert app.raw("c", "born") == [(BORN, moment(n), n) for n in born]
    assert app.dead_letters() == []
    types = app.client.get("/entities")
    counts = {etype: found["eid_estimate_count"] for etype, found in types.items()}
    assert counts == {"a": len(sources), "c": 2}


def state_of(app: App) -> dict[str, Any]:
    """Everything that readers can see: all master records and all raw data-points."""
    eids = app.query("SELECT etype.name, eid FROM entity JOIN etype ON etype.id = etype ORDER BY 1, 2")
    masters = {f"{etype}/{eid}": app.client.get(f"/entity/{etype}/{eid}/master") for etype, eid in eids}
    attrs = (("a", "o"), ("a", "p"), ("c", "seen"), ("c", "born"))
    raw = {f"{etype}.{attr}": app.raw(etype, attr) for etype, attr in attrs}
    return {"masters": masters, "raw": raw, "letters": app.dead_letters()}


def choose(seed: int) -> random.Random:
    """The random choices of a test, the same every time."""
    return random.Random(seed)
