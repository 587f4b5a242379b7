"""Replaying archived data-points into the running program."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import App

POINTS = [
    {"attr": "o", "src": "x", "v": v, "c": 0.5, "t1": f"2020-01-01T00:00:{v:02}.000001Z",
     "t2": f"2020-01-01T00:00:{v:02}.000001Z", "type": "a", "id": "e1"}
    for v in range(20)
]  # fmt: skip
PLAIN = {"attr": "p", "src": None, "v": "text", "c": None, "t1": None, "t2": None, "type": "a", "id": "e1"}


def archive(path: Path, points: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(point) + "\n" for point in points).encode()))
    return path


def replay(app: App, *files: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "dp3", "archive", "replay", "--url", app.url, *map(str, files)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_replayed_archive_is_there_once_however_often_it_is_replayed(app: App, tmp_path: Path) -> None:
    app.write({})
    program = app.run_ready()
    file = archive(tmp_path / "old.jsonl.gz", [*POINTS, PLAIN])
    for _ in range(2):
        done = replay(app, file)
        assert (done.returncode, done.stdout) == (0, f"{file}: 21 data-points\n")
    app.wait_idle()
    master = app.client.get("/entity/a/e1/master")
    assert [(one["v"], one["c"]) for one in master["o"]] == [(v, 0.5) for v in range(20)]
    assert master["o"][3]["t1"] == "2020-01-01T00:00:03.000001Z"
    assert master["p"]["v"] == "text"
    app.stop(program)


def test_a_bad_line_is_named_and_nothing_of_its_batch_is_stored(app: App, tmp_path: Path) -> None:
    app.write({})
    program = app.run_ready()
    refused = replay(app, archive(tmp_path / "bad.jsonl.gz", [*POINTS, {**PLAIN, "attr": "nonsense"}]))
    assert refused.returncode == 1
    assert f"{tmp_path / 'bad.jsonl.gz'}:1-21: not accepted" in refused.stderr
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(archive(tmp_path / "good.jsonl.gz", POINTS).read_bytes()[:-9])
    assert "expected one data-point as JSON in each line" in replay(app, damaged).stderr
    assert app.client.get("/entity/a/e1/master") == {}
    app.stop(program)
