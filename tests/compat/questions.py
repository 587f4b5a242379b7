"""What is asked of the application whose data directory is kept here."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import story
from recording import Question

MOMENTS = ["2025-03-01T00:31:00Z", "2025-03-04T06:00:00Z", "2025-03-05T12:05:00Z"]

MESSAGES = [
    17,
    1_741_122_300_000_000,
    1_741_155_000_000_000,
    *range(1_741_177_800_000_000, 1_741_177_800_000_006),
]
"""Numbers of requests to workers, which are times in microseconds: none, done, and left to be done."""

ENTITIES: dict[str, list[Any]] = {
    "device": [*story.DEVICES, *story.LEAVING, "sick", "of-d3", "unknown"],
    "site": [1, 2, -3, 4],
    "ip": [*story.IPS, "192.0.2.7", "192.0.2.77"],
    "ip6": ["2001:db8::1", "fe80::1"],
    "nic": story.CARDS,
    "session": ["s1", "s2", "s3", "s4"],
    "part": ["p1", "p2", "p4", "p5", "alone", "lonely"],
    "guarded": ["good", "bad one", "bad two", "unsure", "new"],
    "quiet": ["noisy", "calm", "of-d3"],
}

OBSERVED = ["temperature", "mode", "users", "load", "steps", "brief", "where", "peers", "speaks", "alert"]
SERIES = ["traffic", "errors", "spans"]


def all_questions() -> list[Question]:
    """All of them; none changes anything."""
    parts = (
        of_profiles(),
        of_attributes(),
        of_snapshots(),
        of_filters(),
        of_raw(),
        of_operators(),
        of_writers(),
    )
    return [question for part in parts for question in part]


def get(path: str, **parameters: Any) -> Question:
    """Parameters may be lists; what is an object is sent as JSON."""
    encoded = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in parameters.items()}
    return Question("GET", path + ("?" + urlencode(encoded, doseq=True) if encoded else ""))


def following(question: Question, answer: Any) -> Question | None:
    """What continues after an answer that is a part."""
    if question.method != "GET" or not isinstance(answer, dict) or not answer.get("cursor"):
        return None
    return Question("GET", f"{question.url}&{urlencode({'cursor': answer['cursor']})}")


def of_profiles() -> Iterator[Question]:
    yield get("/entities")
    for etype, eids in ENTITIES.items():
        for eid in eids:
            yield get(f"/entity/{etype}/{quote(str(eid), safe='')}/master")
    for eid in ("with/slash & more", story.LONG, "d2"):
        yield get("/v2/entity/device/master", eid=eid)
    span = {"date_from": "2025-03-05T00:00:00Z", "date_to": "2025-03-05T06:00:00Z"}
    yield get("/entity/device/d1/master", **span)
    yield get("/v2/entity/device/master", eid="d5", **span)
    for moment in MOMENTS:
        for eid in ("d1", "d5", "d8"):
            yield get(f"/entity/device/{eid}/master", at=moment)
        yield get("/v2/entity/ip/master", eid=story.IPS[0], at=moment)


def of_attributes() -> Iterator[Question]:
    for attr in ("owner", "info", "place", "booted", "site", "uplinks", "number", *OBSERVED, *SERIES):
        yield get(f"/entity/device/d1/get/{attr}")
        yield get("/v2/entity/device/attr", eid="d5", attr=attr)
    for attr in OBSERVED:
        yield get(f"/entity/device/d1/get/{attr}", at=MOMENTS[1])
        yield get(f"/entity/device/d2/get/{attr}", date_from=MOMENTS[1], date_to=MOMENTS[2])
    for attr in ("devices", "checked", "limit", "power"):
        yield get(f"/entity/site/1/get/{attr}")
    yield get("/entity/device/d1/get/peer_of")
    yield get("/entity/device/d1/get/nothing")


def of_snapshots() -> Iterator[Question]:
    for etype, eids in ENTITIES.items():
        for eid in eids if etype != "device" else ("d1", "gone", "late", "sick"):
            yield get(f"/v2/entity/{etype}/snapshots", eid=eid)
    for eid in story.DEVICES:
        yield get(f"/entity/device/{eid}/snapshots", date_from="2025-03-05T00:00:00Z")
        yield get(f"/entity/device/{eid}/snapshots", skip=1, limit=1)
    yield get("/entity/nic/" + story.CARDS[0])
    yield get("/v2/entity/session", eid="s3")
    yield get("/v2/entity/session", eid="s3", at="2025-03-02T08:00:00Z")
    for etype in ENTITIES:
        yield get(f"/entity/{etype}/get", limit=4 if etype == "device" else 0)
        yield get(f"/v2/entity/{etype}/count")
        yield get(f"/entity/{etype}/get", at=MOMENTS[1], limit=3)
    yield Question("POST", "/entity/device/get", {"eids": ["d5", "unknown", "d4", "late"]})
    yield Question("POST", "/v2/entity/ip/get", {"eids": story.IPS})
    yield Question("POST", "/entity/nic/get", {"eids": ["no card", story.CARDS[1]]})


FILTERS: list[dict[str, Any]] = [
    {"last.total": {"$gt": 15_000_000_000}},
    {"total": 2.5},
    {"state": 7},
    {"state": {"$in": ["up", None]}},
    {"owner": {"$regex": "^owner"}, "state": {"$ne": "up"}},
    {"owner": {"$regex": "long"}},
    {"ratio": {"$type": "string"}},
    {"ratio": {"$exists": True}},
    {"ratio": "a text"},
    {"ratio": {"$gt": 0.5}},
    {"address": {"$gt": "$$IPv4{198.51.100.60}"}},
    {"address": "$$IPv4Prefix{198.51.100.0/25}"},
    {"address": "not an address"},
    {"address6": {"$lt": "2001:db8::4"}},
    {"card": "$$MAC{02:00:00:00:00:03}"},
    {"booted": {"$gte": "$$Date{2025-02-04T00:00:00Z}"}},
    {"tags": {"$all": ["all", "t1"]}},
    {"ports": {"$size": 4}},
    {"ports": {"$elemMatch": {"$gt": 2, "$lt": 80}}},
    {"ports": "two"},
    {"place.y": {"$exists": True}},
    {"place.x": {"$gte": 4}},
    {"info.a.b": None},
    {"info.many.k69": 69},
    {"wide.key3": 3},
    {"made_up.deep": "a"},
    {"memo.peers": {"$gte": 1}},
    {"users": "ann"},
    {"users": "not a list"},
    {"temperature#c": 0.125},
    {"temperature#c": {"$gt": 0}},
    {"load": {"$gt": 5}},
    {"site.eid": {"$in": [1, -3]}},
    {"uplinks.eid": "nowhere"},
    {"peers.eid": "d1"},
    {"nics.eid": "00:11:22:33:44:55"},
    {"speaks.data": 443},
    {"speaks.eid": "$$IPv4{192.0.2.3}"},
    {"shape.b": "form 1"},
    {"when": {"$gt": "2025-03-05T00:00:00Z"}},
    {"alert": {"$in": ["hot", "cold"]}},
    {"risk": {"$gt": 0.3}},
    {"_id": {"$regex": "slash"}},
    {"eid": story.LONG},
    {"$or": [{"marked": True}, {"$nor": [{"broken": False}]}]},
    {"_time_created": {"$gt": "2025-03-05T00:00:00Z"}},
    {"long": {"$regex": "long long"}},
]


def of_filters() -> Iterator[Question]:
    for condition in FILTERS:
        yield get("/entity/device/count", generic_filter=condition)
        yield get("/v2/entity/device/count", generic_filter=condition, at=MOMENTS[2])
    for attr, pattern in {
        "owner": "OWNER [12]",
        "site": "-3",
        "eid": "^d[1-3]$",
        "address": "100.4",
        "long": "long",
    }.items():
        yield get("/entity/device/get", fulltext_filters={attr: pattern}, limit=1, skip=1)
    for sort in (
        ["total:-1"],
        ["broken", "owner:-1"],
        ["booted"],
        ["temperature:-1"],
        ["address:-1"],
        ["eid:-1"],
    ):
        yield get("/entity/device/get", sort=sort, limit=2)
    yield get("/entity/site/get", sort=["risk:-1"])
    yield get("/entity/site/get", sort=["risk:-1"], at=MOMENTS[0])
    yield get("/entity/site/get", sort=["nothing"])
    for attr in (
        "owner",
        "state",
        "tags",
        "ports",
        "site",
        "peers",
        "users",
        "nics",
        "address",
        "made_up",
        "ratio",
        "info",
    ):
        yield get(f"/entity/device/_/distinct/{attr}")
    yield get("/v2/entity/ip/_/distinct/host")
    yield get("/entity/device/get", generic_filter={"$where": 1})


def of_raw() -> Iterator[Question]:
    """All that is found: newest first is no order among what hooks of different entities return."""
    for etype in ENTITIES:
        if etype != "device":
            yield get(f"/entity/{etype}/raw/get", limit=0)
    for attr in ("number", "alert", "greeting", "trend"):
        yield get("/entity/device/raw/get", attr=attr, limit=0)
    yield get("/v2/entity/device/raw/get", eid="d1", limit=0)
    yield get("/v2/entity/device/raw/get", eid="d1", attr="temperature", limit=2, skip=1)
    yield get("/v2/entity/device/raw/get", src="probe", limit=3, skip=2)


def of_operators() -> Iterator[Question]:
    yield get("/")
    yield get("/health/live")
    yield get("/health/ready")
    yield get("/telemetry/log")
    yield get("/telemetry/snapshot_summary")
    yield get("/telemetry/metadata", limit=3)
    yield get("/telemetry/metadata", sort="oldest", date_from="2025-03-03T00:00:00Z", limit=2)
    yield get("/telemetry/updates", limit=8)
    yield get("/telemetry/collections", limit=6)
    yield get("/telemetry/retention", limit=6)
    yield get("/telemetry/sources_validity")
    yield get("/telemetry/sources_age", unit="seconds")
    yield get("/telemetry/entities_per_attr")
    yield get("/telemetry/attribute_bson_sizes")
    for group, intervals in {
        "te": ("5m", "2h", "1d"),
        "tasks_by_src": ("2h", "1d"),
        "secondary_hooks": ("1d",),
    }.items():
        for interval in intervals:
            yield get("/telemetry/event_counts", group=group, interval=interval)
    yield get("/telemetry/rabbitmq/queues")
    yield get("/metrics")
    yield get("/deadletters", limit=1000)
    for kind in ("hook", "result", "task", "generation", "entry"):
        yield get("/deadletters", kind=kind, limit=1)
    yield get("/deadletters", module="correlate", eid="d5", limit=3, after=40)
    for letter in (1, 2, 3, 5, 8, 1000):
        yield get(f"/deadletters/{letter}")
    for message in MESSAGES:
        yield get(f"/control/results/{message}")


def of_writers() -> Iterator[Question]:
    """A request that was stored by version 0.1 is known; with the same key another one is refused."""
    yield Question("POST", "/datapoints", story.LAST_WORD, key="last")
    yield Question("POST", "/datapoints", [*story.LAST_WORD, *story.LAST_WORD], key="last")
    yield Question("POST", "/datapoints", [story.dp("device", "d1", "number", 5)], key="not one word")
    yield Question("POST", "/control/refresh_module_config?module=nonsense")
