"""What a worker process refuses to be."""

import subprocess
from pathlib import Path

from dp3.runtime.supervisor import python_command

ENTITY = "entity: {id: device, name: Device, snapshot: false}\nattribs: {}\n"


def test_more_workers_than_partitions_are_refused_with_the_largest_possible_number(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "db_entities"
    folder.mkdir(parents=True)
    (folder / "device.yml").write_text(ENTITY)
    place = [str(folder.parent), "64", "--workers", "65", "--data-dir", str(tmp_path / "data")]
    result = subprocess.run(
        python_command("worker", "app", *place), capture_output=True, text=True, timeout=20
    )
    assert result.returncode == 2
    assert "set worker_processes to 64 or less" in result.stderr
