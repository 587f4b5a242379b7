"""Flags that modules share with the platform."""

from dp3.hooks.registration import SharedFlag

__all__ = ["SharedFlag"]
