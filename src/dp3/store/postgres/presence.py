"""Whether an application has a state on a server, asked without making one."""

from dp3.postgres.connecting import check_schema, connected


def has_state(url: str, schema: str) -> bool:
    """Whether the tables of an application are in a schema, which need not exist. Raises `ServerUnusable`."""
    check_schema(schema)
    with connected(url) as connection:
        found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.number",))
        return found.fetchone() == (True,)
