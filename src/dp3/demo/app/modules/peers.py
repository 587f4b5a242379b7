"""Derives the kind of a peer's address, and its role: client or server of this machine."""

from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.datapoint import DataPointObservationsBase
from dp3.common.task import DataPointTask

SRC = "secondary/peers"


class Peers(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        self.model_spec = platform_config.model_spec
        registrar.register_on_entity_creation_hook(self.describe, "ip")
        registrar.register_on_new_attr_hook(partial(self.give_role, "client"), "ip", "uses")
        registrar.register_on_new_attr_hook(partial(self.give_role, "server"), "ip", "offers")

    def describe(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        address = ip_address(eid)
        values = {"version": address.version, "scope": scope(address)}
        points = [
            {"etype": "ip", "eid": eid, "attr": attr, "src": SRC, "v": value}
            for attr, value in values.items()
        ]
        return [DataPointTask(model_spec=self.model_spec, etype="ip", eid=eid, data_points=points)]

    def give_role(self, role: str, eid: str, dp: DataPointObservationsBase) -> list[DataPointTask]:
        point = {"etype": "ip", "eid": eid, "attr": "role", "src": SRC, "v": role, "t1": dp.t1, "t2": dp.t2}
        return [DataPointTask(model_spec=self.model_spec, etype="ip", eid=eid, data_points=[point])]


def scope(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link_local"
    if address.is_multicast:
        return "multicast"
    if address.is_private:
        return "private"
    return "public" if address.is_global else "other"
