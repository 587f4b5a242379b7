"""Tells when a process talks to a peer for the first time since this module was started."""

import threading
from datetime import datetime
from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.datapoint import DataPointObservationsBase
from dp3.common.task import DataPointTask

SRC = "secondary/newcomers"
MAX_PROCESSES = 10_000


class Newcomers(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        self.model_spec = platform_config.model_spec
        self.first_seen: dict[str, dict[str, tuple[datetime, int]]] = {}
        self.lock = threading.Lock()
        registrar.register_on_new_attr_hook(self.greet, "process", "peers")

    def greet(self, eid: str, dp: DataPointObservationsBase) -> list[DataPointTask]:
        # A hook may be called again for the same data-point: it must find it "new" again.
        known = self.peers_of(eid)
        peer, contact = dp.v.eid, (dp.t1, dp.v.data)
        if known.setdefault(peer, contact) != contact:
            return []
        event = {"attr": "new_peer", "v": {"eid": peer}, "t1": dp.t1, "t2": dp.t1}
        count = {"attr": "peer_count", "v": len(known)}
        points = [{"etype": "process", "eid": eid, "src": SRC, **point} for point in (event, count)]
        return [DataPointTask(model_spec=self.model_spec, etype="process", eid=eid, data_points=points)]

    def peers_of(self, eid: str) -> dict[str, tuple[datetime, int]]:
        with self.lock:
            if len(self.first_seen) >= MAX_PROCESSES and eid not in self.first_seen:
                del self.first_seen[next(iter(self.first_seen))]
            return self.first_seen.setdefault(eid, {})
