"""PostgreSQL servers that die, come back, and have a standby."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg

from dp3.bench.peers.postgres import SETTINGS, UNPRIVILEGED, give_to, initialise, programs_in, wait_ready
from dp3.bench.report import BenchFailed
from kit.program import wait_for

DATABASE = "postgres"


class Server:
    """A server that runs in a directory of its own; fsync is off, because only processes die here."""

    def __init__(self, directory: Path, programs: Path, user: str | None) -> None:
        self.directory = directory
        self._programs = programs
        self._user = user
        self._process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return url_of(self)

    @property
    def output(self) -> str:
        return (self.directory.parent / f"{self.directory.name}.log").read_text(errors="replace")

    def start(self, **settings: str) -> None:
        """Start it; after it was killed as soon as nothing of it is left."""
        given = [f"--{name}={value}" for name, value in {**SETTINGS, "fsync": "off", **settings}.items()]
        place = ["-D", str(self.directory), "-k", str(self.directory)]
        log = self.directory.parent / f"{self.directory.name}.log"

        def started() -> bool:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [str(self._programs / "postgres"), *place, *given],
                    stdout=output,
                    stderr=output,
                    user=self._user,
                    cwd=self.directory,
                )
            try:
                wait_ready(self._process, self._programs, self.directory, log)
            except BenchFailed:
                if self._process.poll() is None:
                    raise
                return False
            return True

        wait_for("a server", started)

    def kill(self) -> None:
        """End the postmaster as a crash would; the others follow it."""
        left = psutil.Process(self._process.pid).children()
        self._process.kill()
        self._process.wait()
        psutil.wait_procs(left, timeout=5)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill_backend(self, application: str) -> bool:
        """Kill a backend of an application, if there is one: the server ends all others, and recovers."""
        with suppress(psycopg.OperationalError):
            found = self.sql(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s ORDER BY random() LIMIT 1",
                f"{application}%",
            )
            for (pid,) in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
        return False

    def sql(self, statement: str, *values: Any, schema: str = "public") -> list[tuple[Any, ...]]:
        """Run one statement, beside all others."""
        options = f"-c search_path={schema}"
        with psycopg.connect(self.url, options=options, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def make_standby(self, directory: Path) -> "Server":
        """A copy that follows this server, not started."""
        command = [
            str(self._programs / "pg_basebackup"),
            "-D",
            str(directory),
            "-d",
            self.url,
            "-R",
            "-c",
            "fast",
        ]
        directory.mkdir(mode=0o700)
        if self._user is not None:
            give_to(directory.parent, directory, self._user)
        subprocess.run(command, check=True, user=self._user, cwd=directory, capture_output=True)
        for socket in directory.glob(".s.PGSQL*"):  # of this server
            socket.unlink()
        return Server(directory, self._programs, self._user)

    def promote(self) -> None:
        self.sql("SELECT pg_promote()")

    def close(self) -> None:
        """End it in order, if it runs."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()


def url_of(*servers: Server, **parameters: str) -> str:
    """The address of the first of some servers that answers, and is as the parameters say."""
    hosts = ",".join(str(server.directory) for server in servers)
    more = "".join(f"&{name}={value}" for name, value in parameters.items())
    return f"postgresql://postgres@/{DATABASE}?host={hosts}{more}"


@contextmanager
def a_killable_server(**settings: str) -> Iterator[Server]:
    """A server that runs. Folders of pytest are closed to the user that runs it where this one is root."""
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        directory.chmod(0o755)
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        programs, data = programs_in(directory, user), directory / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            give_to(directory, data, user)
        initialise(programs, data, user)
        server = Server(data, programs, user)
        server.start(**settings)
        try:
            yield server
        finally:
            server.close()
            shutil.rmtree(directory / "programs", ignore_errors=True)
