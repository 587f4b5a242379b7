"""The data-points of the application whose data directory is kept here."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

Points = list[dict[str, Any]]

LONG = "a text that is too long for the index, " * 26
DEVICES = [f"d{number}" for number in range(1, 10)]
LEAVING = ["gone", "left", "late"]
"""Devices that are deleted: on the first day, by a hook, and at the end, when d6 goes, too."""

IPS = [f"192.0.2.{number}" for number in (1, 2, 3, 40, 200)]
CARDS = ["00:11:22:33:44:55", "00:11:22:33:44:66", "aa:bb:cc:dd:ee:ff"]


def dp(etype: str, eid: Any, attr: str, v: Any, **more: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


def first_plain() -> Points:
    """Plain values of all types of ids and values."""
    points = [
        dp("site", 1, "name", "north"),
        dp("site", 1, "limit", 50),
        dp("site", 2, "name", "süd ☀"),
        dp("site", 2, "limit", 80),
        dp("site", -3, "name", ""),
        dp("ip6", "2001:db8::1", "host", "six"),
        dp("ip6", "fe80::1", "host", "local", src="scan"),
        dp("guarded", "good", "note", "may come"),
        dp("guarded", "bad one", "note", "must not come"),
        dp("guarded", "unsure", "note", "may come as well"),
        dp("quiet", "noisy", "note", "loud"),
        dp("quiet", "calm", "note", "still", src="scan"),
        dp("session", "s1", "user", "alice"),
        dp("session", "s1", "parts", [{"eid": "p1"}, {"eid": "p2"}]),
        dp("session", "s2", "user", "bob"),
        dp("part", "p1", "size", 1),
        dp("part", "p2", "size", 2),
        dp("part", "alone", "size", 3),
        dp("device", "d1", "info", {"a": [1, {"b": None}], "": "empty", "x.y": 1}),
        dp("device", "d2", "info", [1, 2.5, "three", [True]]),
        dp("device", "d3", "info", {"text": LONG, "many": {f"k{i}": i for i in range(70)}}),
        dp("device", "d4", "memo", None),
        dp("device", "sick", "owner", "nobody"),
        dp("device", "with/slash & more", "owner", "it's"),
        dp("device", LONG, "owner", "a long id"),
    ]
    for number, eid in enumerate([*DEVICES, *LEAVING], 1):
        points += device(number, eid)
    for number, card in enumerate(CARDS):
        points += [
            dp("nic", card, "vendor", f"vendor {number % 2}"),
            dp("nic", card, "device", {"eid": f"d{number // 2 + 1}"}),
        ]
    points.append(dp("device", "d8", "owner", LONG))
    points += [dp("ip", ip, "host", f"host-{number}", src="dns") for number, ip in enumerate(IPS[:4])]
    return points


def device(number: int, eid: str) -> Points:
    """A device with a value of each plain type, or of most."""
    values = {
        "owner": f"owner {number % 3}",
        "tags": [f"t{number % 2}", "all", "all"],
        "ports": [number, 80, 80, -number],
        "place": {"x": number} if number % 2 else {"x": number, "y": f"row {number}"},
        "state": ("up", "down", "unknown")[number % 3],
        "booted": f"2025-02-0{number % 9 + 1}T0{number % 7}:00:00.{number:06d}+01:00",
        "address": f"198.51.100.{number * 20}",
        "address6": f"2001:db8::{number:x}",
        "card": f"02:00:00:00:00:{number:02x}",
        "marked": True,
        "broken": number % 2 == 0,
        "ratio": number / 7,
        "total": 5_000_000_000 * number,
        "site": {"eid": (1, 2, -3, 4)[number % 4]},
        "uplinks": [{"eid": f"d{number % 9 + 1}"}, {"eid": "nowhere"}] if number % 3 else [],
    }
    return [dp("device", eid, attr, v) for attr, v in list(values.items())[: 15 - number % 4]]


def observed(moment: str, seed: int) -> Points:
    """What is observed around a moment: the same for the same seed."""
    random, begin = Random(seed), datetime.fromisoformat(moment)
    points: Points = []
    for number, eid in enumerate(DEVICES[: 8 - seed % 3], 1):
        t = begin + timedelta(minutes=random.randint(-50, 0))
        points += [
            obs(
                eid,
                "temperature",
                random.choice([20.5, 21, 55.25, -1.5]),
                t,
                8,
                c=random.choice([1, 0.3, 0.725]),
            ),
            obs(eid, "temperature", 20.5, t + timedelta(minutes=6), 8, c=0.9),
            obs(eid, "mode", random.choice(["on", "off"]), t, 20),
            obs(eid, "mode", "on", t + timedelta(minutes=20), 30, src="scan"),
            obs(eid, "load", random.randint(1, 4) * 10, t, 30, c=0.5),
            obs(eid, "users", random.choice(["ann", "bob", "cat"]), t, 15, c=0.8),
            obs(eid, "users", random.choice(["ann", "bob", "cat"]), t + timedelta(minutes=5), 15),
            obs(eid, "steps", random.randint(1, 9), t, 1),
            obs(eid, "brief", random.randint(1, 3), t, 1),
        ]
        if number % 2:
            points += [
                obs(eid, "shape", {"a": seed, "b": f"form {number}"}, t, 1),
                obs(eid, "when", t.isoformat(), t, 60),
                obs(eid, "where", {"eid": number % 2 + 1}, t, 60),
                obs(eid, "peers", {"eid": f"d{random.randint(1, 9)}"}, t, 60, c=0.6),
                obs(eid, "speaks", {"eid": random.choice(IPS), "data": random.choice([80, 443])}, t, 30),
            ]
    return points + series(begin, seed)


def series(begin: datetime, seed: int) -> Points:
    """Timeseries of the three kinds."""
    points: Points = []
    for number in (1, 2, 5):
        t1 = begin - timedelta(minutes=30)
        regular = {"bytes": [seed * 10 + number, 80 + number, 7], "rate": [0.5, 1.25, -2]}
        times = [(t1 + timedelta(seconds=7 * i)).isoformat() for i in range(4)]
        later = [(t1 + timedelta(seconds=7 * i + 5)).isoformat() for i in range(4)]
        points += [
            dp("device", f"d{number}", "traffic", regular, t1=t1.isoformat()),
            dp(
                "device",
                f"d{number}",
                "errors",
                {"time": times, "code": [1, 2, 3, seed]},
                t1=times[0],
                t2=times[-1],
            ),
            dp(
                "device",
                f"d{number}",
                "spans",
                {"time_first": times, "time_last": later, "flows": [seed, 1, 1, 0]},
                t1=times[0],
                t2=later[-1],
                src="probe",
            ),
        ]
    return points


def obs(eid: str, attr: str, v: Any, t1: datetime, minutes: int, **more: Any) -> dict[str, Any]:
    """An observation of a device that holds for some minutes."""
    t2 = t1 + timedelta(minutes=minutes)
    return dp("device", eid, attr, v, t1=t1.isoformat(), t2=t2.isoformat(), **more)


def seen(moment: str, *eids: str, count: int = 1) -> Points:
    """Addresses that are seen for ten minutes. Of 100 and more hours a hook makes a token."""
    t1 = datetime.fromisoformat(moment)
    t2 = t1 + timedelta(minutes=10)
    return [dp("ip", eid, "seen", count, t1=t1.isoformat(), t2=t2.isoformat(), src="scan") for eid in eids]


def short_session(date: str) -> Points:
    """A session of which nothing is left to be shown soon, though a device goes on with it."""
    times = {"t1": f"{date}T06:00:00Z", "t2": "2025-03-06T18:00:00Z"}
    return [
        dp("session", "s3", "active", "for a while", t1=f"{date}T06:00:00Z", t2=f"{date}T13:00:00Z"),
        dp("device", "d9", "session", {"eid": "s3"}, **times),
    ]


def others(moment: str) -> Points:
    """Observations of other entities than devices, and a session with a part that stay in use."""
    t1 = datetime.fromisoformat(moment)
    times = {"t1": t1.isoformat(), "t2": (t1 + timedelta(hours=2)).isoformat()}
    return [
        dp("site", 1, "power", 5_000_000_000 + t1.day, **times),
        dp("site", -3, "power", -1, **times, c=0.25),
        dp("ip6", "2001:db8::1", "score", 0.1 * t1.day, **times, c=0.123456789),
        dp("ip6", "2001:db8::1", "score", 0.7, **times, c=0.5),
        dp("quiet", "calm", "count", t1.day, **times),
        dp("ip", "192.0.2.200", "host", "two-hundred", src="dns"),
        dp("session", "s4", "user", "dora"),
        dp("session", "s4", "parts", [{"eid": "p4"}, {"eid": "p5"}]),
        dp("part", "p4", "size", t1.day),
        dp("device", "d2", "session", {"eid": "s4"}, t1=times["t1"], t2="2025-03-06T18:00:00Z"),
    ]


def leading_to(moment: str, *eids: str) -> Points:
    """Devices that link to those that will be deleted, to a session, and to each other."""
    t = datetime.fromisoformat(moment)
    points = [dp("device", "d2", "uplinks", [{"eid": eid} for eid in (*eids, "d1")])]
    for number, eid in enumerate(DEVICES, 1):
        points.append(obs(eid, "peers", {"eid": eids[number % len(eids)]}, t, 60, c=0.5))
        points.append(obs(eid, "peers", {"eid": f"d{number % 9 + 1}"}, t, 90, c=0.75))
    return points


def failing(moment: str) -> Points:
    """What hooks of the ingestion can not cope with."""
    t = datetime.fromisoformat(moment)
    return [
        obs("d1", "temperature", 666, t, 1, c=0.01),
        obs("d2", "temperature", -666, t, 1, c=0.01),
        obs("d3", "temperature", 777, t, 1, c=0.01),
        obs("d4", "mode", "echo", t - timedelta(hours=3), 0),
    ]


def of_the_past() -> Points:
    """Values of types and attributes that only the first models have."""
    return [
        dp("legacy", "x1", "p", "old"),
        dp("legacy", "x2", "p", "older"),
        dp("device", "d1", "number", 1),
        dp("device", "d2", "number", 22),
        dp("device", "d3", "old", "gone soon"),
        dp("device", "d4", "state", "broken"),
        dp("legacy", "x1", "device", {"eid": "d1"}),
    ]


LAST_WORD = [dp("site", 2, "name", "süd, for the last time")]
"""What is sent at the end with the key `last`."""
