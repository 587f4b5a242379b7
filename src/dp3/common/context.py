"""The entities that an attribute specification built on its own refers to."""

from dp3.model.entityspec import entity_context, get_entity_context

__all__ = ["entity_context", "get_entity_context"]
