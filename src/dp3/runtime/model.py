"""The model of running processes: compared at their start, and not changed while any of them runs."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from dp3.config.loading import Configuration
from dp3.engine.schema.tracking import ModelRefused, track_model
from dp3.runtime.places import needed_at_start, open_lock
from dp3.runtime.resources import DataDir, schema_name, server_at_start, server_of
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
def model_kept(config: Configuration, data: DataDir, on_lost: Callable[[], None]) -> Iterator[None]:
    """The model is not changed while the block runs. Held by processes that accept data-points. Raises
    `ModelRefused` while it is being changed. On a server `on_lost` is called when this process was cut off,
    or stood still, for so long that the model is being changed."""
    with _used(config, data, on_lost, alone=False) as is_kept:
        if not is_kept:
            raise ModelRefused(
                "the model is being changed by `dp3 schema-update`; start again when that is done"
            )
        yield


@contextmanager
def model_owned(config: Configuration, data: DataDir) -> Iterator[None]:
    """Nobody accepts data-points while the block runs. Raises `ModelInUse`."""
    with _used(config, data, lambda: None, alone=True) as is_owned:
        if not is_owned:
            where = schema_name(config) if config.database.server else data.root
            raise ModelInUse(f"an API process works with {where}; stop it first")
        yield


@contextmanager
def _used(
    config: Configuration, data: DataDir, on_lost: Callable[[], None], *, alone: bool
) -> Iterator[bool]:
    if config.database.server is None:
        with _locked(data, fcntl.LOCK_EX if alone else fcntl.LOCK_SH) as locked:
            yield locked
        return
    from dp3.postgres import using

    with ExitStack() as stack:
        with server_at_start():
            is_used = stack.enter_context(using(*server_of(config), on_lost, alone=alone))
        yield is_used


@contextmanager
def _locked(data: DataDir, kind: int) -> Iterator[bool]:
    with open_lock(data.run / "model.lock") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
