"""`dp3 bench history`: what is current must not cost more the longer its history is."""

import random
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dp3.bench.application import EVERY_SECOND, Application
from dp3.bench.devices import Devices, parts
from dp3.bench.driver import CLIENTS, RunFigures, Watch, run_snapshots
from dp3.bench.load import ask, percentile_ms, send_parts
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.sensors import (
    ATTRS,
    SENSOR,
    SPACING_MS,
    Firsts,
    Observation,
    Round,
    Series,
    intervals,
    others,
)
from dp3.bench.server import Server, cpu_s, running
from dp3.bench.state import state_of

LENGTHS = (10, 100, 1_000, 10_000)
MOST = LENGTHS[-1]
ENTITIES = 50
POPULATION = 20_000
LARGE = 1_000_000

PERIOD_SLOTS = 6
"""History is packed once in half an hour."""

PERIODS = 4
"""So many of them, the last ones, are packed one by one, so that late data comes after what is packed."""

BULK_SLOTS = 500
"""Older history is sent in rounds of so many observations of each sensor; it is packed meanwhile."""

WARM_UP = 50
"""Other sensors of which is asked first."""

RUNS = 5
"""Of each series; their median counts."""

ATTEMPTS = 5
"""A run that also looks at sensors whose values ended by themselves meanwhile is made again so many times."""

RATIOS = {
    "run": "run_cpu_us",
    "attr": "attr_p50_ms",
    "record": "record_p50_ms",
    "attr_cpu": "attr_cpu_us",
    "record_cpu": "record_cpu_us",
    "run_rows": "run_rows",
    "attr_rows": "attr_rows",
    "record_rows": "record_rows",
}
"""The figures that are compared between the longest histories and the shortest ones: name of the ratio →
figure."""

LEAST = 0.01
"""A smaller figure counts as this: differences between runs may come out as nothing."""

HOUR_MS = 3_600_000
SEED = 1

READ_ROWS = "dp3_history_read_rows_total"
API, WORKERS = 'process="api"', 'process="worker'

Figures = dict[str, Any]


class Read(NamedTuple):
    """The question about a sensor, and the part of the answer that is the history of an attribute. `current`
    takes the current value from an answer, if there is one."""

    path: Callable[[Series, int], str]
    history: Callable[[Any, Series], list[Any]]
    current: Callable[[Any], Any] | None = None


READS = {
    "attr": Read(
        lambda series, i: f"/entity/{SENSOR}/{series.eid(i)}/get/{series.attr}",
        lambda answer, series: answer["history"],
        lambda answer: answer["current_value"],
    ),
    "record": Read(
        lambda series, i: f"/entity/{SENSOR}/{series.eid(i)}",
        lambda answer, series: answer["master_record"][series.attr],
    ),
}


def history(
    only: Collection[str],
    lengths: Sequence[int],
    say: Say,
    entities: int = ENTITIES,
    population: int = POPULATION,
    runs: int = RUNS,
) -> Figures:
    """Measure reads and runs over sensors with histories of some lengths, for some of `ATTRS`: `entities` of
    each, among a `population` of others. Raises `BenchFailed`."""
    base = time.time_ns() // 10**6
    series = [Series(attr, length, entities, base) for attr in ATTRS if attr in only for length in lengths]
    many = others(population, base)
    with running(Application().with_packing(EVERY_SECOND)) as server:
        say(f"sending histories of {entities} sensors of each of {len(series)} kinds and lengths")
        sent = _fill(server, series, many)
        server.restart(Application())
        newest = _send_newest(server, series)
        sensors = Sensors(server, newest)
        found: dict[Series, Figures] = {one: {} for one in series}
        for name in READS:
            say(f"asking for each of {len(series) * entities:,} sensors: {name}")
            sensors.warm_up(many)
            for one in series:
                found[one] |= sensors.asked(one, name)
            server.restart(Application())
        say(f"{runs} runs over {entities} sensors for each of {len(series)} kinds and lengths")
        least, _ = sensors.runs_over(replace(many, entities=1), runs)
        for one in series:
            found[one] |= _of_runs(*sensors.runs_over(one, runs), least)
            sensors.check_snapshots(one)
        server.stop()
    sizes = {"entities": entities, "population": population, "datapoints": sent + newest.sent}
    return sizes | told(found)


class Newest(NamedTuple):
    """The data that is not packed: that of the slots until `end` (excluded), so many data-points."""

    end: int
    sent: int


