"""Real network logs through the real program; what it says is compared with the files themselves.

`DP3_REAL_DATA` names a folder with `zeek/*.log.gz` (dns, known_hosts, known_services, software, notice).
"""

import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from kit.program import App, running, wait_for
from kit.specs import a_type, observed_attr, plain_attr

FOLDER = os.environ.get("DP3_REAL_DATA", "")
SAMPLE = 40
PER_REQUEST = 5_000

pytestmark = pytest.mark.skipif(not FOLDER, reason="DP3_REAL_DATA names no folder with real data")

EACH = {"aggregate": False}
TYPES = {
    "ip": a_type(
        "ip",
        {
            "asked": observed_attr("link<domain>", multi_value=True, history=EACH),
            "resolver": plain_attr("tag"),
            "seen": plain_attr("time"),
            "software": observed_attr("string", multi_value=True, history=EACH),
            "notice": observed_attr("string", multi_value=True, history=EACH),
        },
    ),
    "service": a_type(
        "service",
        {"host": plain_attr("link<ip>"), "protocols": plain_attr("set<string>")},
    ),
    "domain": a_type(
        "domain",
        {
            "rcode": observed_attr("string", multi_value=True, history=EACH),
            "top": plain_attr("string"),
        },
    ),
}

MODULE = '''
from dp3.common.base_module import BaseModule
from dp3.common.task import DataPointTask


class Tops(BaseModule):
    """Derives the last label of a domain's name when the domain is seen for the first time."""

    def __init__(self, platform, module, registrar):
        self.model = platform.model_spec
        registrar.register_entity_hook("on_entity_creation", self.top, "domain")

    def top(self, eid, task):
        point = {"etype": "domain", "eid": eid, "attr": "top", "v": eid.rstrip(".").rpartition(".")[2]}
        return [DataPointTask(etype="domain", eid=eid, data_points=[point], model_spec=self.model)]
'''

Row = dict[str, str]
Point = dict[str, Any]


@cache
def rows(name: str) -> list[Row]:
    names: list[str] = []
    found: list[Row] = []
    with gzip.open(Path(FOLDER) / "zeek" / f"{name}.log.gz", "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == "#fields":
                names = fields[1:]
            elif not line.startswith("#"):
                found.append(dict(zip(names, fields, strict=True)))
    return found


def queries() -> list[Row]:
    return [row for row in rows("dns") if row["query"] != "-"]


def observed(etype: str, eid: str, attr: str, v: Any, row: Row) -> Point:
    return {"type": etype, "id": eid, "attr": attr, "v": v, "t1": float(row["ts"]), "src": "zeek"}


def points() -> Iterator[Point]:
    for row in queries():
        yield observed("ip", row["id.orig_h"], "asked", {"eid": row["query"]}, row)
        yield observed("domain", row["query"], "rcode", row["rcode_name"], row)
        yield {"type": "ip", "id": row["id.resp_h"], "attr": "resolver", "v": True}
    for row in rows("known_hosts"):
        yield {"type": "ip", "id": row["host"], "attr": "seen", "v": float(row["ts"])}
    for row in rows("known_services"):
        eid = service(row)
        yield {"type": "service", "id": eid, "attr": "host", "v": {"eid": row["host"]}}
        yield {"type": "service", "id": eid, "attr": "protocols", "v": row["service"].split(",")}
    for row in rows("software"):
        yield observed("ip", row["host"], "software", row["unparsed_version"], row)
    for row in rows("notice"):
        if row["src"] != "-":
            yield observed("ip", row["src"], "notice", row["note"], row)


def service(row: Row) -> str:
    return f"{row['host']}/{row['port_proto']}/{row['port_num']}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    directory = tmp_path_factory.mktemp("real")
    with running(directory, TYPES, {"tops": MODULE}) as app:
        everything = list(points())
        for start in range(0, len(everything), PER_REQUEST):
            status, answer = app.http.send(everything[start : start + PER_REQUEST])
            assert status == 200, answer
        app.wait_applied()
        wait_for("count of all domains", lambda: known_domains(app) == len(domains()))
        yield app


def known_domains(app: App) -> int:
    count: int = app.http.get("/entities")["domain"]["eid_estimate_count"]
    return count


def domains() -> set[str]:
    return {row["query"] for row in queries()}


def addresses() -> set[str]:
    asked = {row[end] for row in queries() for end in ("id.orig_h", "id.resp_h")}
    noted = {row["src"] for row in rows("notice")} - {"-"}
    return asked | noted | {row["host"] for name in ("known_hosts", "software") for row in rows(name)}


def some(eids: set[str]) -> list[str]:
    """A spread of them, the first and the last included."""
    ordered = sorted(eids)
    return [*ordered[:: max(len(ordered) // SAMPLE, 1)], ordered[-1]]


def history(app: App, etype: str, eid: str, attr: str) -> Counter[Any]:
    """How often each value stands in the history of an attribute."""
    found = app.http.get(f"/v2/entity/{etype}/attr?eid={quote(eid, safe='')}&attr={attr}")["history"]
    return Counter(str(item["v"]) for item in found)


def master(app: App, etype: str, eid: str) -> dict[str, Any]:
    answer: dict[str, Any] = app.http.get(f"/v2/entity/{etype}/master?eid={quote(eid, safe='')}")
    return answer


def test_every_entity_of_the_logs_exists_and_no_other(app: App) -> None:
    counts = {name: state["eid_estimate_count"] for name, state in app.http.get("/entities").items()}
    services = {service(row) for row in rows("known_services")}
    assert counts == {"ip": len(addresses()), "domain": len(domains()), "service": len(services)}
    assert app.http.get("/deadletters")["total"] == 0


def test_histories_hold_every_query_of_an_address(app: App) -> None:
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for row in queries():
        expected[row["id.orig_h"]][str({"eid": row["query"]})] += 1
    for eid in some(set(expected)):
        assert history(app, "ip", eid, "asked") == expected[eid]


def test_histories_hold_every_answer_about_a_domain(app: App) -> None:
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for row in queries():
        expected[row["query"]][row["rcode_name"]] += 1
    for eid in some(set(expected)):
        assert history(app, "domain", eid, "rcode") == expected[eid]


@pytest.mark.parametrize(
    ("log", "key", "attr", "field"),
    [("software", "host", "software", "unparsed_version"), ("notice", "src", "notice", "note")],
)
def test_software_and_notices_are_in_the_histories_of_their_hosts(
    app: App, log: str, key: str, attr: str, field: str
) -> None:
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(log):
        expected[row[key]][row[field]] += 1
    for eid in some(set(expected) - {"-"}):
        assert history(app, "ip", eid, attr) == expected[eid]


def test_a_service_has_its_host_and_the_protocols_that_were_last_seen(app: App) -> None:
    last = {service(row): row for row in rows("known_services")}
    for eid in some(set(last)):
        profile = master(app, "service", eid)
        assert profile["host"]["v"] == {"eid": last[eid]["host"]}
        assert profile["protocols"]["v"] == sorted(set(last[eid]["service"].split(",")))


def test_the_module_derived_the_last_label_of_every_domain(app: App) -> None:
    for eid in some(domains()):
        wait_for("last label", lambda eid=eid: "top" in master(app, "domain", eid))
        assert master(app, "domain", eid)["top"]["v"] == eid.rstrip(".").rpartition(".")[2]
