"""The model of running processes: compared at their start, and not changed while any of them runs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from dp3.config.loading import Configuration
from dp3.engine.schema.tracking import ModelRefused, track_model
from dp3.runtime.places import needed_at_start, open_lock
from dp3.runtime.resources import DataDir
from dp3.store.ports.state import State


class ModelInUse(Exception):
    """Processes that must not run at the same time want the model of the application."""


def note_model(state: State, config: Configuration, data: DataDir) -> None:
    """Note the configured model in the state; raises `ModelRefused` if data would lose its meaning."""
    with needed_at_start():
        track_model(state, config.model, update_command(config, data))


def update_command(config: Configuration, data: DataDir) -> str:
    """The command that confirms a changed model."""
    return f"dp3 schema-update {config.path} --data-dir {data.root}"


@contextmanager
def model_kept(data: DataDir) -> Iterator[None]:
    """The model is not changed while the block runs. Held by processes that accept data-points. Raises
    `ModelRefused` while it is being changed."""
    with _locked(data, fcntl.LOCK_SH) as locked:
        if not locked:
            raise ModelRefused(
                "the model is being changed by `dp3 schema-update`; start again when that is done"
            )
        yield


@contextmanager
def model_owned(data: DataDir) -> Iterator[None]:
    """Nobody accepts data-points while the block runs. Raises `ModelInUse`."""
    with _locked(data, fcntl.LOCK_EX) as locked:
        if not locked:
            raise ModelInUse(f"an API process works with {data.root}; stop it first")
        yield


@contextmanager
def _locked(data: DataDir, kind: int) -> Iterator[bool]:
    with open_lock(data.run / "model.lock") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
