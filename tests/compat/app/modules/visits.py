"""Periodic hooks, with and without records."""

from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.task import DataPointTask

SRC = "secondary/visits"


class Visits(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        registrar.register_periodic_update_hook(self.visit, "visit", "device", "2h")
        registrar.register_periodic_eid_update_hook(self.count, "count", "ip", "1h")

    def visit(self, etype: str, eid: str, master: dict[str, Any]) -> list[DataPointTask]:
        if eid == "sick":
            raise PermissionError("no visitors")
        point = {"etype": etype, "eid": eid, "attr": "visited", "src": SRC, "v": len(master)}
        return [DataPointTask(etype=etype, eid=eid, data_points=[point])]

    def count(self, etype: str, eid: Any) -> list[DataPointTask]:
        point = {"etype": etype, "eid": eid, "attr": "visits", "src": SRC, "v": int(eid) & 0xFF}
        return [DataPointTask(etype=etype, eid=eid, data_points=[point])]
