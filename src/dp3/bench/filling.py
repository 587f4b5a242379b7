"""Sends the data that a measurement works on."""

from collections.abc import Sequence

from dp3.bench.devices import Devices, parts
from dp3.bench.load import send_parts
from dp3.bench.runs import expect
from dp3.bench.server import Server
from dp3.bench.showing import Say
from dp3.bench.workload import ETYPE

CLIENTS = 2


def fill(server: Server, devices: Devices, count: int, say: Say) -> int:
    """Send the data of so many devices and wait until it is stored; returns the number of data-points."""
    return fill_with(server, [devices], count, say)


def fill_with(server: Server, rounds: Sequence[Devices], count: int, say: Say, etype: str = ETYPE) -> int:
    """Send several rounds of data about the same entities, one after the other."""
    say(f"sending the data of {count:,} {etype}s")
    accepted = 0
    for devices in rounds:
        accepted += send_parts(server.url, parts(devices, range(count), CLIENTS)).accepted
    server.wait_drained()
    expect(f"{etype}s", server.get("/entities")[etype]["eid_estimate_count"], count)
    return accepted
