"""The registrar of hooks."""

from dp3.hooks.registrar import CallbackRegistrar

__all__ = ["CallbackRegistrar"]
