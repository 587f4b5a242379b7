"""The base class of application modules."""

from dp3.hooks.base_module import BaseModule

__all__ = ["BaseModule"]
