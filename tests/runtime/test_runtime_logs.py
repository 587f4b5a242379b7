"""The log of a process: lines of text or of JSON, and stacks when asked for."""

import json
import logging
import os
import signal
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dp3.printable import further_lines, printable
from dp3.runtime.logs import JsonFormatter, TextFormatter

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


HOSTILE = "x\nERROR y\r\x1b[2J\x7f\x9b\u202e\u2028\ud800 z\t\\"


def as_text(message: str, *arguments: Any, **more: Any) -> list[str]:
    """The lines of an event of the text log."""
    values = {"name": "a.b", "level": logging.ERROR, "fn": "f", "lno": 1, "exc_info": None, **more}
    record = logging.getLogger("a.b").makeRecord(msg=message, args=arguments, **values)
    return TextFormatter("p [%(levelname)s] %(message)s").format(record).split("\n")


def test_what_comes_from_outside_makes_no_other_event_and_nothing_a_terminal_acts_on() -> None:
    escaped = r"x\nERROR y\r\u001b[2J\u007f\u009b\u202e\u2028\ud800 z" + "\t\\"
    assert as_text("got %s", HOSTILE) == [f"p [ERROR] got {escaped}"]
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        first, *below = as_text("failed", exc_info=sys.exc_info())
    assert first == "p [ERROR] failed"
    assert all(line.startswith("  ") and printable(line) == line for line in below)
    assert below[-2:] == ["  ValueError: x", "  " + escaped.removeprefix(r"x\n")]


def test_the_stack_of_an_event_keeps_its_lines() -> None:
    stack = further_lines("File a\n  b\x1b\n")
    assert as_text("slow:", extra=stack) == ["p [ERROR] slow:", "  File a", r"    b\u001b"]
    assert formatted("slow:", extra=stack)["message"] == "slow:\nFile a\n  b\x1b\n"


@given(st.recursive(st.text() | st.floats(allow_nan=False) | st.none(), st.lists) | st.just(HOSTILE))
def test_escaped_json_is_the_same_json_and_text_is_one_line(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(printable(text)) == value
    assert len(printable(text).splitlines()) == 1
    assert printable(printable(text)) == printable(text)


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
