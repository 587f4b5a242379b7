"""Derives the service behind a port: its registered name, and whether others can reach it."""

import socket
from ipaddress import ip_address
from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.datapoint import DataPointObservationsBase
from dp3.common.task import DataPointTask

SRC = "secondary/services"


class Services(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        self.model_spec = platform_config.model_spec
        registrar.register_on_entity_creation_hook(
            self.describe, "service", refresh=self.refresh, may_change=[["name"], ["privileged"]]
        )
        registrar.register_on_new_attr_hook(self.judge_address, "service", "addresses")

    def describe(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        protocol, _, port = eid.partition("/")
        values = {"name": registered_name(protocol, int(port)), "privileged": int(port) < 1024}
        points = [
            {"etype": "service", "eid": eid, "attr": attr, "src": SRC, "v": value}
            for attr, value in values.items()
        ]
        return [DataPointTask(model_spec=self.model_spec, etype="service", eid=eid, data_points=points)]

    def judge_address(self, eid: str, dp: DataPointObservationsBase) -> list[DataPointTask]:
        exposure = "this_machine" if ip_address(dp.v).is_loopback else "network"
        held = {"t1": dp.t1, "t2": dp.t2}
        point = {"etype": "service", "eid": eid, "attr": "exposure", "src": SRC, "v": exposure, **held}
        return [DataPointTask(model_spec=self.model_spec, etype="service", eid=eid, data_points=[point])]


def registered_name(protocol: str, port: int) -> str:
    try:
        return socket.getservbyport(port, protocol)
    except OSError:
        return "unassigned"
