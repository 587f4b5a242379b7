"""The data-points of the application whose data directory is kept here."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

Points = list[dict[str, Any]]


DEVICES = [f"d{number}" for number in range(1, 10)]
IPS = [f"192.0.2.{number}" for number in (1, 2, 3, 40, 200)]


def dp(etype: str, eid: Any, attr: str, v: Any, **more: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


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


def leading_to(moment: str, *eids: str) -> Points:
    """Devices that link to those that will be deleted, to a session, and to each other."""
    t = datetime.fromisoformat(moment)
    points = [dp("device", "d2", "uplinks", [{"eid": eid} for eid in (*eids, "d1")])]
    for number, eid in enumerate(DEVICES, 1):
        points.append(obs(eid, "peers", {"eid": eids[number % len(eids)]}, t, 60, c=0.5))
        points.append(obs(eid, "peers", {"eid": f"d{number % 9 + 1}"}, t, 90, c=0.75))
    return points


"""What is sent at the end with the key `last`."""
