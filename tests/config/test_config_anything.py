"""Whatever stands in the files: loading ends with a configuration or with explained mistakes."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dp3.config.loading import Configuration, ConfigurationError, load
from dp3.config.sections import (
    ApiSettings,
    ControlSettings,
    DatabaseSettings,
    EventLoggingSettings,
    HistoryManagerSettings,
    ProcessingCoreSettings,
    SnapshotsSettings,
    UpdaterSettings,
)

SECTIONS: dict[str, type[BaseModel]] = {
    "api": ApiSettings,
    "control": ControlSettings,
    "database": DatabaseSettings,
    "event_logging": EventLoggingSettings,
    "history_manager": HistoryManagerSettings,
    "processing_core": ProcessingCoreSettings,
    "snapshots": SnapshotsSettings,
    "updater": UpdaterSettings,
}
WORDS = [
    "minute",
    "hour",
    "older_than",
    "schedule",
    "groups",
    "te",
    "segment_age",
    "good_log",
    "*/5",
    "5m",
    "mon",
]
ATTRIBUTE_KEYS = [
    *("name", "type", "data_type", "description", "ttl", "editable", "confidence", "multi_value"),
    *("history_params", "timeseries_type", "timeseries_params", "series", "max_age", "time_step"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 100)
    | st.floats()
    | st.dates()
    | st.sampled_from(WORDS)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(SCALARS | st.sampled_from(ATTRIBUTE_KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(files: dict[str, Any]) -> Configuration | ConfigurationError:
    """What loading a folder with the given values ends with."""
    device = {"entity": {"id": "device", "name": "Device", "snapshot": True}, "attribs": {}}
    with TemporaryDirectory() as name:
        for file, value in {"db_entities/device": device, **files}.items():
            path = Path(name, f"{file}.yml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(value))
        try:
            return load(Path(name))
        except ConfigurationError as error:
            assert all(problem.line is not None and problem.message for problem in error.problems)
            return error


@given(st.sampled_from(sorted(SECTIONS)), st.data())
@settings(max_examples=200, deadline=None)
def test_any_value_of_any_setting_is_used_or_explained(section: str, data: st.DataObject) -> None:
    keys = st.sampled_from(sorted(SECTIONS[section].model_fields)) | SCALARS
    outcome({section: data.draw(st.dictionaries(keys, VALUES, max_size=3) | VALUES)})


@given(st.dictionaries(st.sampled_from(["load", "a-b"]) | SCALARS, VALUES, max_size=2) | VALUES)
@settings(max_examples=150, deadline=None)
def test_any_value_as_attributes_is_used_or_explained(attribs: Any) -> None:
    entity = {"id": "device", "name": "Device", "snapshot": True}
    outcome({"db_entities/device": {"entity": entity, "attribs": attribs}})


@given(
    st.dictionaries(st.sampled_from(ATTRIBUTE_KEYS), VALUES, max_size=4),
    st.sampled_from(["plain", "observations", "timeseries"]),
)
@settings(max_examples=150, deadline=None)
def test_any_value_of_an_attribute_key_is_used_or_explained(keys: dict[str, Any], kind: str) -> None:
    entity = {"id": "device", "name": "Device", "snapshot": True}
    attribs = {"load": {"name": "load", "type": kind, "data_type": "int", **keys}}
    outcome({"db_entities/device": {"entity": entity, "attribs": attribs}})