def _fill(server: Server, series: Sequence[Series], many: Series) -> int:
    """Send all history but for the last half hour, oldest first, and have it packed; returns how much it is.

    The sensors are made in random order, scattered among others."""
    order = [(one, i) for one in (*series, many) for i in range(one.entities)]
    random.Random(SEED).shuffle(order)
    sent = _send(server, Firsts(order), len(order))
    expect("sensors", server.get("/entities")[SENSOR]["eid_estimate_count"], len(order))
    bulk_end = 1 - PERIOD_SLOTS * (1 + PERIODS)
    for begin in range(min(one.first for one in series), bulk_end, BULK_SLOTS):
        sent += _send_round(server, series, begin, min(begin + BULK_SLOTS, bulk_end))
    with state_of(server.data) as state:
        watch = Watch(server)
        for begin in range(bulk_end, 1 - PERIOD_SLOTS, PERIOD_SLOTS):
            watch.until("all is packed", lambda: not state.has_fresh())
            sent += _send_round(server, series, begin, begin + PERIOD_SLOTS)
        watch.until("all is packed", lambda: not state.has_fresh())
        expect("packed data-points", state.history()[0], sent)
    return sent


def _send_newest(server: Server, series: Sequence[Series]) -> Newest:
    """Send the half hour before the begin of the benchmark, and what has passed since."""
    end = (time.time_ns() // 10**6 - series[0].base) // SPACING_MS + 1
    return Newest(end, _send_round(server, series, 1 - PERIOD_SLOTS, end))


def _send_round(server: Server, series: Sequence[Series], begin: int, end: int) -> int:
    due = [one for one in series if one.first < end]
    return _send(server, Round(due, begin, end), sum(one.entities for one in due))


def _send(server: Server, devices: Devices, count: int) -> int:
    accepted = send_parts(server.url, parts(devices, range(count), CLIENTS)).accepted
    server.wait_drained()
    return accepted


class Sensors:
    """The sensors of the program under test, and what it was told of them last."""

    def __init__(self, server: Server, newest: Newest) -> None:
        self._server = server
        self._end = newest.end
        self._said: dict[Series, list[int]] = {}
        """Times (ms) of further observations, one after the other."""

    def say_more(self, series: Series) -> None:
        """Send one more observation of each sensor of a series, of the last second."""
        now = time.time_ns() // 10**6
        self._said.setdefault(series, []).append(now)
        points = [series.point(i, self.said(series, i)[-1]) for i in range(series.entities)]
        answer = self._server.post("/datapoints?wait=true", msgspec.json.encode(points))
        expect("further observations", answer, {"detail": "OK", "applied": True})

    def said(self, series: Series, i: int) -> list[Observation]:
        """The observations of a sensor in the last hours."""
        more = enumerate(self._said.get(series, ()), self._end)
        return [
            *series.recent(i, self._end),
            *(Observation(t2 - 1_000, t2, series.value(i, slot)) for slot, t2 in more),
        ]

    def warm_up(self, series: Series) -> None:
        """Ask a program that was just started the first questions, which take it longer."""
        connection = self._server.connect()
        for i in range(min(series.entities, WARM_UP)):
            for read in READS.values():
                ask(connection, read.path(series, i))
        connection.close()

    def asked(self, series: Series, name: str) -> Figures:
        """Ask once for each sensor of a series, in random order."""
        self.say_more(series)
        read, order = READS[name], list(range(series.entities))
        random.Random(SEED).shuffle(order)
        api = self._server.processes()["api"]
        rows = self._server.metric(READ_ROWS, API)
        computed_s, read_bytes = cpu_s(api), api.io_counters().read_chars
        connection, seconds = self._server.connect(), []
        for i in order:
            since = time.time_ns() // 10**6 - HOUR_MS
            took_s, answer = ask(connection, f"{read.path(series, i)}?date_from={since}")
            seconds.append(took_s)
            check(series, self.said(series, i), read, answer, since)
        connection.close()
        computed_s, read_bytes = cpu_s(api) - computed_s, api.io_counters().read_chars - read_bytes
        rows = self._server.metric(READ_ROWS, API) - rows
        seconds.sort()
        return {
            f"{name}_p50_ms": round(percentile_ms(seconds, 0.5), 2),
            f"{name}_p95_ms": round(percentile_ms(seconds, 0.95), 2),
            f"{name}_cpu_us": round(computed_s / series.entities * 1e6),
            f"{name}_rows": round(rows / series.entities, 1),
            f"{name}_kib": round(read_bytes / series.entities / 1024, 1),
        }

    def runs_over(self, series: Series, runs: int) -> tuple[RunFigures, float]:
        """So many runs that look at all sensors of a series, because there was a further observation of each:
        what is typical of them, and the rows of history that each read."""
        for _ in range(ATTEMPTS):
            self._settle()
            rows = self._worker_rows()
            made = []
            for _ in range(runs):
                self.say_more(series)
                made.append(run_snapshots(self._server))
            rows = self._worker_rows() - rows
            if all(run.entities == series.entities for run in made):
                return _median(made), rows / runs
        looked = [run.entities for run in made]
        raise BenchFailed(f"sensors looked at by runs over {series.entities} of them: {looked}")

    def check_snapshots(self, series: Series) -> None:
        """The latest snapshots have the values of the last observations. Raises `BenchFailed`."""
        eids = [series.eid(i) for i in range(series.entities)]
        answer = self._server.post(f"/entity/{SENSOR}/get", msgspec.json.encode({"eids": eids}))
        expect(f"snapshots of {series.attr}, {series.length}", [row["eid"] for row in answer["data"]], eids)
        for i, row in enumerate(answer["data"]):
            newest = self.said(series, i)[-1].v
            if (newest not in row[series.attr]) if series.several else (newest != row[series.attr]):
                raise BenchFailed(f"the snapshot of {row['eid']}: {row}, expected {newest}")

    def _settle(self) -> None:
        """Look at all of which something has come, or ended by itself."""
        while run_snapshots(self._server).entities:
            pass

    def _worker_rows(self) -> float:
        """The rows that workers have read until now, which they tell once a second."""
        now_us = time.time_ns() // 1_000
        with state_of(self._server.data) as state:
            Watch(self._server).until("workers have reported", lambda: state.reported() > now_us)
        return self._server.metric(READ_ROWS, WORKERS)


def check(series: Series, said: Sequence[Observation], read: Read, answer: Any, since: int) -> None:
    """An answer about a sensor, of which something was `said`, has the intervals of the hour since a moment
    (ms) and the current value. Raises `BenchFailed`."""
    found = _since(map(_interval, read.history(answer, series)), since)
    expect(f"the last hour of {series.attr}", found, _since(intervals(said, series), since))
    if read.current is None:
        return
    current = read.current(answer)
    if not series.several:
        expect(f"the current value of {series.attr}", current, said[-1].v)
        return
    # Some may have ended between question and answer.
    surely = _held(said, time.time_ns() // 10**6, series)
    perhaps = _held(said, since + HOUR_MS, series)
    if not surely <= set(current) <= perhaps:
        raise BenchFailed(f"the current values of {series.attr}: {current}, expected {surely}")


def _of_runs(runs: RunFigures, rows: float, least: RunFigures) -> Figures:
    """The cost of a sensor; `least` is a run over one."""
    more = runs.entities - least.entities
    return {
        "run_cpu_us": round((runs.cpu_s - least.cpu_s) / more * 1e6, 1),
        "run_us": round((runs.seconds - least.seconds) / more * 1e6, 1),
        "run_rows": round(rows / runs.entities, 1),
    }


def _interval(shown: Any) -> Observation:
    t1, t2 = (round(datetime.fromisoformat(shown[key]).timestamp() * 1e3) for key in ("t1", "t2"))
    return Observation(t1, t2, shown["v"])


def _since(shown: Iterable[Observation], since: int) -> list[Observation]:
    """The intervals that are shown since a moment, whether or not that which had begun earlier is cut."""
    cut = (one._replace(t1=max(one.t1, since)) for one in shown if one.t2 >= since)
    return sorted(cut, key=lambda one: (one.t1, one.t2, str(one.v)))


def _held(said: Iterable[Observation], moment: int, series: Series) -> set[Any]:
    return {one.v for one in said if one.t2 + series.validity_ms >= moment}


def _median(runs: Sequence[RunFigures]) -> RunFigures:
    seconds, cpu_s = (
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_s for run in runs),
    )
    return RunFigures(runs[0].entities, runs[0].written, seconds, cpu_s)


def told(found: dict[Series, Figures]) -> Figures:
    """Figures by attribute and length, how those of the longest histories compare to those of the shortest,
    and the worst of these ratios where values hold for minutes."""
    groups: dict[str, dict[str, Figures]] = {}
    for series, figures in found.items():
        groups.setdefault(series.attr, {})[str(series.length)] = figures
    ratios = {
        name: {attr: _ratio(list(lengths.values()), figure) for attr, lengths in groups.items()}
        for name, figure in RATIOS.items()
    }
    minutes = [attr for attr in groups if attr.endswith("_5m")]
    worst = {
        f"{name}_ratio_5m": max(of_attr[attr] for attr in minutes)
        for name, of_attr in ratios.items()
        if minutes
    }
    return worst | {"longest_to_shortest": ratios} | groups


def _ratio(by_length: Sequence[Figures], figure: str) -> float:
    shortest, longest = by_length[0][figure], by_length[-1][figure]
    return round(float(longest / max(shortest, LEAST)), 2)
