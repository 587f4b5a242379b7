"""The interpreter of processes that handle very many small objects in several threads."""

import gc
import sys

GC_THRESHOLD = 50_000
"""Rows and values die by themselves. Looking for cycles at every 700 of them, the default, took an eighth of
the time of a snapshot run, and makes decoding a large value several times as long."""


def tune(switch_interval_s: float) -> None:
    """Called first in a process. A thread that comes back from where it needed no interpreter waits
    `switch_interval_s` for one that computes."""
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(switch_interval_s)
