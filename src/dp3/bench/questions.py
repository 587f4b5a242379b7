"""The questions of `dp3 bench query` about `Varied` devices, and what their answers must be."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from typing import Any
from urllib.parse import urlencode

from dp3.bench.devices import LOADS, TEMPERATURES, address_of, eid_of, hostname_of, load_of
from dp3.bench.workload import ETYPE

LIMIT = 20

HOST_DIGITS = 100
"""Prefixes of host names are as long as so many hosts share."""

WIDTHS = (0.5, 5.0, 50.0)
"""Of the ranges of temperatures that are asked for; the whole is 80."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SqlBuilder:
    """A request, and the test that a good answer passes."""

    path: str
    is_good: Callable[[Any], bool]


Asker = Callable[[random.Random, int], SqlBuilder]
"""Makes a question about so many devices."""


def equality(rnd: random.Random, entities: int) -> SqlBuilder:
    load = load_of(rnd.randrange(min(entities, LOADS)))
    return _filtered({"last.load": load}, lambda row: row["load"] == load)


def ranges(rnd: random.Random, entities: int) -> SqlBuilder:
    low = rnd.randrange(TEMPERATURES) / 100
    high = low + rnd.choice(WIDTHS)
    condition = {"last.temp": {"$gte": low, "$lt": high}}
    return _filtered(condition, lambda row: low <= row["temp"] < high, at_least=0)


def ip_prefix(rnd: random.Random, entities: int) -> SqlBuilder:
    network = ip_network(f"{address_of(rnd.randrange(entities))}/24", strict=False)
    condition = {"last.address": f"$$IPv4Prefix{{{network}}}"}
    return _filtered(condition, lambda row: IPv4Address(row["address"]) in network, at_least=1)


def text_prefix(rnd: random.Random, entities: int) -> SqlBuilder:
    prefix = hostname_of(rnd.randrange(entities) // HOST_DIGITS * HOST_DIGITS)[:-2]
    condition = {"last.hostname": {"$regex": f"^{prefix}"}}
    return _filtered(condition, lambda row: row["hostname"].startswith(prefix))


def regex(rnd: random.Random, entities: int) -> SqlBuilder:
    """One that matches nothing, so that every value has to be looked at."""
    condition = {"last.hostname": {"$regex": f"[0-9]+-{rnd.randrange(10**6)}[a-z]$"}}
    return SqlBuilder(_listing({"generic_filter": json.dumps(condition)}), lambda answer: not answer["data"])


def in_order(rnd: random.Random, entities: int) -> SqlBuilder:
    attr, direction = rnd.choice(("temp", "load", "hostname", "eid")), rnd.choice((1, -1))

    def is_good(answer: Any) -> bool:
        values = [row[attr] for row in answer["data"]]
        return len(values) == min(LIMIT, entities) and values == sorted(values, reverse=direction < 0)

    return SqlBuilder(_listing({"sort": f"{attr}:{direction}"}), is_good)


def master(rnd: random.Random, entities: int) -> SqlBuilder:
    i = rnd.randrange(entities)
    path = f"/entity/{ETYPE}/{eid_of(i)}/master"
    return SqlBuilder(path, lambda answer: answer["address"]["v"] == str(address_of(i)))


def attr(rnd: random.Random, entities: int) -> SqlBuilder:
    path = f"/entity/{ETYPE}/{eid_of(rnd.randrange(entities))}/get/load"
    return SqlBuilder(path, lambda answer: answer["current_value"] is not None and bool(answer["history"]))


ASKERS: dict[str, Asker] = {
    "equality": equality,
    "range": ranges,
    "ip_prefix": ip_prefix,
    "text_prefix": text_prefix,
    "regex": regex,
    "sorted": in_order,
    "master": master,
    "attr": attr,
}


def _listing(query: dict[str, str]) -> str:
    return f"/entity/{ETYPE}/get?{urlencode({'limit': LIMIT, **query})}"


def _filtered(condition: Row, matches: Callable[[Row], bool], at_least: int = LIMIT) -> SqlBuilder:
    def is_good(answer: Any) -> bool:
        rows: Sequence[Row] = answer["data"]
        return at_least <= len(rows) <= LIMIT and all(map(matches, rows))

    return SqlBuilder(_listing({"generic_filter": json.dumps(condition)}), is_good)
