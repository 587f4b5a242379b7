"""The application that the program under test runs: the bundled one, with what a benchmark needs of it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any

import yaml

Settings = Mapping[str, Any]

EVERY_SECOND = {"second": "*"}
"""A schedule."""

LONG = "30d"
"""Validity of observations where what is seen must not change by itself."""

SOON_S = 6
"""A program is ready and watched so long after its start is asked for, on a machine that has nothing else to
do."""

PERIODS_S = (12, 20, 30, 60)


def soon(now: datetime, after_s: float = 0) -> Settings:
    """A schedule with a moment `after_s` from now, `SOON_S` at least, the first one, and then again and
    again."""
    wait_s = min(max(SOON_S, ceil(after_s)), PERIODS_S[-1] - 2)
    period_s = next(period for period in PERIODS_S if period > wait_s + 1)
    first = (now.second + wait_s + 1) % period_s
    return {"second": ",".join(str(first + more) for more in range(0, 60, period_s))}


@dataclass(frozen=True, slots=True)
class Application:
    """`modules`: those that are enabled. `validity`: how long observations hold before and after their
    interval, instead of what the model says; a duration such as `30d`. `settings`: of configuration files
    (`garbage_collector`), in place of the bundled ones; what is bundled lets nothing begin by itself."""

    modules: Sequence[str] = ()
    validity: str | None = None
    settings: Mapping[str, Settings] = field(default_factory=dict)

    def with_packing(self, schedule: Settings) -> "Application":
        """The same one, whose history is packed by a schedule."""
        packing = {"history_manager": {"aggregation_schedule": schedule}}
        return self.with_settings(packing)

    def with_settings(self, settings: Mapping[str, Settings]) -> "Application":
        """The same one with other configuration files, in place of those of the same names."""
        return replace(self, settings={**self.settings, **settings})

    def install(self, directory: Path) -> Path:
        """Write the application below a directory, in place of one that was written there before; returns its
        configuration folder."""
        config = directory / "config"
        if config.exists():
            shutil.rmtree(config)
        shutil.copytree(str(files("dp3.bench") / "app"), directory, dirs_exist_ok=True)
        core = {"modules_dir": "../modules", "enabled_modules": list(self.modules)}
        bundled = _bundled(config) | {"processing_core": core}
        for name in bundled.keys() | self.settings.keys():
            _write(config / f"{name}.yml", {**bundled.get(name, {}), **self.settings.get(name, {})})
        if self.validity is not None:
            path = config / "db_entities" / "device.yml"
            _write(path, _with_validity(yaml.safe_load(path.read_text()), self.validity))
        return config


def _bundled(config: Path) -> dict[str, Settings]:
    return {path.stem: yaml.safe_load(path.read_text()) for path in config.glob("*.yml")}


def _with_validity(entity: dict[str, Any], validity: str) -> dict[str, Any]:
    for attr in entity["attribs"].values():
        if attr["type"] == "observations":
            both = {"pre_validity": validity, "post_validity": validity}
            attr["history_params"] = attr["history_params"] | both
    return entity


def _write(path: Path, content: Settings) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
