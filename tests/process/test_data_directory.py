"""The data directory and other places that the program needs: who may read them, and starts without them."""

import ctypes
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.runtime.audit import AuditLog
from dp3.runtime.resources import DataDir
from kit.program import App, application

NOBODY = 65_534
IS_ROOT = os.geteuid() == 0
DROP_FROM_BOUNDS, MAY_WRITE_ANYTHING, MAY_READ_ANYTHING, MAY_CHANGE_ANY_MODE = 24, 1, 2, 3
COMMANDS = ("run", "api", "worker", pytest.param("schema-update", marks=pytest.mark.files))


def without_powers() -> None:
    """The program that is started next may do what the modes of files allow, also if root starts it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for power in (MAY_WRITE_ANYTHING, MAY_READ_ANYTHING, MAY_CHANGE_ANY_MODE) if IS_ROOT else ():
        if libc.prctl(DROP_FROM_BOUNDS, power, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def as_it_is() -> None:
    """The program that is started next may do what this one may."""


def full_disk() -> None:
    """The program that is started next can not write to any file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def refused(app: App, command: str, status: int = 2, start: Callable[[], None] = without_powers) -> str:
    """The line that a command ends with."""
    config, data = str(app.config), str(app.data)
    words = {
        "run": [config, "--port", "0"],
        "api": ["--config", config, "--port", "0"],
        "worker": ["x", config, "0"],
        "schema-update": [config],
    }
    done = subprocess.run(
        [sys.executable, "-m", "dp3", command, *words[command], "--data-dir", data],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=start,
        cwd=app.root,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()
    return line


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with application(tmp_path) as app:
        app.write()
        yield app


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application that was started and stopped with the widest umask; its data was open to others before
    the second start."""
    with application(tmp_path_factory.mktemp("made")) as app:
        app.write(files={"api.yml": {"datapoint_logger": {"good_log": str(app.root / "good.log")}}})
        before = os.umask(0)
        try:
            app.stop(app.run_ready())
            (app.data / "state" / "state.db").chmod(0o644)
            (app.data / "state").chmod(0o755)
            app.program = app.run_ready()
        finally:
            os.umask(before)
        assert app.http.send([{"type": "a", "id": "e1", "attr": "p", "v": "x"}], wait=True)[0] == 200
        yield app


def open_to_others(directory: Path) -> dict[str, str]:
    paths = [directory, *directory.rglob("*")]
    return {path.name: oct(mode) for path in paths if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077}


@pytest.mark.files
def test_only_the_programs_user_can_open_what_is_in_the_data_directory(made: App) -> None:
    names = {path.name for path in made.data.rglob("*")}
    assert {
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.lock",
        "supervisor.lock",
        "model.lock",
    } <= names
    assert any(name.endswith(".seg-wal") for name in names)
    assert open_to_others(made.data) == {}


@pytest.mark.files
def test_logs_of_data_points_have_the_mode_of_the_umask(made: App) -> None:
    assert stat.S_IMODE((made.root / "good.log").stat().st_mode) == 0o666


@pytest.mark.files
def test_what_was_open_to_others_is_closed_with_a_line(made: App) -> None:
    told = [line for line in made.output.read_text().splitlines() if "other users could open" in line]
    assert len(told) == 1
    assert f"{made.data}: other users could open 2 of its files" in told[0]


def test_neither_what_links_lead_to_nor_a_directory_of_others_is_changed(tmp_path: Path) -> None:
    outside, shared = tmp_path / "outside", tmp_path / "shared"
    outside.write_text("")
    (shared / "log").mkdir(parents=True)
    (shared / "log" / "link").symlink_to(outside)
    (shared / "something else").write_text("")
    for path in (outside, shared):
        path.chmod(0o755)
    DataDir(shared).prepare()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (outside, shared)] == [0o755, 0o755]
    assert stat.S_IMODE((shared / "log").stat().st_mode) == 0o700
    (shared / "audit.log").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        AuditLog(shared / "audit.log", FakeClock())


def test_an_audit_log_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "audit.log"
    file.write_text("")
    file.chmod(0o666)
    DataDir(tmp_path / "data").prepare()
    assert [oct(path.stat().st_mode)[-3:] for path in (file, file.parent)] == ["600", "700"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_data_directory_that_can_not_be_written_is_named(app: App, command: str) -> None:
    (app.data / "state").mkdir(parents=True)
    (app.data / "state" / "state.db").touch()
    app.data.chmod(0o500)
    line = refused(app, command)
    app.data.chmod(0o700)
    assert line.startswith(f"the data directory {app.data} can not be used: ")


@pytest.mark.files
def test_a_copy_that_can_only_be_read_can_be_verified(app: App) -> None:
    app.stop(app.run_ready())
    shutil.rmtree(app.data / "run")
    for path in (app.data / "log").rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    done = subprocess.run(
        [sys.executable, "-m", "dp3", "check", str(app.config), "--data-dir", str(app.data)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_powers,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files to others")
def test_a_data_directory_of_another_user_is_named_with_both(app: App) -> None:
    for path in (app.data, app.data / "log", app.data / "run", app.data / "state"):
        path.mkdir()
        os.chown(path, NOBODY, NOBODY)
    line = refused(app, "worker")
    assert line == (
        f"the data directory {app.data} can not be used: "
        f"user 0 can not write {app.data}, which belongs to user {NOBODY}"
    )


@pytest.mark.files
def test_a_file_in_it_that_can_not_be_written_is_named(app: App) -> None:
    app.stop(app.run_ready())
    database = app.data / "state" / "state.db"
    database.chmod(0o400)
    assert f"can not write {database}" in refused(app, "worker")


def test_a_data_directory_that_can_not_be_made_is_named(app: App) -> None:
    app.data = app.root / "file" / "data"
    app.data.parent.touch()
    assert (
        refused(app, "api")
        == f"the data directory {app.data} can not be used: {app.data.parent}: File exists"
    )


@pytest.mark.files
def test_a_full_disk_at_the_start_ends_it_with_a_line_and_it_may_be_started_again(app: App) -> None:
    for command in ("run", "api", "worker"):
        assert str(app.data) in refused(app, command, 1, full_disk)
    app.stop(app.run_ready())
    assert str(app.data) in refused(app, "worker", 1, full_disk)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_a_missing_directory_for_the_archive_is_named_with_its_setting(app: App, command: str) -> None:
    app.write(files={"history_manager.yml": {"datapoint_archivation": {"archive_dir": "old"}}})
    line = refused(app, command)
    setting = f"{app.config}/history_manager.yml:1: datapoint_archivation.archive_dir"
    assert line.startswith(f"{setting}: {app.root}/old can not be written: No such file or directory; ")
    (app.root / "old").mkdir(0o500)
    assert "old can not be written: Permission denied" in refused(app, command)


def test_a_log_of_data_points_that_can_not_be_written_is_named(app: App) -> None:
    folder = app.root / "folder"
    folder.mkdir()
    app.write(files={"api.yml": {"datapoint_logger": {"bad_log": str(folder)}}})
    assert refused(app, "api", start=as_it_is) == f"{folder}: Is a directory"
