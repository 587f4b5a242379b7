"""Hooks of the ingestion: they note, allow, derive, and fail."""

from datetime import timedelta
from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.datapoint import DataPointObservationsBase
from dp3.common.task import DataPointTask

SRC = "secondary/watch"


class Watch(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        registrar.register_task_hook("on_task_start", self.note)
        registrar.register_allow_entity_creation_hook(self.allow, "guarded")
        registrar.register_on_entity_creation_hook(
            self.greet, "device", refresh=self.refresh, may_change=[["greeting"]]
        )
        registrar.register_on_new_attr_hook(
            self.judge, "device", "temperature", refresh=self.refresh, may_change=[["alert"]]
        )
        registrar.register_on_new_attr_hook(self.follow, "device", "mode")
        registrar.register_on_new_attr_hook(self.keep, "ip", "seen")

    def load_config(self, config: PlatformConfig, module_config: dict[str, Any]) -> None:
        self.word = module_config["word"]

    def note(self, task: DataPointTask) -> None:
        if task.eid == "noisy":
            raise RuntimeError("noisy was here")

    def allow(self, eid: str, task: DataPointTask) -> bool:
        if eid == "unsure":
            raise LookupError("unsure may come")
        return not eid.startswith("bad")

    def greet(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        point = {"etype": "device", "eid": eid, "attr": "greeting", "src": SRC, "v": f"{self.word} {eid}"}
        return [DataPointTask(etype="device", eid=eid, data_points=[point])]

    def judge(self, eid: str, dp: DataPointObservationsBase) -> Any:
        if dp.v == 666:
            raise ValueError(f"{eid} is too hot: {dp.v}")
        if dp.v == -666:
            return ["no task"]
        alerts = ["hot"] * (dp.v > 50) + ["cold"] * (dp.v < 0) + [f"far{i}" for i in range(6)] * (dp.v == 777)
        return [self._alert(eid, alert, dp) for alert in alerts]

    def _alert(self, eid: str, alert: str, dp: DataPointObservationsBase) -> DataPointTask:
        times = {"t1": dp.t1, "t2": dp.t2 + timedelta(minutes=1), "c": 0.5}
        point = {"etype": "device", "eid": eid, "attr": "alert", "src": SRC, "v": alert, **times}
        return DataPointTask(etype="device", eid=eid, data_points=[point])

    def follow(self, eid: str, dp: DataPointObservationsBase) -> list[DataPointTask] | None:
        if dp.v == "leave":
            return [DataPointTask(etype="device", eid=eid, delete=True)]
        if dp.v != "echo":
            return None
        after = {"t1": dp.t1 + timedelta(seconds=1), "t2": dp.t2 + timedelta(seconds=1)}
        point = {"etype": "device", "eid": eid, "attr": "mode", "src": SRC, "v": "echo", **after}
        return [DataPointTask(etype="device", eid=eid, data_points=[point])]

    def keep(self, eid: Any, dp: DataPointObservationsBase) -> list[DataPointTask] | None:
        if dp.v < 100:
            return None
        return [DataPointTask(etype="ip", eid=eid, ttl_tokens={"watch": dp.t2 + timedelta(hours=dp.v)})]
