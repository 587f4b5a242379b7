"""The real program opens the data directory that version 0.1 left (`tests/compat`) and finishes its work."""

import json
import lzma
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kit.program import App

pytestmark = pytest.mark.files

COMPAT = Path(__file__).parents[1] / "compat"
NEVER = {"year": 2100}

NOTHING_DUE = {
    "snapshots": {"creation_rate": NEVER, "keep_empty": False},
    "history_manager": {
        "aggregation_schedule": NEVER,
        "datapoint_cleaning_schedule": NEVER,
        "snapshot_cleaning": {"schedule": NEVER},
        "datapoint_archivation": {"schedule": NEVER},
    },
    "garbage_collector": {"collection_rate": NEVER},
    "updater": {"update_batch_cron": NEVER, "update_batch_period": "30m"},
}
"""What would be due today, years later, does not come into it."""

FROM_RUNS = {"trend"}
"""What hooks of the run under way derive: that run is given up, because it is too old."""

LEAVING = ("/entity/device/d6/", "/entity/device/d7/", "/entity/ip/")
"""What is deleted while hooks still derive something of it, before or after."""


@pytest.fixture
def left_over(app: App) -> App:
    """An application with that data directory."""
    shutil.copytree(COMPAT / "app" / "config", app.config)
    shutil.copytree(COMPAT / "app" / "modules", app.root / "modules")
    for name, settings in NOTHING_DUE.items():
        (app.config / f"{name}.yml").write_text(json.dumps(settings))
    with tarfile.open(COMPAT / "data-0.1.tar.xz") as archive:
        for member in archive:
            path, content = app.data / member.name, archive.extractfile(member)
            assert content is not None, member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    return app


def master_records() -> dict[str, Any]:
    """Paths of master records: their content after all work was done."""
    recorded = json.loads(lzma.decompress((COMPAT / "answers.json.xz").read_bytes()))
    return {
        entry["ask"][1]: lasting(entry.get("after", entry["before"])[1])
        for entry in recorded
        if entry["ask"][1].endswith("/master") and not entry["ask"][1].startswith(LEAVING)
    }


def lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A master record without the times at which something was stored."""
    return {
        attr: value["v"] if isinstance(value, dict) and "v" in value else value
        for attr, value in record.items()
        if attr not in FROM_RUNS and not attr.startswith("#")
    }


def test_the_program_opens_what_version_0_1_left_and_finishes_its_work(left_over: App) -> None:
    program = left_over.run_ready()
    left_over.wait_idle()
    records = master_records()
    assert len(records) > 30
    assert {path: lasting(left_over.client.get(path)) for path in records} == records
    left_over.stop(program)


def test_nothing_that_version_0_1_left_has_lost_its_meaning(left_over: App) -> None:
    place = ("--data-dir", str(left_over.data))
    program = left_over.start("schema-update", str(left_over.config), "--dry-run", *place)
    assert program.wait() == 0
    assert program.output.splitlines()[-1] == "Nothing is lost."
