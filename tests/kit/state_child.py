"""A worker process for the tests: `python -m kit.state_child MODE DIRECTORY`."""

import sys
from pathlib import Path

from dp3.clock import SystemClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.rows import created, plain_row, progress, take_lease

COMMITS = 300


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def hold(store: State) -> None:
    """Take worker 0 of 1, say which epoch, and live until told to end."""
    say(take_lease(store).epoch)
    sys.stdin.read()


def write(store: State) -> None:
    """Commit batches that each write the same number to two attributes and into the positions."""
    lease = take_lease(store)
    created(store, lease)
    say("ready")
    for n in range(1, COMMITS + 1):
        rows = [plain_row(store, 1, attr, n, written=n) for attr in ("a", "b")]
        store.batches.commit(lease, Batch(progress=progress(store, lease, n), plain=rows))


if __name__ == "__main__":
    state = open_state(Path(sys.argv[2]), SystemClock(), partitions=4)
    {"hold": hold, "write": write}[sys.argv[1]](state)
    state.close()
