"""The application that the program under test runs: the bundled one, with what a benchmark needs of it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Application:
    """`modules`: those that are enabled. `validity`: how long observations hold before and after their
    interval, instead of what the model says; a duration such as `30d`."""

    modules: Sequence[str] = ()
    validity: str | None = None

    def install(self, directory: Path) -> Path:
        """Write the application below an empty directory; returns its configuration folder."""
        shutil.copytree(str(files("dp3.bench") / "app"), directory, dirs_exist_ok=True)
        config = directory / "config"
        core = {"modules_dir": "../modules", "enabled_modules": list(self.modules)}
        _write(config / "processing_core.yml", core)
        if self.validity is not None:
            path = config / "db_entities" / "device.yml"
            _write(path, _with_validity(yaml.safe_load(path.read_text()), self.validity))
        return config


def _with_validity(entity: dict[str, Any], validity: str) -> dict[str, Any]:
    for attr in entity["attribs"].values():
        if attr["type"] == "observations":
            both = {"pre_validity": validity, "post_validity": validity}
            attr["history_params"] = attr["history_params"] | both
    return entity


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
