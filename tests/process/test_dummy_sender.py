"""The script that is an example of a primary module sends recorded data-points to the real program."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.program import App, application
from kit.specs import a_type, each_point, plain_attr, series_attr

SCRIPT = Path(__file__).parents[2] / "scripts" / "dummy_sender.py"

SERIES = series_attr("irregular")
MODEL = {"a": a_type("a", {"o": each_point(), "p": plain_attr("string"), "s": SERIES})}
OLD = "2001-02-03T04:05:0"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with application(tmp_path_factory.mktemp("sender")) as app:
        app.write(model=MODEL)
        app.run_ready()
        yield app


def send(app: App, file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), str(file), *arguments, "--endpoint-url", app.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def recorded(eid: str, number: int) -> list[dict[str, Any]]:
    """Data-points as an archive has them."""
    return [
        {
            "type": "a",
            "id": eid,
            "attr": "o",
            "v": i,
            "c": 1.0,
            "t1": f"{OLD}{i}Z",
            "t2": f"{OLD}{i}Z",
            "src": None,
        }
        for i in range(number)
    ]


def write_json(file: Path, points: list[dict[str, Any]]) -> None:
    file.write_text(json.dumps(points, indent=1))


def write_lines(file: Path, points: list[dict[str, Any]]) -> None:
    text = "".join(f"{json.dumps(point)}\n\n" for point in points)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


@pytest.mark.parametrize(
    ("name", "write"), [("r.json", write_json), ("r.jsonl", write_lines), ("r.jsonl.gz", write_lines)]
)
@pytest.mark.parametrize("more", [(), ("-c", "2", "-w", "2")], ids=["one request", "several at a time"])
def test_everything_in_a_file_is_sent(running, tmp_path, name, write, more):
    eid = f"{name}{len(more)}"
    write(tmp_path / name, recorded(eid, 5))
    done = send(running, tmp_path / name, "all", *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("5 data-points in ")
    running.wait_idle()
    assert [value for _, value in running.history("a", eid, "o")] == [0, 1, 2, 3, 4]


def test_the_first_data_points_of_every_attribute_are_picked(running, tmp_path):
    points = [*recorded("picked", 4), *({"type": "a", "id": "picked", "attr": "p", "v": v} for v in "xyz")]
    write_lines(tmp_path / "r.jsonl", points)
    assert send(running, tmp_path / "r.jsonl", "cherry-pick", "-n", "2").returncode == 0
    running.wait_idle()
    assert [value for _, value in running.history("a", "picked", "o")] == [0, 1]
    assert running.client.get("/entity/a/picked/get/p")["current_value"] == "y"


def test_all_times_move_with_the_first_to_now(running, tmp_path):
    series = {"x": [1, 2], "time": [f"{OLD}1Z", f"{OLD}3"]}
    points = [{"type": "a", "id": "moved", "attr": "s", "v": series, "t1": 981173100, "t2": f"{OLD}5"}]
    write_json(tmp_path / "r.json", points)
    before = datetime.now(UTC)
    assert send(running, tmp_path / "r.json", "all", "--shift-time").returncode == 0
    running.wait_idle()
    history = running.client.get("/entity/a/moved/get/s")["history"]
    first, second = (datetime.fromisoformat(point["t1"]) for point in history)
    [raw] = running.client.get("/entity/a/raw/get", eid="moved")["data"]
    t1, t2 = (datetime.fromisoformat(raw[name]) for name in ("t1", "t2"))
    assert before <= t1 <= datetime.now(UTC)
    assert [first - t1, second - t1, t2 - t1] == [timedelta(seconds=seconds) for seconds in (1, 3, 5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('[{"type": "a", "id": "e", "attr": "none", "v": 1}]', "doesn't exist", id="refused"),
        pytest.param("[1]", "JSON object", id="no object"),
        pytest.param("[{", "Expecting", id="no JSON"),
    ],
)
def test_what_can_not_be_sent_is_told(running, tmp_path, text, said):
    (tmp_path / "r.json").write_text(text)
    done = send(running, tmp_path / "r.json", "all")
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr
