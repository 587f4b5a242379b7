"""The log of a process: lines of text or of JSON, and stacks when asked for."""

import json
import logging
import os
import signal
import subprocess
import sys
from typing import Any

from dp3.runtime.logs import JsonFormatter

BUSY = """\
import ctypes
from dp3.runtime.logs import LogFormat, set_up_logging
from dp3.runtime.logs import log_stacks_on_signal

def holds_the_interpreter():
    print("holding", flush=True)
    ctypes.PyDLL(None).usleep(700_000)  # a library that does not let go of the interpreter's lock

set_up_logging(False, "busy", LogFormat.JSON)
log_stacks_on_signal()
holds_the_interpreter()
input()
"""


def formatted(message: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    values = {"name": "a.b", "level": logging.ERROR, "fn": "f", "lno": 1, "exc_info": None, **more}
    record = logging.getLogger("a.b").makeRecord(msg=message, args=arguments, **values)
    line = JsonFormatter("worker-3").format(record)
    assert "\n" not in line
    event: dict[str, Any] = json.loads(line)
    return event


def test_an_event_is_one_object_in_one_line() -> None:
    event = formatted("two\nlines: %s", "é")
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "ERROR",
        "process": "worker-3",
        "thread": "MainThread",
        "logger": "a.b",
        "message": "two\nlines: é",
    }


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise ValueError("spoilt")
    except ValueError:
        event = formatted("failed", exc_info=sys.exc_info())
    assert event["exception"].startswith("Traceback")
    assert event["exception"].endswith("ValueError: spoilt")


def test_text_that_is_not_utf_8_does_not_stop_the_log() -> None:
    assert formatted("file \udcff")["message"] == "file \\udcff"


def test_stacks_are_those_of_the_signal_even_if_the_interpreter_was_held() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], text=True, **pipes) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "holding\n"
        os.kill(process.pid, signal.SIGUSR1)
        event = json.loads(process.stderr.readline())
        process.communicate("\n")
    assert process.returncode == 0
    assert "in holds_the_interpreter" in event["message"]
    assert "Thread MainThread" in event["message"]
    assert "Thread stacks" in event["message"]


def test_an_exception_that_ends_the_process_is_logged() -> None:
    program = "from dp3.runtime.logs import *; set_up_logging(False, 'p', LogFormat.JSON); 1 / 0"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    event = json.loads(ended.stderr)
    assert (ended.returncode, event["level"]) == (1, "CRITICAL")
    assert event["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_thread_that_ends_itself_is_no_event() -> None:
    program = (
        "import threading; from dp3.runtime.logs import *; set_up_logging(False, 'p');"
        "threading.Thread(target=sys.exit).start()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
