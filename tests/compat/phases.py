"""The data directory that is kept here, and what happens to it before it is asked."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import story
from opening import Application, Workers

HERE = Path(__file__).parent
ARCHIVE = HERE / "data-0.1.tar.xz"
CONFIG = HERE / "app" / "config"

OPENED = "2025-03-05T12:40:00Z"

PHASES = ("before", "after", "soon", "later")
"""As it was left; after the workers have processed everything that waits; after some hours; after a day."""

SOON = ("05T13:00", "05T13:10", "05T15:05")
LATER = (
    *("05T18:00", "05T18:01", "05T18:05", "05T18:10", "05T21:05", "06T00:00", "06T00:01", "06T00:05"),
    *("06T00:10", "06T00:20", "06T02:00", "06T03:05", "06T04:00", "06T06:00", "06T06:01"),
)
"""When something is due, one thing at a time: periodic hooks, packing, collections, runs, cleaning."""


def unpack(directory: Path) -> None:
    """Write the files of the data directory, which becomes `directory`."""
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            path, content = directory / member.name, archive.extractfile(member)
            assert content is not None, member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def unpacked(directory: Path) -> Application:
    """The application with the data directory of the archive, unpacked into `directory`."""
    unpack(directory)
    return Application(CONFIG, directory, OPENED)


def live(app: Application) -> Iterator[str]:
    """Bring an application, opened at `OPENED`, to one phase after the other."""
    before, after, soon, later = PHASES
    yield before
    with app.workers() as workers:
        workers.finish_what_is_under_way()
        workers.settle()
        yield after
        _use(app, workers)
        _pass(app, workers, SOON)
        yield soon
        _ask(app, "DELETE", "/entity/device/d9")
        _ask(app, "DELETE", "/entity/site/2")
        _pass(app, workers, LATER)
        yield later


def _use(app: Application, workers: Workers) -> None:
    """Data, also late data, retries, a run. What could see the results of something else comes after it."""
    app.go_to("2025-03-05T12:50:00Z")
    _ask(app, "POST", "/deadletters/retry?kind=hook")
    _ask(app, "POST", "/deadletters/drop?kind=result")
    workers.settle()
    _ask(app, "POST", "/datapoints", story.observed("2025-03-05T12:45:00Z", 10))
    _ask(app, "POST", "/datapoints", story.observed("2025-03-04T06:04:00Z", 5))
    _ask(app, "POST", "/datapoints", story.seen("2025-03-05T12:45:00Z", "192.0.2.1", "192.0.2.77"))
    _ask(app, "POST", "/datapoints", story.leading_to("2025-03-05T12:45:00Z", "d9", "new one"))
    workers.settle()
    _ask(app, "POST", "/control/make_snapshots")
    workers.settle()


def _pass(app: Application, workers: Workers, times: Iterable[str]) -> None:
    for time in times:
        app.go_to(f"2025-03-{time}:00Z")
        workers.settle()


def _ask(app: Application, method: str, url: str, body: Any = None) -> None:
    answer = app.request(method, url, body)
    assert answer.status_code in (200, 202), answer.text
