"""The type of hook for each type of attribute."""

from dp3.hooks.kinds import ATTR_TYPE_TO_ON_NEW_HOOK

__all__ = ["ATTR_TYPE_TO_ON_NEW_HOOK"]
