"""What survives power loss, and when."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dp3.store.ports.errors import StoreFull
from dp3.store.ports.state import State

BACKENDS = ["sqlite"]


def test_made_durable_means_that_the_write_ahead_log_is_on_the_disk(
    open_state: Callable[..., State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_state()
    store.names.etype_id("device")
    synced: list[str] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.batches.make_durable()
    assert synced == [str(tmp_path / "state.db-wal"), str(tmp_path)]


def test_a_disk_that_refuses_to_sync_is_reported(store: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreFull, match="Input/output error"):
        store.batches.make_durable()
