"""What one transaction of a run may hold: others wait for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from application import Application, an_application
from sample_settings import Setting

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch
from kit.faults import run_writes
from kit.limits import Enter, run_keys, run_rows
from kit.specs import a_type, plain_attr

ENTITIES = 30


@pytest.fixture
def app() -> Iterator[Application]:
    with an_application() as application:
        yield application


@pytest.fixture
def slices(app: Application, enter: Enter) -> list[SnapshotBatch]:
    """All that is written from now on."""
    written: list[SnapshotBatch] = []

    def noted(write: Any, lease: Lease, batch: SnapshotBatch) -> None:
        written.append(batch)
        write(lease, batch)

    enter(run_writes(app.store, noted))
    return written


def a_setting(hook: Any = None, *, keep_empty: bool = True) -> Setting:
    attribs = {"p": plain_attr("int"), "arr": plain_attr("array<int>"), "hub": plain_attr("link<a>")}
    model = ModelSpec({"a": a_type("a", attribs)})
    registrar = CallbackRegistrar(model).for_module("test")
    if hook is not None:
        registrar.register_correlation_hook(hook, "a", [["hub", "p"]], [])
    return Setting(model, registrar, keep_empty)


def nothing(etype: str, values: dict[str, Any]) -> None:
    pass


def test_entities_with_many_keys_come_in_slices_of_few(
    app: Application, slices: list[SnapshotBatch], enter: Enter
) -> None:
    enter(run_keys(100))
    app.restart(a_setting())
    for i in range(ENTITIES):
        app.send("a", f"e{i}", WirePoint("arr", list(range(40))))
    app.process()
    app.run()
    assert max(len(part.keys_added) for part in slices) <= 100 + 41
    assert app.distinct("a", "arr") == dict.fromkeys(range(40), ENTITIES)


def test_a_component_comes_in_slices_though_only_its_index_is_renewed(
    app: Application, slices: list[SnapshotBatch], enter: Enter
) -> None:
    enter(run_rows(5))
    app.restart(a_setting(nothing))
    for i in range(ENTITIES):
        app.send("a", f"e{i}", WirePoint("p", i), WirePoint("hub", {"eid": "e0"}))
    app.process()
    app.run()
    slices.clear()
    app.restart(a_setting(nothing, keep_empty=False))
    app.run()
    assert sum(len(part.keys_renewed) for part in slices) == ENTITIES
    assert max(len(part.keys_renewed) for part in slices) == 5
