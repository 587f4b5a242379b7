"""The least that packing must do on the same machine, in one process.

Read the same fresh rows, put the same packed rows in their order, remove the fresh ones, in transactions of
a thousand; nothing else: nothing is looked up, sorted, united or encoded, there are no checkpoints.
"""

import time
from pathlib import Path

from dp3.bench.state import state_file
from dp3.common.utils import batched
from dp3.sqlite import connect, load_statements, transaction
from dp3.store.sqlite.opening import CACHE_MIB

ROWS = 1_000
"""Of fresh ones, as slices of packing have them, too."""


def keep_state(data: Path) -> Path:
    """Copy the state of a program that is stopped."""
    before = data / "before-packing.db"
    source, copy = connect(state_file(data), readonly=True), connect(before)
    try:
        with copy.backup("main", source, "main") as backup:
            backup.step()
    finally:
        copy.close()
        source.close()
    return before


def measure(before: Path, data: Path) -> float:
    """Fresh rows a second. `before` is the state that was to be packed, in `data` it has been."""
    sql = load_statements("dp3.bench", "packing_floor.sql")
    after = connect(state_file(data), synchronous="NORMAL", readonly=True)
    try:
        packed = after.execute(sql["packed"]).fetchall()
    finally:
        after.close()
    connection = connect(before, synchronous="NORMAL", cache_mib=CACHE_MIB)
    try:
        started = time.perf_counter()
        fresh = [row[:3] for row in connection.execute(sql["fresh"])]
        share = max(len(packed) * ROWS // len(fresh), 1)
        for rows in batched(packed, share):
            with transaction(connection):
                connection.executemany(sql["put"], rows)
        for some in batched(fresh, ROWS):
            with transaction(connection):
                connection.executemany(sql["remove"], some)
        for keys in batched(sorted((key,) for _, _, key in fresh), ROWS):
            with transaction(connection):
                connection.executemany(sql["remove_incoming"], keys)
        return len(fresh) / (time.perf_counter() - started)
    finally:
        connection.close()
        before.unlink()
