"""How far the write-ahead logs grow while a reader holds one state open for five seconds."""

import time
from collections.abc import Callable
from typing import Any

from dp3.bench.load import send
from dp3.bench.server import running, wal_bytes
from dp3.bench.workload import Workload
from dp3.sqlite import connect, transaction

READ_S = 5.0
POLL_S = 0.02


def reading(total: int, clients: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Load the program; during the load, read for 5 s in one transaction. Sizes in MiB, times in ms."""
    bodies = list(Workload(total=total).bodies())
    say("sending them while somebody reads")
    with running() as server:
        loader = server.in_background(lambda: send(server.url, bodies, clients))
        connection = connect(server.data / "state" / "state.db", synchronous="NORMAL", readonly=True)
        peak = 0
        try:
            with transaction(connection, "DEFERRED"):
                connection.pragma("schema_version")
                end = time.monotonic() + READ_S
                while time.monotonic() < end:
                    peak = max(peak, wal_bytes(server.data))
                    time.sleep(POLL_S)
        finally:
            connection.close()
        load = loader.result()
        server.wait_drained()
        server.stop()
    return {"wal_peak_mb": round(peak / 2**20, 1), "append_p95_ms": round(load.percentile_ms(0.95), 1)}
