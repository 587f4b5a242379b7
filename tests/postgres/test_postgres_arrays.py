from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from dp3.postgres import Pool, open_pool
from dp3.postgres.arrays import column
from kit.backends import server_url

TYPES = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "bytea": st.binary(max_size=50),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just("\0\x01\x01\x02"),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = open_pool(server_url(), "public")
    yield pool
    pool.close()


def stored(connection: Connection[Any], type_: str, values: Sequence[Any]) -> list[Any]:
    query = f"SELECT value FROM unnest(%s::{type_}[]) WITH ORDINALITY AS given (value, nth) ORDER BY nth"
    return [value for (value,) in connection.execute(query.encode(), (column(type_, values),))]


@pytest.mark.parametrize("type_", TYPES)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_arrive_as_they_are(pool: Pool, type_: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | TYPES[type_], max_size=40) | st.lists(TYPES[type_], max_size=40))
    with pool.connection() as connection:
        assert stored(connection, type_, values) == values


def test_a_number_that_is_no_bigint_is_refused() -> None:
    with pytest.raises(OverflowError):
        column("bigint", [1, 2**63])
