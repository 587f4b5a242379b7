"""Threads and processes that modules start while they are loaded, and which keep a process from ending.

Modules start such things in `start()`. A process that only loads them, or that can not go on, never calls
`stop()`, so nobody would end them.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

Running = threading.Thread | BaseProcess


class LeftRunning:
    """The threads and processes that run since this was made, by the module that started it while it was
    loaded."""

    def __init__(self) -> None:
        self._before = set(_running())
        self._of_module: dict[str, list[Running]] = {}

    @contextmanager
    def loading(self, module: str) -> Iterator[None]:
        """Called around each step of loading a module."""
        before = set(_running())
        try:
            yield
        finally:
            started = [one for one in _running() if one not in before]
            self._of_module.setdefault(module, []).extend(started)

    def notes(self) -> Iterator[str]:
        """One line for each module whose threads or processes still run."""
        for module, started in self._of_module.items():
            if left := [_named(one) for one in started if one.is_alive()]:
                yield (
                    f"module '{module}' was loaded and left running: {', '.join(left)}; "
                    "start it in start(), and end it in stop()"
                )

    def keep_process(self) -> bool:
        """True if anything that runs since then would keep this process from ending."""
        return any(one not in self._before for one in _running())

    def end_process(self, status: int) -> None:
        """End this process at once if anything would keep it; else return."""
        if self.keep_process():
            for child in _child_processes():
                child.kill()
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _running() -> Iterator[Running]:
    """Threads that a process waits for when it ends, and child processes."""
    for thread in threading.enumerate():
        if not thread.daemon:
            yield thread
    yield from _child_processes()


def _child_processes() -> list[BaseProcess]:
    """Those of `multiprocessing`, which knows them only if somebody has imported it."""
    imported = sys.modules.get("multiprocessing")
    children: Callable[[], list[BaseProcess]] | None = getattr(imported, "active_children", None)
    return children() if children else []


def _named(one: Running) -> str:
    return f"{'thread' if isinstance(one, threading.Thread) else 'process'} {one.name}"
