"""Counters of hooks."""

from dp3.hooks.table import HookTelemetry, TrackedHook

__all__ = ["HookTelemetry", "TrackedHook"]
