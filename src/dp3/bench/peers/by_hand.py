"""The program by hand: takes data-points, keeps current values and history in PostgreSQL.

FastAPI, pydantic and psycopg as their manuals recommend them, nothing of the platform: a pool of connections,
one transaction for each request, `executemany` (which psycopg sends in pipeline mode), and rows in the order
of their keys, so that requests at the same time do not lock each other out. `DATABASE_URL` says where the
database is.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import AwareDatetime, BaseModel, Field

TABLES = """
CREATE TABLE IF NOT EXISTS current_value (
    etype text NOT NULL,
    eid text NOT NULL,
    attr text NOT NULL,
    t2 timestamptz,
    v jsonb NOT NULL,
    c real NOT NULL,
    src text NOT NULL,
    PRIMARY KEY (etype, eid, attr)
);
CREATE TABLE IF NOT EXISTS history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    etype text NOT NULL,
    eid text NOT NULL,
    attr text NOT NULL,
    t1 timestamptz NOT NULL,
    t2 timestamptz NOT NULL,
    v jsonb NOT NULL,
    c real NOT NULL,
    src text NOT NULL
);
CREATE INDEX IF NOT EXISTS history_of_attr ON history (etype, eid, attr, t1);
"""

UPSERT = """
INSERT INTO current_value (etype, eid, attr, t2, v, c, src) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (etype, eid, attr)
DO UPDATE SET t2 = excluded.t2, v = excluded.v, c = excluded.c, src = excluded.src
WHERE current_value.t2 IS NULL OR excluded.t2 >= current_value.t2
"""
"""A plain value replaces the one before, an observation one that is not newer."""

INSERT = """
INSERT INTO history (etype, eid, attr, t1, t2, v, c, src) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""

TIMESERIES = {"traffic"}
"""Attributes without a current value."""

CONNECTIONS = 8


class DataPoint(BaseModel):
    """One value of one attribute of one entity."""

    type: str
    id: str
    attr: str
    v: Any
    t1: AwareDatetime | None = None
    t2: AwareDatetime | None = None
    c: float = Field(default=1.0, ge=0, le=1)
    src: str = ""

    def current(self) -> tuple[str, str, str, datetime | None, Jsonb, float, str]:
        """The row of the current value."""
        return self.type, self.id, self.attr, self.t2 or self.t1, Jsonb(self.v), self.c, self.src

    def past(self) -> tuple[str, str, str, datetime | None, datetime | None, Jsonb, float, str]:
        """The row of the history."""
        return self.type, self.id, self.attr, self.t1, self.t2 or self.t1, Jsonb(self.v), self.c, self.src


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the connections, make the tables."""
    url = os.environ["DATABASE_URL"]
    async with AsyncConnectionPool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False) as pool:
        async with pool.connection() as connection:
            await connection.execute(TABLES)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def alive() -> dict[str, str]:
    """The program is ready."""
    return {"detail": "It works!"}


@app.post("/datapoints")
async def datapoints(points: list[DataPoint], request: Request) -> dict[str, str]:
    """Store data-points: all of a request, or none."""
    ordered = sorted(points, key=lambda point: (point.type, point.id, point.attr))
    current = [point.current() for point in ordered if point.attr not in TIMESERIES]
    past = [point.past() for point in ordered if point.t1 is not None]
    async with request.app.state.pool.connection() as connection, connection.cursor() as cursor:
        if current:
            await cursor.executemany(UPSERT, current)
        if past:
            await cursor.executemany(INSERT, past)
    return {"detail": "OK"}
