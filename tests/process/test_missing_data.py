"""Data of the real program of which something is missing or damaged: it says so, and how to go on."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from kit.flips import flip, place_of
from kit.program import LIMIT_S, App, Process, wait_for
from kit.specs import a_type, plain_attr

pytestmark = pytest.mark.files

MODEL = {"a": a_type("a", {"p": plain_attr("string")})}
SMALL_SEGMENTS = {"log": {"segment_size": "1KiB"}}
ENTITIES = 40


def text_of(number: int) -> str:
    return f"value-{number:05d}-" + "v" * 50


@pytest.fixture
def stopped(app: App) -> Iterator[App]:
    """An application with data in several segments; nothing runs."""
    app.write(core=SMALL_SEGMENTS, model=MODEL)
    program = app.run_ready()
    for number in range(ENTITIES):
        app.client.send([{"type": "a", "id": f"e{number}", "attr": "p", "v": text_of(number)}])
    app.wait_idle()
    app.stop(program)
    yield app


def check(app: App, *more: str) -> tuple[int, str]:
    """Status and output of `dp3 check`."""
    command = [sys.executable, "-m", "dp3", "check", str(app.config), "--data-dir", str(app.data), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def checked(app: App) -> tuple[int, str]:
    """Status and output of `dp3 check` that only looks."""
    before = contents(app.data)
    found = check(app)
    assert contents(app.data) == before
    return found


def contents(directory: Path) -> dict[Path, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {path: path.read_bytes() for path in files if path.parent.name != "run"}


def segments(app: App) -> list[Path]:
    return sorted((app.data / "log" / "main").glob("*.seg"))


def refused(program: Process) -> str:
    assert program.wait(LIMIT_S) == 2
    assert "Traceback" not in program.output
    return program.output


def value(app: App, number: int) -> Any:
    return app.client.get(f"/entity/a/e{number}/get/p")["current_value"]


def test_whole_data_is_checked_in_silence(stopped: App) -> None:
    assert checked(stopped) == (0, "")


def test_data_in_use_is_not_checked(stopped: App) -> None:
    program = stopped.run_ready()
    for more in ([], ["--renew-checksums"]):
        status, output = check(stopped, *more)
        assert (status, "stop it, then check" in output) == (1, True)
    stopped.stop(program)


def test_a_segment_that_is_missing_is_named_and_can_be_given_up(stopped: App) -> None:
    gone, following = segments(stopped)[2:4]
    missing = f"entries {int(gone.stem)} to {int(following.stem) - 1} are missing"
    gone.unlink()
    status, output = checked(stopped)
    assert (status, missing in output) == (1, True)
    output = refused(stopped.run())
    assert missing in output
    assert "--accept-loss" in output
    program = stopped.run_ready("--accept-loss")
    assert value(stopped, ENTITIES - 1) == text_of(ENTITIES - 1)
    stopped.stop(program)
    program = stopped.run_ready()
    stopped.client.send([{"type": "a", "id": "new", "attr": "p", "v": "new"}])
    stopped.wait_idle()
    stopped.stop(program)
    assert checked(stopped)[0] == 1, "the loss is still told"


def test_a_state_that_was_removed_is_made_anew_from_a_log_that_has_everything(stopped: App) -> None:
    for path in (stopped.data / "state").iterdir():
        path.unlink()
    program = stopped.run_ready()
    stopped.wait_idle()
    assert [value(stopped, number) for number in range(ENTITIES)] == [text_of(n) for n in range(ENTITIES)]
    stopped.stop(program)


def test_a_state_that_was_removed_beside_a_log_without_its_beginning_is_refused(stopped: App) -> None:
    first, second = segments(stopped)[:2]
    first.unlink()
    program = stopped.run_ready("--accept-loss")
    stopped.stop(program)
    for path in (stopped.data / "state").iterdir():
        path.unlink()
    output = refused(stopped.run())
    assert f"begins at entry {int(second.stem)}, but of those before none was applied" in output
    program = stopped.run_ready("--accept-loss")
    stopped.wait_idle()
    (letter,) = stopped.dead_letters()
    assert (letter["kind"], "missing" in letter["reason"]) == ("entry", True)
    assert value(stopped, ENTITIES - 1) == text_of(ENTITIES - 1)
    stopped.stop(program)


def test_a_log_that_was_removed_beside_its_state_is_refused_and_new_data_is_not_taken_for_old(
    stopped: App,
) -> None:
    for path in (stopped.data / "log" / "main").iterdir():
        path.unlink()
    assert f"but the state has applied entry {ENTITIES}" in refused(stopped.run())
    program = stopped.run_ready("--accept-loss")
    stopped.client.send([{"type": "a", "id": "e0", "attr": "p", "v": "new"}])
    stopped.wait_idle()
    assert value(stopped, 0) == "new"
    assert value(stopped, 1) == text_of(1)
    stopped.stop(program)


def test_damaged_bytes_are_found_by_a_check(stopped: App) -> None:
    segment = segments(stopped)[1]
    number = int(segment.stem)
    flip(segment, place_of(segment, text_of(number).encode()[:11]))
    status, output = checked(stopped)
    assert (status, "its bytes are not those that were written" in output) == (1, True)
    state = stopped.data / "state" / "state.db"
    flip(state, place_of(state, text_of(5).encode()[:11]))
    status, output = checked(stopped)
    assert (status, "state.db: page" in output) == (1, True)


def test_a_loss_is_accepted_by_an_api_and_workers_that_are_started_by_themselves(stopped: App) -> None:
    segments(stopped)[2].unlink()
    assert "--accept-loss" in refused(stopped.api(1))
    assert "--accept-loss" in refused(stopped.start("worker", "app", str(stopped.config), "0", *of(stopped)))
    port = ("--port", str(stopped.port))
    parts = [
        stopped.start("api", "--config", str(stopped.config), "--accept-loss", *port, *of(stopped)),
        stopped.start("worker", "app", str(stopped.config), "0", "--accept-loss", *of(stopped)),
    ]
    wait_for("readiness", stopped.is_ready)
    assert value(stopped, ENTITIES - 1) == text_of(ENTITIES - 1)
    assert [part.stop() for part in parts] == [0, 0]


def of(app: App) -> tuple[str, str]:
    return ("--data-dir", str(app.data))


def test_a_state_that_another_program_wrote_to_gets_new_checksums_when_it_is_asked_for(stopped: App) -> None:
    path = stopped.data / "state" / "state.db"
    other = apsw.Connection(str(path), vfs="unix")
    other.execute("UPDATE number SET value = value WHERE name = 'partitions'; VACUUM")
    other.close()
    assert checked(stopped)[0] == 1
    status, output = check(stopped, "--renew-checksums")
    assert (status, "pages whose checksum was renewed: " in output) == (0, True)
    assert checked(stopped) == (0, "")


def test_checksums_are_renewed_of_data_that_is_named(stopped: App) -> None:
    command = [sys.executable, "-m", "dp3", "check", str(stopped.config), "--renew-checksums"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "needs --data-dir" in done.stderr) == (2, True)
