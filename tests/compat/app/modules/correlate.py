"""Hooks of snapshots: on linked entities, on series, on whole records; and values that fit no type."""

from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.task import DataPointTask

SRC = "secondary/correlate"


class Correlate(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        self.first = platform_config.process_index == 0
        registrar.register_snapshot_init_hook(self.begin)
        registrar.register_timeseries_hook(self.extrapolate, "device", "traffic")
        registrar.register_correlation_hook(
            self.rate,
            "device",
            depends_on=[["load"], ["site", "limit"], ["session", "active"]],
            may_change=[["risk"]],
        )
        registrar.register_correlation_hook_with_master_record(
            self.describe, "device", depends_on=[["risk"], ["peer_of", "risk"]], may_change=[["memo"]]
        )
        registrar.register_correlation_hook(
            self.sum_up, "site", depends_on=[["devices", "risk"]], may_change=[["risk"]]
        )
        registrar.register_snapshot_finalize_hook(self.end)

    def begin(self) -> list[DataPointTask]:
        point = {"etype": "site", "eid": 1, "attr": "checked", "src": SRC, "v": "begun"}
        return [DataPointTask(etype="site", eid=1, data_points=[point])] if self.first else []

    def extrapolate(self, etype: str, attr: str, history: list[dict[str, Any]]) -> list[DataPointTask]:
        """Whose the series is says its first number."""
        sizes = [size for chunk in history for size in chunk["v"]["bytes"]]
        eid = f"d{history[0]['v']['bytes'][0] % 10}"
        point = {"etype": etype, "eid": eid, "attr": "trend", "src": SRC, "v": sum(sizes) / len(sizes)}
        return [DataPointTask(etype=etype, eid=eid, data_points=[point])]

    def rate(self, etype: str, values: dict[str, Any]) -> None:
        limit = values.get("site", {}).get("record", {}).get("limit")
        active = values.get("session", {}).get("record", {}).get("active")
        if limit and "load" in values:
            values["risk"] = values["load"] / limit + (active is not None)

    def describe(
        self, etype: str, values: dict[str, Any], master: dict[str, Any]
    ) -> list[DataPointTask] | None:
        eid = values["eid"]
        risks = [peer["record"].get("risk", 0.0) for peer in values.get("peer_of", [])]
        values["memo"] = {"known": sorted(master), "peers": len(risks), "worst": max(risks, default=None)}
        odd = ODD.get(eid)
        if odd is not None:
            values.update(odd)
        if eid == "sick":
            raise ArithmeticError("sick again")
        if eid == "d3":
            point = {"etype": "quiet", "eid": "of-d3", "attr": "note", "src": SRC, "v": "seen"}
            return [DataPointTask(etype="quiet", eid="of-d3", data_points=[point])]
        return None

    def sum_up(self, etype: str, values: dict[str, Any]) -> None:
        values["risk"] = float(sum(device["record"].get("risk", 0.0) for device in values.get("devices", [])))

    def end(self) -> None:
        if self.first:
            raise TimeoutError("the end is not the end")


ODD: dict[str, dict[str, Any]] = {
    "d1": {"ratio": "a text", "temperature#c": 0.125},
    "d2": {"made_up": {"deep": [1, "a", None, 2.5, {"x": True}]}, "state": 7},
    "d3": {"wide": {f"key{i}": i for i in range(70)}, "total": 2.5},
    "d4": {"long": "long " * 210, "users": "not a list"},
    "d5": {"bad": object(), "ports": [1, "two", [3]]},
    "d6": {"address": "not an address", "booted": None, "tags": ["b", "a", "b"]},
}
"""What the hook sets for some devices, whatever their types."""
