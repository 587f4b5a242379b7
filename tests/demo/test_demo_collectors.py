"""What the demonstration sees of a machine."""

import os
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psutil
import pytest

from dp3.demo import watch as host
from dp3.demo.network import Conversation, Listener, clean_address, points, sockets
from dp3.demo.points import Interval, Once
from dp3.demo.processes import Process, Processes, running
from dp3.demo.watch import Machine

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DURING = Interval(NOON, NOON + timedelta(seconds=2))


def values(made, etype, attr):
    return [point["v"] for point in made if (point["type"], point["attr"]) == (etype, attr)]


def test_this_process_is_seen_with_its_owner_and_memory():
    machine = Machine("here")
    look = machine.look()
    eid = f"{psutil.Process().name()}:{os.getpid()}"
    mine = {point["attr"]: point["v"] for point in look if point["type"] == "process" and point["id"] == eid}
    assert mine["user"] == {"eid": psutil.Process().username()}
    assert mine["memory"] > 0
    assert {"eid": eid} in values(look, "host", "processes")


def test_facts_are_sent_once_and_use_every_time():
    machine = Machine("here")
    first, second = machine.look(), machine.look()
    assert values(first, "host", "kernel")
    assert not values(second, "host", "kernel")
    assert values(second, "host", "memory_percent")


def test_cpu_use_needs_two_looks():
    machine = Machine("here")
    first, second = machine.look(), machine.look()
    assert not values(first, "host", "cpu_percent") + values(first, "process", "cpu_percent")
    assert values(second, "host", "cpu_percent")
    assert values(second, "process", "cpu_percent")


def test_looks_follow_each_other_without_gaps():
    machine = Machine("here")
    times = [
        (point["t1"], point["t2"])
        for look in (machine.look(), machine.look(), machine.look())
        for point in look
        if point["attr"] == "memory_percent"
    ]
    assert [times[1][0], times[2][0]] == [times[0][1], times[1][1]]


def test_an_open_port_and_the_connection_to_it_are_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listeners, conversations = sockets()
    assert Listener("tcp", "127.0.0.1", port, os.getpid()) in listeners
    assert any(talk.peer_port == port and talk.pid == os.getpid() for talk in conversations)


def test_who_is_connected_to_an_open_port_uses_a_service_and_everybody_else_offers_one():
    listeners = {Listener("tcp", "0.0.0.0", 22, 1)}
    talks = {Conversation("tcp", 22, "10.0.0.9", 51000, 1), Conversation("tcp", 40000, "192.0.2.1", 443, 7)}
    made = points(listeners, talks, {1: "sshd:1", 7: "curl:7"}, DURING)
    assert values(made, "service", "addresses") == ["0.0.0.0"]
    assert values(made, "process", "listens") == [{"eid": "tcp/22"}]
    assert values(made, "ip", "uses") == [{"eid": "tcp/22"}]
    assert values(made, "ip", "offers") == ["tcp/443"]
    assert values(made, "process", "peers") == [{"eid": "192.0.2.1", "data": 443}]


def test_several_connections_to_one_port_of_a_peer_are_one_datapoint():
    talks = {Conversation("tcp", port, "192.0.2.1", 443, 7) for port in range(40000, 40010)}
    assert len(points([], talks, {7: "curl:7"}, DURING)) == 2


def test_connections_of_hidden_processes_still_show_the_peer():
    made = points([], {Conversation("tcp", 40000, "192.0.2.1", 443, None)}, {}, DURING)
    assert [point["type"] for point in made] == ["ip"]


@pytest.mark.parametrize(
    ("seen", "clean"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::", "::"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_addresses_have_one_spelling(seen, clean):
    assert clean_address(seen) == clean


def test_what_must_not_be_seen_of_a_process_is_left_out():
    hidden = Process(1, "init", None, None, None, None, 0.0, None, None)
    made = Processes().points("here", [hidden], DURING)
    assert {point["attr"] for point in made if point["type"] == "process"} == {"name", "state", "cpu_percent"}
    assert values(made, "process", "state") == ["other"]


def test_kernel_threads_are_not_programs():
    assert all(each.memory != 0 or each.status == psutil.STATUS_ZOMBIE for each in running())


def test_traffic_is_what_went_through_between_two_looks(monkeypatch):
    counters = iter([(100, 50), (130, 90), (10, 5)])
    monkeypatch.setattr(
        psutil,
        "net_io_counters",
        lambda: SimpleNamespace(**dict(zip(["bytes_sent", "bytes_recv"], next(counters), strict=True))),
    )
    traffic = host.Traffic()
    first, second, after_reset = (traffic.points("here", DURING) for _ in range(3))
    assert (first, after_reset) == ([], [])
    assert second[0]["v"]["bytes_sent"] == [30]
    assert second[0]["v"]["bytes_received"] == [40]


def test_load_steps_start_at_even_seconds():
    point = host.load_average("here", NOON + timedelta(seconds=3, milliseconds=700))
    assert (point["t1"], point["t2"]) == (NOON + timedelta(seconds=2), NOON + timedelta(seconds=4))


def test_a_disk_that_cannot_be_read_is_left_out(monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_usage", refuse)
    assert host.disks() == {}


def test_facts_are_sent_again_when_too_many_were_remembered():
    once = Once(limit=2)
    assert [len(once.of(eid, lambda: [{}])) for eid in ("a", "a", "b", "c", "a")] == [1, 0, 1, 1, 1]


def test_where_the_system_hides_connections_of_others_ones_own_are_seen(monkeypatch):
    def refuse(kind):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        listeners, _ = sockets()
        assert Listener("tcp", "127.0.0.1", server.getsockname()[1], os.getpid()) in listeners
