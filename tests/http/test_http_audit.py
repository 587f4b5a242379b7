"""The audit log: one line for each change, whatever happens to its file."""

import fcntl
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.runtime.audit import AuditLog
from dp3.runtime.line_file import LineFiles
from kit.limits import Enter, constants

CHANGE = {"who": "ops", "address": "127.0.0.1", "what": "delete", "on": {"etype": "a", "eid": "e1"}}
PIPE_BYTES = 4096


def noted(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_change_is_one_object_in_one_line_for_the_programs_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    before = os.umask(0)
    try:
        audit = AuditLog(path, FakeClock(1_600_000_000_000_001))
    finally:
        os.umask(before)
    strange = {"etype": "a", "eid": "x\ny\x1b[2J\u202e\ud800 é"}
    audit.note(**CHANGE, result=200)
    audit.note(who="token", address="::1", what="ttl", on=strange, result=403)
    audit.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = noted(path)
    assert first == {"time": "2020-09-13T12:26:40.000001+00:00", **CHANGE, "result": 200}
    assert (second["on"], second["result"]) == (strange, 403)
    assert not set(path.read_text()) & set("\x1b\u202e")


def test_changes_go_to_a_new_file_when_the_log_was_rotated(tmp_path: Path) -> None:
    path, files = tmp_path / "audit.log", LineFiles()
    audit = AuditLog(path, FakeClock(), files)
    path.rename(tmp_path / "audit.log.1")
    files.reopen()
    audit.note(**CHANGE, result=200)
    audit.close()
    assert len(noted(path)) == 1


def test_a_change_that_can_not_be_written_is_in_the_log_of_the_process(
    tmp_path: Path, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    enter(constants("dp3.runtime.line_file", LOOK_EVERY_S=0.0))
    path = tmp_path / "folder" / "audit.log"
    path.parent.mkdir()
    audit = AuditLog(path, FakeClock())
    path.unlink()
    path.parent.rmdir()
    audit.note(**CHANGE, result=200)
    audit.close()
    audit.note(**{**CHANGE, "what": "late"}, result=200)
    first, second = caplog.messages
    assert "No such file or directory" in first
    assert '"what": "delete"' in first
    assert '"what": "late"' in second


def test_nobody_waits_for_a_file_that_takes_nothing(
    tmp_path: Path, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    enter(constants("dp3.runtime.audit", MAX_WAITING=10))
    path = tmp_path / "audit.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(reader, b"\n" * PIPE_BYTES)
    audit = AuditLog(path, FakeClock())
    for _ in range(15):
        audit.note(**CHANGE, result=200)
    lost = len(caplog.messages)
    assert lost in (4, 5)  # one may have been taken from the queue already
    read: list[bytes] = []
    closing = threading.Thread(target=audit.close)
    closing.start()
    while b"".join(read).count(b"}\n") < 15 - lost:
        read.append(os.read(reader, PIPE_BYTES))
    closing.join()
    os.close(reader)
    assert b"".join(read).strip().count(b"\n") == 15 - lost - 1
