"""The disk refuses to store while data comes in: requests are refused, nothing acknowledged is lost."""

import resource
from pathlib import Path

from attack_kit import Program, attribute, etype, running, write_application

TYPES = {"a": etype("a", "string", {"o": attribute("observations", "int")})}
POINTS = 1_000
REQUESTS = 80


def limit_files(program: Program, size: int) -> None:
    """No file of the program may grow beyond `size` bytes, as if the disk were full."""
    for child in program.children().values():
        child.rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def send(program: Program, number: int) -> int:
    points = [{"type": "a", "id": f"e{number}", "attr": "o", "v": 1, "t1": 2 * i} for i in range(POINTS)]
    return program.send(points)[0]


def stored(program: Program, number: int) -> bool:
    return len(program.get(f"/entity/a/e{number}/master").get("o", ())) == POINTS


def test_a_full_disk_refuses_requests_and_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    with running(tmp_path, write_application(tmp_path, TYPES)) as program:
        assert send(program, 0) == 200
        limit_files(program, 1 << 20)
        answers = {number: send(program, number) for number in range(1, REQUESTS)}
        assert set(answers.values()) == {200, 503}
        limit_files(program, resource.RLIM_INFINITY)
        assert send(program, REQUESTS) == 200
        program.drain()
        for number, status in answers.items():
            assert stored(program, number) == (status == 200)
        assert program.get("/deadletters")["total"] == 0
        assert "the disk refused" in program.said()
        assert program.stop() == 0
