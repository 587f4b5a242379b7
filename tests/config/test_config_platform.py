"""What modules get as `platform_config`."""

from pathlib import Path
from typing import Any

import pytest

from dp3.config.hierarchy import HierarchicalDict, PlatformConfig
from dp3.model.spec import ModelSpec

ENTITY = {"entity": {"id": "device", "name": "Device", "snapshot": True}, "attribs": {}}


def platform(**changes: Any) -> PlatformConfig:
    """A platform of one worker, with the given fields changed."""
    fields: dict[str, Any] = {
        "app_name": "app",
        "config_base_path": "/etc/app",
        "config": HierarchicalDict({"api": {"max_body": 1}}),
        "model_spec": ModelSpec({"device": ENTITY}),
        "num_processes": 1,
        "process_index": 0,
    }
    return PlatformConfig(**{**fields, **changes})


def test_model_and_configuration_are_the_given_objects() -> None:
    model, config = ModelSpec({"device": ENTITY}), HierarchicalDict({"api": {"max_body": 1}})
    assert platform(model_spec=model).model_spec is model
    assert platform(config=config).config is config


def test_path_is_made_absolute_text() -> None:
    assert platform(config_base_path="config").config_base_path == str(Path("config").absolute())
    assert platform(config_base_path=Path("/etc/app")).config_base_path == "/etc/app"


def test_plain_mapping_becomes_hierarchical() -> None:
    assert isinstance(platform(config={"a": 1}).config, HierarchicalDict)


def test_process_index_must_be_below_the_number_of_processes() -> None:
    assert platform(num_processes=2, process_index=1).process_index == 1
    with pytest.raises(ValueError, match="Process index must be less than total number of processes"):
        platform(num_processes=2, process_index=2)


@pytest.mark.parametrize(
    "wrong", [{"num_processes": 0}, {"process_index": -1}, {"model_spec": {}}, {"config": 5}]
)
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        platform(**wrong)


@pytest.mark.parametrize("text", [str, repr])
def test_text_shows_application_path_model_and_numbers(text: Any) -> None:
    assert text(platform()) == (
        "PlatformConfig(app_name='app', config_base_path='/etc/app', model_spec=ModelSpec(device), "
        "num_processes=1, process_index=0)"
    )
