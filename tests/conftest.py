"""What holds for all tests."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kit.limits import Enter

# Programs are started hundreds of times: they find everything compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A disk makes every commit wait; what is under test survives the end of processes, which memory does too.
IN_MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 4 << 30
CAN_HOLD_ALL = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free >= ENOUGH_BYTES
if CAN_HOLD_ALL and "TMPDIR" not in os.environ:
    tempfile.tempdir = os.environ["TMPDIR"] = str(IN_MEMORY)

# The same examples each time, so that a change is judged by what it changes; `make explore` tries others.
# Machines that are busy are slow.
settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture
def enter() -> Iterator[Enter]:
    """Keeps a limit or a fault of the kit until the end of the test."""
    with ExitStack() as stack:
        yield stack.enter_context
