"""The correlation hook of `dp3 bench snapshots`: the risk of a device is the load of its peer."""

from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig


class PeerLoad(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        registrar.register_correlation_hook(self.copy_load, "device", [["peer", "load"]], [["risk"]])

    def copy_load(self, etype: str, values: dict[str, Any]) -> None:
        peer = values.get("peer")
        if peer is not None:
            values["risk"] = float(peer["record"].get("load", 0))
