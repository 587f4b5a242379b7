"""A scheduler for a module's own use; for most purposes `registrar.scheduler_register` is simpler."""

from dp3.hooks.scheduler import Scheduler

__all__ = ["Scheduler"]
