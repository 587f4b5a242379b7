"""Flags that modules share with the platform."""

from dp3.hooks.flags import SharedFlag

__all__ = ["SharedFlag"]
