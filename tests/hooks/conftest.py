"""A model with links in both directions, and a registrar for it."""

from datetime import timedelta

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec


def _plain(data_type: str) -> dict[str, object]:
    return {"name": "n", "type": "plain", "data_type": data_type}


def _entity(etype: str, attribs: dict[str, object], id_data_type: str = "string") -> dict[str, object]:
    entity = {"id": etype, "name": etype, "snapshot": True, "id_data_type": id_data_type}
    return {"entity": entity, "attribs": attribs}


MODEL = {
    "test_entity_type": _entity(
        "test_entity_type",
        {
            "test_attr_type": _plain("int"),
            "test_attr_type1": _plain("int"),
            "test_attr_type2": _plain("int"),
            "derived_on_creation": _plain("string"),
            "series": {
                "name": "n",
                "type": "timeseries",
                "timeseries_type": "irregular",
                "series": {"v": {"data_type": "int"}},
                "timeseries_params": {"max_age": "1d"},
            },
            "test_attr_link": {
                "name": "n",
                "type": "observations",
                "data_type": "link<site;mirror=members>",
                "multi_value": True,
                "history_params": {"max_age": "1d"},
            },
            "sites": _plain("set<link<site>>"),
        },
    ),
    "site": _entity("site", {"name": _plain("string"), "country": _plain("link<country>")}, "int"),
    "country": _entity("country", {"code": _plain("string")}),
}


@pytest.fixture(scope="session")
def model() -> ModelSpec:
    return ModelSpec(MODEL)


@pytest.fixture
def registrar(model: ModelSpec) -> CallbackRegistrar:
    return CallbackRegistrar(model, update_batch_period=timedelta(minutes=5)).for_module("sample")
