"""Archived data-points: replayed into the running program, and as Parquet."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from kit.program import App, environment

POINTS = [
    {"attr": "o", "src": "x", "v": v, "c": 0.5, "t1": f"2020-01-01T00:00:{v:02}.000001Z",
     "t2": f"2020-01-01T00:00:{v:02}.000001Z", "type": "a", "id": "e1"}
    for v in range(20)
]  # fmt: skip
PLAIN = {"attr": "p", "src": None, "v": "text", "c": None, "t1": None, "t2": None, "type": "a", "id": "e1"}


def archive(path: Path, points: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(point) + "\n" for point in points).encode()))
    return path


def archive_command(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dp3", "archive", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(traced=True))


def replay(app: App, *files: Path) -> subprocess.CompletedProcess[str]:
    return archive_command("replay", "--url", app.url, *files)


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


def test_an_archive_as_parquet_holds_the_same_data_points(tmp_path: Path) -> None:
    nested = {**PLAIN, "v": {"eid": "x", "data": [1, 2.5]}, "id": 7}
    file = archive(tmp_path / "old.jsonl.gz", [*POINTS, PLAIN, nested])
    done = archive_command("parquet", file, "--into", tmp_path / "new")
    path = tmp_path / "new" / "old.parquet"
    assert (done.returncode, done.stdout) == (0, f"{path}: 22 data-points\n")
    table = parquet.read_table(path)
    assert table.schema.names == ["type", "id", "attr", "src", "v", "c", "t1", "t2"]
    rows = table.to_pylist()
    moment = datetime(2020, 1, 1, 0, 0, 3, 1, UTC)
    first = {"type": "a", "id": "e1", "attr": "o", "src": "x", "v": "3", "c": 0.5, "t1": moment, "t2": moment}
    assert rows[3] == first
    assert (rows[20]["v"], rows[20]["t1"], rows[20]["c"]) == ('"text"', None, None)
    assert (rows[21]["id"], json.loads(rows[21]["v"])) == ("7", nested["v"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"attr": "o", "id": "e", "v": 1}, "2: not a data-point: KeyError('type')"),
        ({**PLAIN, "t1": "yesterday"}, "2: not a data-point: ValueError"),
        ({**PLAIN, "attr": 5}, "not written as"),
    ],
)
def test_what_is_no_archive_becomes_no_parquet_file(tmp_path: Path, line: Any, message: str) -> None:
    file = archive(tmp_path / "bad.jsonl.gz", [PLAIN, line])
    done = archive_command("parquet", file)
    assert done.returncode == 1
    assert f"{file}:" in done.stderr
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == [file]
