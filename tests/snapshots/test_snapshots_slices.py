"""What one transaction of a run may hold: others wait for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from sample_settings import Setting, plain
from snapshots_kit import Application, an_application

from dp3.engine.snapshots import recording
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint
from dp3.store.port import Lease
from dp3.store.snapshots import SnapshotBatch

ENTITIES = 30


@pytest.fixture
def app() -> Iterator[Application]:
    with an_application() as application:
        yield application


@pytest.fixture
def slices(app: Application, monkeypatch: pytest.MonkeyPatch) -> list[SnapshotBatch]:
    """All that is written from now on."""
    written: list[SnapshotBatch] = []
    write = app.store.write_snapshots

    def noted(lease: Lease, batch: SnapshotBatch) -> None:
        written.append(batch)
        write(lease, batch)

    monkeypatch.setattr(app.store, "write_snapshots", noted)
    return written


def a_setting(hook: Any = None, *, keep_empty: bool = True) -> Setting:
    entity = {"id": "a", "id_data_type": "string", "name": "a", "snapshot": True}
    attribs = {"p": plain("int"), "arr": plain("array<int>"), "hub": plain("link<a>")}
    model = ModelSpec({"a": {"entity": entity, "attribs": attribs}})
    registrar = CallbackRegistrar(model).for_module("test")
    if hook is not None:
        registrar.register_correlation_hook(hook, "a", [["hub", "p"]], [])
    return Setting(model, registrar, keep_empty)


def nothing(etype: str, values: dict[str, Any]) -> None:
    pass


def test_entities_with_many_keys_come_in_slices_of_few(
    app: Application, slices: list[SnapshotBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_KEYS", 100)
    app.restart(a_setting())
    for i in range(ENTITIES):
        app.send("a", f"e{i}", WirePoint("arr", list(range(40))))
    app.process()
    app.run()
    assert max(len(part.keys_added) for part in slices) <= 100 + 41
    assert app.distinct("a", "arr") == dict.fromkeys(range(40), ENTITIES)


def test_a_component_comes_in_slices_though_only_its_index_is_renewed(
    app: Application, slices: list[SnapshotBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_ROWS", 5)
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
