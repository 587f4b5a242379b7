"""Runs that are cut short, and what they leave to the next ones."""

from collections.abc import Iterator

import pytest
from sample_settings import Setting, plain
from snapshots_kit import Application, an_application

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint


def a_setting(*, snapshot: bool) -> Setting:
    entity = {"id": "a", "id_data_type": "string", "name": "a", "snapshot": snapshot}
    model = ModelSpec({"a": {"entity": entity, "attribs": {"p": plain("int")}}})
    return Setting(model, CallbackRegistrar(model))


@pytest.fixture
def app() -> Iterator[Application]:
    with an_application() as application:
        yield application


def test_a_type_loses_its_snapshots_though_the_first_run_without_them_was_cut_short(app: Application) -> None:
    app.restart(a_setting(snapshot=True))
    app.send("a", "a1", WirePoint("p", 1))
    app.process()
    app.run()
    app.restart(a_setting(snapshot=False))
    app.begin_run()
    app.restart(a_setting(snapshot=False), processes=2)
    app.finish_run()
    assert app.last_run().status.startswith("partial: it was begun by 1 workers")
    app.run()
    assert app.latest("a") == {}
