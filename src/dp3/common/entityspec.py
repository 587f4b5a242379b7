"""Specification of entity types."""

from dp3.model.entityspec import EntitySpec, ImmortalLifetime, TimeToLiveLifetime, WeakLifetime

__all__ = ["EntitySpec", "ImmortalLifetime", "TimeToLiveLifetime", "WeakLifetime"]
