"""What a worker remembers of work that ended it."""

from pathlib import Path

import pytest

from dp3.engine.ingest.attempts import Attempts
from dp3.files import DamagedFile
from dp3.log.port import Lane
from dp3.runtime.worker import _attempts
from dp3.store.ports.errors import LeaseLost

CONTROL = 2


def fail(path: Path, lane: int, after: int, last: int, error: type[Exception] = ValueError) -> None:
    """A worker that begins a piece of work and is ended by an exception in it."""
    with pytest.raises(error), _attempts(path) as attempts:
        assert attempts.begin(lane, after, last)
        raise error


def test_an_exception_that_ends_the_worker_counts_as_its_death(tmp_path: Path) -> None:
    path = tmp_path / "attempt"
    for _ in range(2):
        fail(path, Lane.MAIN, 5, 9)
    with _attempts(path) as attempts:
        assert attempts.single(Lane.MAIN, 5)


@pytest.mark.parametrize("error", [LeaseLost, DamagedFile])
def test_a_lost_lease_or_a_damaged_file_is_not_the_fault_of_the_work(
    tmp_path: Path, error: type[Exception]
) -> None:
    path = tmp_path / "attempt"
    for _ in range(4):
        fail(path, Lane.MAIN, 5, 9, error)
    with _attempts(path) as attempts:
        assert not attempts.single(Lane.MAIN, 5)


def test_a_message_that_ends_the_worker_again_and_again_may_not_begin_any_more(tmp_path: Path) -> None:
    path = tmp_path / "attempt"
    for _ in range(4):
        fail(path, CONTROL, 6, 7)
    attempts = Attempts(path)
    assert not attempts.begin(CONTROL, 6, 7)
    assert attempts.begin(CONTROL, 7, 8)
    assert attempts.begin(Lane.MAIN, 6, 7)
    attempts.close()


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"\xff": 1}', b"\0" * 9])
def test_a_note_that_is_damaged_accuses_nobody(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "attempt"
    path.write_bytes(damaged)
    with _attempts(path) as attempts:
        assert not attempts.single(Lane.MAIN, 5)
