"""A model with links in both directions, and a registrar for it."""

from datetime import timedelta

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from kit.specs import a_type, observed_attr, plain_attr, series_attr

MODEL = {
    "test_entity_type": a_type(
        "test_entity_type",
        {
            "test_attr_type": plain_attr("int"),
            "test_attr_type1": plain_attr("int"),
            "test_attr_type2": plain_attr("int"),
            "derived_on_creation": plain_attr("string"),
            "series": series_attr("irregular", {"max_age": "1d"}, series={"v": {"data_type": "int"}}),
            "test_attr_link": observed_attr("link<site;mirror=members>", {"max_age": "1d"}, multi_value=True),
            "sites": plain_attr("set<link<site>>"),
        },
    ),
    "site": a_type(
        "site",
        {"name": plain_attr("string"), "country": plain_attr("link<country>")},
        id_data_type="int",
    ),
    "country": a_type("country", {"code": plain_attr("string")}),
}


@pytest.fixture(scope="session")
def model() -> ModelSpec:
    return ModelSpec(MODEL)


@pytest.fixture
def registrar(model: ModelSpec) -> CallbackRegistrar:
    return CallbackRegistrar(model, update_batch_period=timedelta(minutes=5)).for_module("sample")
