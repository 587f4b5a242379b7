"""The state of an application over changes of its model, and a look into all of its tables."""

from collections.abc import Callable
from typing import Any

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc
from dp3.engine.schema.tracking import track_model
from dp3.engine.schema.update import begin_update, finish_update
from dp3.model.schema import compare, decode_schema, encode_schema, schema_of
from dp3.model.spec import ModelSpec
from kit.engine import Engine, Register, no_hooks
from kit.specs import Spec, a_type, observed_attr, plain_attr

COMMAND = "dp3 schema-update CONFIG"


def a_schema(**attribs: Spec) -> ModelSpec:
    """Type `a` with these attributes, and `b` with one of its own."""
    return ModelSpec({"a": a_type("a", attribs), "b": a_type("b", {"p": plain_attr("string")})})


def seen_attr(data_type: str, **more: Any) -> Spec:
    """Observations that hold for a month, shown one by one."""
    return observed_attr(data_type, {"aggregate": False, "post_validity": "30d"}, **more)


# -- what happens ----------------------------------------------------------------------------------------
def track(engine: Engine, model: ModelSpec) -> None:
    """A worker with this model starts. Raises `ModelRefused`."""
    track_model(engine.store, model, COMMAND)


def start(engine: Engine, model: ModelSpec, register: Register = no_hooks) -> None:
    """A worker starts and stops when nothing is left to do."""
    track(engine, model)
    engine.work(register, model=model)


def make_snapshots(engine: Engine, model: ModelSpec) -> None:
    engine.clock.advance(3600)
    engine.store.control.send(0, "make_snapshots", {})
    with engine.worker(model=model) as worker:
        worker.finish()
        while engine.store.runs.open() is not None:
            worker.step()


def pack(engine: Engine, model: ModelSpec) -> None:
    """Have all history packed."""
    with engine.worker(model=model) as worker:
        worker.request_upkeep()
        while worker.upkeep():
            pass


def begin(engine: Engine, model: ModelSpec) -> bool:
    """Confirm the change to a model."""
    old = engine.store.models.tracked().model
    assert old is not None
    schema = schema_of(model)
    changes = compare(decode_schema(old), schema).destroyed
    assert changes
    return begin_update(engine.log, engine.store, old, encode_schema(schema), changes)


def finish(engine: Engine, progress: Callable[[Any], object] = lambda state: None) -> None:
    """Remove everything that is to go; `progress` is called after each piece."""
    finish_update(engine.store, progress)


def update(engine: Engine, model: ModelSpec) -> None:
    """Confirm the change to a model, and remove everything that is to go."""
    assert begin(engine, model)
    finish(engine)


# -- what is left ----------------------------------------------------------------------------------------
def master(engine: Engine, model: ModelSpec, eid: str, etype: str = "a") -> dict[str, Any]:
    """Values by attribute: the plain one, or the sorted ones of the history."""
    return {
        attr: sorted((one["v"] for one in value), key=str) if isinstance(value, list) else value["v"]
        for attr, value in engine.master(eid, etype, model).items()
        if not attr.startswith("#")
    }


def docs(engine: Engine, eid: str, etype: str = "a") -> list[Doc]:
    """All stored snapshots of an entity, oldest first."""
    return [decode_doc(row.doc) for row in engine.store.snapshots.of(etype, eid)]


def tables_with(engine: Engine, text: str) -> set[str]:
    """The tables in which a text occurs, in whichever column."""
    wanted = text.encode()
    return {
        name
        for name, content in engine.tables().items()
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
        for name, content in engine.tables().items()
        if any(row.get(column) == number for row in content for column in places.get(name, ("attr", "path")))
    }


def tables_of_type(engine: Engine, number: int) -> set[str]:
    """The tables in which an entity type is named by its number."""
    return {
        name
        for name, content in engine.tables().items()
        if any(row.get("id" if name == "etype" else "etype") == number for row in content)
    }
