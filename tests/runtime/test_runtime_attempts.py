"""What a worker remembers of work that ended it."""

from pathlib import Path

import pytest

from dp3.files import DamagedFile
from dp3.log.port import Lane
from dp3.runtime.worker import _attempts
from dp3.store.ports.errors import LeaseLost


def fail(path: Path, lane: int, first: int, last: int, error: type[Exception] = ValueError) -> None:
    """A worker that begins a piece of work and is ended by an exception in it."""
    with pytest.raises(error), _attempts(path) as attempts:
        assert attempts.begin(lane, first, last)
        raise error


def test_an_exception_that_ends_the_worker_counts_as_its_death(tmp_path: Path) -> None:
    path = tmp_path / "attempt"
    for _ in range(2):
        fail(path, Lane.MAIN, 6, 9)
    with _attempts(path) as attempts:
        assert attempts.suspect == (Lane.MAIN, 9)


@pytest.mark.parametrize("error", [LeaseLost, DamagedFile])
def test_a_lost_lease_or_a_damaged_file_is_not_the_fault_of_the_work(
    tmp_path: Path, error: type[Exception]
) -> None:
    path = tmp_path / "attempt"
    for _ in range(4):
        fail(path, Lane.MAIN, 6, 9, error)
    with _attempts(path) as attempts:
        assert attempts.suspect is None
