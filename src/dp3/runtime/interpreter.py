"""The interpreter of processes that handle very many small objects in several threads."""

import gc
import sys

GC_THRESHOLD = 50_000
"""Rows and values die by themselves. Looking for cycles at every 700 of them, the default, took an eighth of
the time of a snapshot run, and makes decoding a large value several times as long."""


def load_quickly() -> None:
    """Called before the program is loaded. Nearly all that is made meanwhile stays, so it is in vain to look
    for cycles in it; with the default that took a sixth of the time."""
    gc.set_threshold(GC_THRESHOLD)


def keep_loaded() -> None:
    """Called when modules of the program have been loaded. The collector never looks at what is there by now
    again, not even when the process ends, which takes half the time; it looks at all that is made later."""
    gc.freeze()


def tune(switch_interval_s: float) -> None:
    """Called first in a process that serves. A thread that comes back from where it needed no interpreter
    waits `switch_interval_s` for one that computes."""
    keep_loaded()
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(switch_interval_s)
