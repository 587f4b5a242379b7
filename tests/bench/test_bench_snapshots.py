"""The benchmark of snapshot runs, in small."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from dp3.bench.devices import Observed
from dp3.bench.driver import fill, run_snapshots
from dp3.bench.report import BenchFailed
from dp3.bench.server import running
from dp3.bench.snapshots import check_peers, history, snapshots


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "dp3", "bench", "snapshots", *arguments]
    wide = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=wide)


def _silent(_):
    pass


def test_runs_after_few_changes_are_weighed_against_a_full_one():
    figures = history(1_000, 2, _silent)

    assert (figures["entities"], figures["runs"]) == (1_000, 2)
    assert 0 < figures["ratio"] < 1


def test_linked_devices_are_looked_at_again_over_packed_history_and_by_two_workers():
    told = snapshots(["linked"], 400, 0, 0, _silent)

    linked = told["linked"]
    assert (linked["entities"], linked["datapoints"]) == (400, 20_300)
    assert 400 * 5 < linked["packed_rows"] < 20_300 / 2
    for runs in ("first", "repeated", "two_workers"):
        assert linked[f"{runs}_entities_per_s"] == pytest.approx(400 / linked[f"{runs}_run_s"], rel=0.02)
        assert 0 < linked[f"{runs}_cpu_us"] < 1e5
    both = linked["two_workers_cpu_us"] / linked["repeated_cpu_us"]
    assert linked["two_workers_cpu_ratio"] == pytest.approx(both, abs=0.01)
    assert linked["rss_mb"] > 10 < linked["two_workers_rss_mb"]
    assert told["linked_entities_per_s"] == linked["first_entities_per_s"]
    assert told.keys() == {"linked_entities_per_s", "rss_mb", "linked"}


def test_hooks_that_did_nothing_make_the_benchmark_void():
    devices = Observed(datetime.now(UTC), observations=1, attrs=("load",))
    with running() as server:
        fill(server, devices, 100, _silent)
        run_snapshots(server)
        with pytest.raises(BenchFailed, match="the load of their peer: 0, expected 75"):
            check_peers(server, devices, 100)
        server.stop()


def test_a_part_that_there_is_not_is_refused_with_the_nearest_one():
    done = run("--only", "linkd")

    assert done.returncode == 2
    assert "there is no part 'linkd' of linked,changed,history; did you mean linked?" in " ".join(
        done.stderr.split()
    )
