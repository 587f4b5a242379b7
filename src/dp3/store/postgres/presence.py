"""Whether an application has a state on a server, asked without making one."""

import psycopg

from dp3.postgres.connecting import WAIT_S, check_schema, named_server


def has_state(url: str, schema: str) -> bool:
    """Whether the tables of an application are in a schema, which need not exist. Raises `ServerUnusable`."""
    check_schema(schema)
    with named_server(url), psycopg.connect(url, connect_timeout=round(WAIT_S)) as connection:
        found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.number",))
        return found.fetchone() == (True,)
