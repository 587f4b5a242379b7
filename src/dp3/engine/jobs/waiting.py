"""Until snapshots say it as jobs do."""

from typing import TypeAlias

from dp3.engine.jobs.job import Waiting, finished

__all__ = ["Wait", "finished"]

Wait: TypeAlias = Waiting[None]
