"""The state of an application over changes of its model, and a look into all of its tables."""

from collections.abc import Mapping
from typing import Any

from engine_kit import START_US, Engine, Register, no_hooks

from dp3.engine.profiles import ProfileReader, Span
from dp3.engine.schema.tracking import track_model
from dp3.engine.schema.update import begin_update, finish_update
from dp3.engine.snapshots.doc import Doc, decode_doc
from dp3.model.schema import compare, decode_schema, encode_schema, schema_of
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint

COMMAND = "dp3 schema-update CONFIG"


def a_model(**attribs: Any) -> ModelSpec:
    """Type `a` with these attributes, and `b` with one of its own."""
    own = {"p": {"name": "x", "type": "plain", "data_type": "string"}}
    return ModelSpec({"a": a_type("a", attribs), "b": a_type("b", own)})


def a_type(etype: str, attribs: Mapping[str, Any], **entity: Any) -> dict[str, Any]:
    return {"entity": {"id": etype, "name": etype, "snapshot": True, **entity}, "attribs": dict(attribs)}


def plain_attr(data_type: str) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type}


def seen_attr(data_type: str, **more: Any) -> dict[str, Any]:
    params = {"aggregate": False, "post_validity": "30d"}
    return {"name": "x", "type": "observations", "data_type": data_type, "history_params": params, **more}


def seen(attr: str, v: Any, second: int = 0) -> WirePoint:
    """An observation."""
    t1 = START_US + second * 1_000_000
    return WirePoint(attr, v, t1, t1, CONFIDENCE_UNIT)


def start(engine: Engine, model: ModelSpec, register: Register = no_hooks) -> None:
    """What a worker does that starts and stops when nothing is left to do."""
    track_model(engine.store, model, COMMAND)
    engine.work(register, model=model)


def make_snapshots(engine: Engine, model: ModelSpec) -> None:
    engine.clock.advance(3600)
    engine.store.send_control(0, "make_snapshots", {})
    with engine.worker(model=model) as driven:
        driven.finish()
        while engine.store.open_run() is not None:
            driven.step()


def pack(engine: Engine, model: ModelSpec) -> None:
    """Have all history packed."""
    with engine.worker(model=model) as driven:
        driven.history.request()
        while driven.history.step():
            pass


def begin(engine: Engine, model: ModelSpec) -> bool:
    """Confirm the change to a model."""
    old = engine.store.tracked_model().model
    assert old is not None
    schema = schema_of(model)
    changes = compare(decode_schema(old), schema).destroyed
    assert changes
    return begin_update(engine.log, engine.store, old, encode_schema(schema), changes)


def update(engine: Engine, model: ModelSpec) -> None:
    """Confirm the change to a model, and remove everything that is to go."""
    assert begin(engine, model)
    finish_update(engine.store, lambda state: None)


def reopen(engine: Engine) -> None:
    """As after a process was killed."""
    engine.store.close()
    engine._open_state()


def master(engine: Engine, model: ModelSpec, eid: str, etype: str = "a") -> dict[str, Any]:
    """Values by attribute: the plain one, or the sorted ones of the history."""
    record = ProfileReader(engine.store, model, engine.clock).master(etype, eid, Span())
    return {
        attr: sorted((one["v"] for one in value), key=str) if isinstance(value, list) else value["v"]
        for attr, value in record.items()
        if not attr.startswith("#")
    }


def docs(engine: Engine, eid: str, etype: str = "a") -> list[Doc]:
    """All stored snapshots of an entity, oldest first."""
    return [decode_doc(row.doc) for row in engine.store.snapshots_of(etype, eid)]


def rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Everything in the state, by table."""
    import apsw

    state = apsw.Connection(str(engine.directory / "state" / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
    names = [name for (name,) in state.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        cursor = state.execute(f"SELECT * FROM {name}")
        found[name] = [
            dict(zip((column for column, _ in cursor.getdescription()), row, strict=True)) for row in cursor
        ]
    state.close()
    return found


def tables_with(engine: Engine, text: str) -> set[str]:
    """The tables in which a text occurs, in whichever column."""
    wanted = text.encode()
    return {
        name
        for name, content in rows(engine).items()
        if any(
            wanted in (v if isinstance(v, bytes) else str(v).encode())
            for row in content
            for v in row.values()
        )
    }


def tables_of_attr(engine: Engine, number: int) -> set[str]:
    """The tables in which an attribute, or a path, is named by its number."""
    places = {"attr": ("attr", "id"), "path": ("path", "id")}
    return {
        name
        for name, content in rows(engine).items()
        if any(row.get(column) == number for row in content for column in places.get(name, ("attr", "path")))
    }


def tables_of_type(engine: Engine, number: int) -> set[str]:
    """The tables in which an entity type is named by its number."""
    return {
        name
        for name, content in rows(engine).items()
        if any(row.get("id" if name == "etype" else "etype") == number for row in content)
    }
