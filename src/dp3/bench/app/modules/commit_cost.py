"""Notes what commits of a worker cost: seconds that the thread computed, and the number of batches, in a file
beside the configuration."""

import os
import struct
import time
from pathlib import Path
from typing import Any

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.store.ports.batches import Batch
from dp3.store.ports.leases import Lease
from dp3.store.sql.batches import Batches


class CommitCost(BaseModule):
    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        super().__init__(platform_config, module_config, registrar)
        note = Path(platform_config.config_base_path).parent / f"commits-{os.getpid()}"
        self._descriptor = os.open(note, os.O_WRONLY | os.O_CREAT, 0o600)
        self._computed_s = 0.0
        self._count = 0
        self._commit = Batches.commit
        Batches.commit = self._measured()  # type: ignore[method-assign]

    def _measured(self) -> Any:
        def commit(batches: Batches, lease: Lease, batch: Batch) -> None:
            before = time.thread_time()
            try:
                self._commit(batches, lease, batch)
            finally:
                self._computed_s += time.thread_time() - before
                self._count += batch.progress is not None
                os.pwrite(self._descriptor, struct.pack("=dq", self._computed_s, self._count), 0)

        return commit
