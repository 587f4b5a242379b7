"""The disk refuses to store while data comes in: requests are refused, nothing acknowledged is lost."""

import random
import resource
from pathlib import Path

from kit.program import App, running
from kit.specs import a_type, observed_attr

TYPES = {"a": a_type("a", {"o": observed_attr("string")})}
POINTS = 1_000
REQUESTS = 120
"""Some 16 KB each in the log: values that compress badly."""


def limit_files(app: App, size: int) -> None:
    """No file of the program may grow beyond `size` bytes, as if the disk were full."""
    for kind in ("api", "worker"):
        app.child(app.program, kind).rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def send(app: App, number: int) -> int:
    chance = random.Random(number)
    points = [
        {"type": "a", "id": f"e{number}", "attr": "o", "v": f"{chance.getrandbits(128):032x}", "t1": 2 * i}
        for i in range(POINTS)
    ]
    return app.http.send(points)[0]


def stored(app: App, number: int) -> bool:
    return len(app.http.get(f"/entity/a/e{number}/master").get("o", ())) == POINTS


def test_a_full_disk_refuses_requests_and_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    with running(tmp_path, TYPES) as app:
        assert send(app, 0) == 200
        limit_files(app, 1 << 20)
        answers = {number: send(app, number) for number in range(1, REQUESTS)}
        assert set(answers.values()) == {200, 503}
        limit_files(app, resource.RLIM_INFINITY)
        assert send(app, REQUESTS) == 200
        app.wait_applied()
        for number, status in answers.items():
            assert stored(app, number) == (status == 200)
        assert app.http.get("/deadletters")["total"] == 0
        assert "the disk refused" in app.program.output
        assert app.program.stop() == 0
