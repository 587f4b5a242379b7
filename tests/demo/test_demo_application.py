"""The demonstration's application: its configuration and what its modules derive."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from dp3.config.loading import load
from dp3.demo.network import Conversation, Listener, points
from dp3.demo.platform import CONFIG
from dp3.demo.points import Interval
from dp3.demo.watch import Machine
from dp3.model.task import DataPointTask
from dp3.runtime.modules import WorkerIdentity, register_modules

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def config():
    return load(CONFIG)


@pytest.fixture
def hooks(config):
    """(kind, etype, attr) → hooks, freshly loaded."""
    registrar = register_modules(config, WorkerIdentity("demo", 0, 1)).registrar
    found = {}
    for registration in registrar.registrations:
        found.setdefault((registration.kind, registration.entity, registration.attr), []).append(
            registration.hook
        )
    return found


def task(config, point):
    names = {"type": "etype", "id": "eid"}
    internal = {names.get(key, key): value for key, value in point.items()}
    return DataPointTask(
        model_spec=config.model, etype=internal["etype"], eid=internal["eid"], data_points=[internal]
    )


def derived(tasks):
    return [(point.attr, point.v) for made in tasks for point in made.data_points]


def test_the_configuration_leaves_nothing_to_remark(config):
    assert config.notes == ()


def test_everything_the_watcher_sends_fits_the_model(config):
    machine = Machine("here")
    for point in [*machine.look(), *machine.look()]:
        task(config, point)


def test_every_attribute_is_sent_or_derived(config):
    listeners = {Listener("tcp", "0.0.0.0", 22, 1)}
    talks = {Conversation("tcp", 22, "10.0.0.9", 51000, 1), Conversation("tcp", 40000, "192.0.2.1", 443, 1)}
    machine = Machine("here")
    during = Interval(NOON, NOON + timedelta(seconds=2))
    sent = [*machine.look(), *machine.look(), *points(listeners, talks, {1: "sshd:1"}, during)]
    known = {(point["type"], point["attr"]) for point in sent}
    by_modules = {"name", "privileged", "exposure", "version", "scope", "role", "new_peer", "peer_count"}
    sessions = {("host", "users"), ("user", "terminals"), ("host", "network")}
    left = {
        (etype, attr)
        for (etype, attr), spec in config.model.attributes.items()
        if attr not in by_modules and type(spec).__name__ != "AttrSpecReadOnly"
    }
    assert left - known - sessions == set()


def service(config, eid, address="0.0.0.0"):
    return task(config, {"type": "service", "id": eid, "attr": "addresses", "v": address, "t1": NOON})


@pytest.mark.parametrize(("eid", "privileged"), [("tcp/22", True), ("udp/8125", False)])
def test_a_new_service_is_named_and_classified(config, hooks, eid, privileged):
    [hook] = hooks["on_entity_creation", "service", None]
    values = dict(derived(hook(eid, service(config, eid))))
    assert values["privileged"] is privileged
    assert values["name"]


@pytest.mark.parametrize(
    ("address", "exposure"),
    [
        ("127.0.0.1", "this_machine"),
        ("::1", "this_machine"),
        ("0.0.0.0", "network"),
        ("192.0.2.1", "network"),
    ],
)
def test_a_service_is_exposed_as_its_addresses_are(config, hooks, address, exposure):
    [hook] = hooks["on_new_attr", "service", "addresses"]
    [dp] = service(config, "tcp/22", address).data_points
    assert derived(hook("tcp/22", dp)) == [("exposure", exposure)]


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link_local"),
        ("fe80::1", "link_local"),
        ("10.1.2.3", "private"),
        ("224.0.0.1", "multicast"),
        ("8.8.8.8", "public"),
        ("100.64.0.1", "other"),
    ],
)
def test_a_new_peer_gets_version_and_scope(config, hooks, address, scope):
    [hook] = hooks["on_entity_creation", "ip", None]
    first = task(config, {"type": "ip", "id": address, "attr": "offers", "v": "tcp/443", "t1": NOON})
    assert dict(derived(hook(address, first))) == {"version": ip_address(address).version, "scope": scope}


@pytest.mark.parametrize(
    ("attr", "value", "role"), [("uses", {"eid": "tcp/22"}, "client"), ("offers", "tcp/443", "server")]
)
def test_the_role_holds_as_long_as_the_connection(config, hooks, attr, value, role):
    [hook] = hooks["on_new_attr", "ip", attr]
    end = NOON + timedelta(seconds=2)
    point = {"type": "ip", "id": "10.0.0.1", "attr": attr, "v": value, "t1": NOON, "t2": end}
    [made] = hook("10.0.0.1", task(config, point).data_points[0])[0].data_points
    assert (made.attr, made.v, made.t1, made.t2) == ("role", role, NOON, end)


def contact(config, process, peer, seconds=0, port=443):
    point = {"type": "process", "id": process, "attr": "peers", "v": {"eid": peer, "data": port}}
    return task(config, point | {"t1": NOON + timedelta(seconds=seconds)}).data_points[0]


def count(tasks):
    return dict(derived(tasks)).get("peer_count")


def test_a_peer_is_new_once_per_process(config, hooks):
    [greet] = hooks["on_new_attr", "process", "peers"]
    contacts = [
        ("a:1", "192.0.2.1", 0),
        ("a:1", "192.0.2.1", 2),
        ("a:1", "192.0.2.2", 2),
        ("b:2", "192.0.2.1", 4),
    ]
    counts = [count(greet(eid, contact(config, eid, peer, at))) for eid, peer, at in contacts]
    assert counts == [1, None, 2, 1]


def test_a_hook_that_is_called_again_finds_the_peer_new_again(config, hooks):
    [greet] = hooks["on_new_attr", "process", "peers"]
    dp = contact(config, "a:1", "192.0.2.1")
    assert derived(greet("a:1", dp)) == derived(greet("a:1", dp)) != []
