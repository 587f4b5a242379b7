"""The periodic hook of `dp3 bench lifecycle`: it does nothing."""

from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.task import DataPointTask


class Visits(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        registrar.register_periodic_eid_update_hook(self.visit, "visit", "device", "1h")

    def visit(self, etype: str, eid: str) -> list[DataPointTask]:
        return []
