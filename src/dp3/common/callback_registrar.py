"""Where modules register their hooks."""

from dp3.hooks.registrar import CallbackRegistrar

__all__ = ["CallbackRegistrar"]
