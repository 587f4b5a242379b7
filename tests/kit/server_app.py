"""Runs the real program on a PostgreSQL server."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kit.program import MODEL, App, Process
from kit.servers import Server

SCHEMA = "app"


class ServerApp(App):
    """An application on a server, at an address for its processes. `server` is the one that is asked for what
    is stored; another one after a fail-over."""

    def __init__(self, root: Path, stack: ExitStack, server: Server) -> None:
        super().__init__(root, stack)
        self.server = server

    def write_for(
        self,
        url: str,
        modules: Mapping[str, str] | None = None,
        core: Mapping[str, Any] | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a configuration that keeps everything at an address."""
        database = {"url": url, "schema_name": SCHEMA}
        self.write(modules, core, MODEL, {"database.yml": database, **(files or {})})

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the server directly."""
        return self.server.sql(sql, schema=SCHEMA)

    def reached(self) -> int:
        """The sum of all positions."""
        ((found,),) = self.query('SELECT sum("offset") FROM position')
        return int(found)


class Parts:
    """The API and some workers without a supervisor, so that they are started again at once."""

    def __init__(self, app: App, workers: int = 2) -> None:
        self._starts = [lambda: app.api(workers)]
        self._starts += [lambda index=index: app.worker(index, workers) for index in range(workers)]
        self.processes: list[Process] = [start() for start in self._starts]

    def __len__(self) -> int:
        return len(self.processes)

    def kill(self, number: int) -> None:
        """Kill a process, and start it again."""
        self.processes[number].kill()
        self.processes[number] = self._starts[number]()

    def start_ended(self) -> None:
        """Start those again that have ended, as a supervisor would."""
        for number, process in enumerate(self.processes):
            if not process.running:
                process.wait()
                self.processes[number] = self._starts[number]()

    def stop(self) -> None:
        """Stop all in order."""
        for process in self.processes:
            process.send_signal(15)
        assert [process.wait() for process in self.processes] == [0] * len(self.processes)
