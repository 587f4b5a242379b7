"""Where an application keeps its data."""

import os
from dataclasses import dataclass
from pathlib import Path

DATA_DIR_ENV = "DP3_DATA_DIR"


@dataclass(frozen=True, slots=True)
class DataDir:
    """The data directory: `log/` (raw data-points), `state/` (profiles), `run/` (of running processes)."""

    root: Path

    @classmethod
    def choose(cls, given: Path | None, config_dir: Path) -> "DataDir":
        """The given directory, else `DP3_DATA_DIR`, else `dp3-data` beside the configuration directory."""
        if given is not None:
            return cls(given.absolute())
        if from_environment := os.environ.get(DATA_DIR_ENV):
            return cls(Path(from_environment).absolute())
        return cls(config_dir.resolve().parent / "dp3-data")

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def run(self) -> Path:
        return self.root / "run"

    def attempt(self, worker: int) -> Path:
        """The note of what a worker is doing."""
        return self.run / f"worker-{worker}.attempt"

    def sign_of_life(self, worker: int) -> Path:
        """The file that a worker touches when it can not write its heartbeat."""
        return self.run / f"worker-{worker}.alive"
