"""PgBouncer before a server of the tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from dp3.bench.peers.postgres import UNPRIVILEGED
from kit.program import wait_for
from kit.servers import DATABASE, Server

PORT = 6432

SETTINGS = """\
[databases]
{database} = host={server} user=postgres connect_query='SET search_path = {schema}'
[pgbouncer]
listen_port = {port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = options
"""


def pooler_program() -> str | None:
    """Its path, if it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def a_pooler(server: Server, schema: str) -> Iterator[str]:
    """The address of a pooler in transaction mode, with fewer connections than clients."""
    program = pooler_program()
    assert program is not None
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        directory.chmod(0o777)
        values = {"database": DATABASE, "server": server.directory, "schema": schema, "port": PORT}
        file = directory / "pgbouncer.ini"
        file.write_text(SETTINGS.format(directory=directory, **values))
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        with (directory / "output.txt").open("wb") as output:
            process = subprocess.Popen([program, str(file)], user=user, stdout=output, stderr=output)
        url = f"postgresql://postgres@/{DATABASE}?host={directory}&port={PORT}"
        try:
            wait_for("a pooler", lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
