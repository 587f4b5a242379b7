"""Rules of the public door for modules."""

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "attrspec": (
        "AttrSpec AttrSpecClassic AttrSpecGeneric AttrSpecObservations AttrSpecPlain AttrSpecReadOnly "
        "AttrSpecTimeseries AttrSpecType AttrType ID_REGEX ObservationsHistoryParams TimeseriesSeries "
        "TimeseriesTSParams timeseries_types"
    ),
    "base_module": "BaseModule",
    "callback_registrar": "CallbackRegistrar",
    "config": (
        "CronExpression CronStr EntitySpecDict HierarchicalDict MissingConfigError ModelSpec PlatformConfig "
        "TimeInt entity_type_context read_config read_config_dir"
    ),
    "context": "entity_context get_entity_context",
    "control": "ControlAction ControlMessage",
    "datapoint": (
        "DataPointBase DataPointObservationsBase DataPointPlainBase DataPointTimeseriesBase DataPointType "
        "is_list_ordered to_json_friendly"
    ),
    "datatype": (
        "AnyEidT DataType EidDataType Link ReadOnly eid_data_types is_primitive_element_type "
        "primitive_data_types"
    ),
    "entityspec": "EntitySpec ImmortalLifetime TimeToLiveLifetime WeakLifetime",
    "hook_telemetry": "HookTelemetry TrackedHook",
    "hook_types": "ATTR_TYPE_TO_ON_NEW_HOOK",
    "mac_address": "MACAddress",
    "scheduler": "Scheduler",
    "state": "SharedFlag",
    "task": "DataPointTask HASH Task parse_data_point_task task_context",
    "types": "AwareDatetime DP3Encoder ParsedTimedelta T2Datetime",
    "utils": (
        "batched bytes2int conv_from_json conv_to_json entity_expired get_func_name get_stable_func_name "
        "int2bytes int2ipstr ipstr2int parse_rfc_time parse_time_duration suppress_dependency_loggers "
        "time_duration_pattern"
    ),
}


@pytest.mark.parametrize("module", NAMES)
def test_every_promised_name_can_be_imported(module: str) -> None:
    imported = importlib.import_module(f"dp3.common.{module}")
    missing = [name for name in NAMES[module].split() if not hasattr(imported, name)]
    assert missing == []


def test_importing_the_door_loads_no_driver_and_no_web_framework() -> None:
    imports = ", ".join(f"dp3.common.{module}" for module in NAMES)
    code = f"import sys, {imports}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    assert loaded.isdisjoint({"apsw", "fastapi", "starlette", "uvicorn", "psutil", "typer"})
    assert not [name for name in output.split() if name.startswith(("dp3.log", "dp3.store", "dp3.engine"))]
