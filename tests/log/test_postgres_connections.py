"""A connection to the server that is lost at the worst moment: while a transaction ends."""

from collections.abc import Iterator
from contextlib import suppress

import msgspec
import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Appended, Lane, Log, LogUnavailable, LogUncertain, OutboxSlice, Producer
from dp3.log.postgres import open_log
from kit.backends import server_url
from kit.cutting import Cutter, a_cutter
from kit.limits import constants


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    with a_cutter() as found:
        yield found


@pytest.fixture
def log(cutter: Cutter, request: pytest.FixtureRequest) -> Iterator[Log]:
    found = open_log(cutter.url, f"cut_{abs(hash(request.node.name))}", FakeClock())
    yield found
    found.close()


def tasks(*items: str) -> bytes:
    return msgspec.msgpack.encode(list(items))


def an_append(text: str, key: str | None = None) -> Append:
    return Append([{0: tasks(text)}], None if key is None else (key, b"d"))


def test_an_append_that_the_server_has_committed_counts_though_the_answer_is_lost(
    cutter: Cutter, log: Log
) -> None:
    cutter.armed = "after"
    (added,) = log.append([an_append("a", key="k")])
    assert isinstance(added, Appended) and added.offset == 1
    assert log.append([an_append("a", key="k")]) == [added._replace(repeated=True)]
    assert log.head(Lane.MAIN).offset == 1


def test_an_append_of_which_the_server_never_heard_the_end_is_refused(cutter: Cutter, log: Log) -> None:
    cutter.armed = "before"
    with pytest.raises(LogUnavailable, match="nothing was added"):
        log.append([an_append("a", key="k")])
    assert log.head(Lane.MAIN).offset == 0
    (again,) = log.append([an_append("a", key="k")])
    assert isinstance(again, Appended) and not again.repeated


def test_an_append_that_is_cut_off_in_the_middle_adds_nothing(cutter: Cutter, log: Log) -> None:
    cutter.armed, cutter.at = "before", b"INSERT INTO log_main"
    with pytest.raises(LogUnavailable, match="nothing was added"):
        log.append([an_append("a" * 1_000_000, key="k")])
    assert not cutter.armed, "the statement came"
    assert log.head(Lane.MAIN).offset == 0
    (again,) = log.append([an_append("a", key="k")])
    assert isinstance(again, Appended) and not again.repeated


def test_a_drain_whose_answer_is_lost_adds_nothing_when_it_comes_again(cutter: Cutter, log: Log) -> None:
    parts = [OutboxSlice(Producer(3, 0), 1, {0: tasks("a")})]
    cutter.armed = "after"
    assert log.append_outbox(parts, 0) is not None
    assert log.append_outbox(parts, 0) is None
    assert log.head(Lane.DERIVED).offset == 1


def test_what_can_not_be_found_out_is_said(cutter: Cutter, log: Log) -> None:
    cutter.armed, cutter.refuses = "after", True
    with (
        constants("dp3.postgres.transactions", FOUND_OUT_S=0.5),
        pytest.raises(LogUncertain, match="stored or not"),
    ):
        log.append([an_append("a", key="k")])
    cutter.refuses = False
    assert log.append([an_append("a", key="k")])[0].repeated  # type: ignore[union-attr]


def test_a_server_that_ends_the_connection_is_reached_again(cutter: Cutter, log: Log) -> None:
    log.append([an_append("a")])
    with psycopg.connect(server_url(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'dp3 cut_%' AND pid <> pg_backend_pid()"
        )
    offsets = []
    for _ in range(3):
        with suppress(LogUnavailable):
            offsets += [one.offset for one in log.append([an_append("b")]) if isinstance(one, Appended)]
    assert offsets
    assert log.head(Lane.MAIN).offset == offsets[-1]
