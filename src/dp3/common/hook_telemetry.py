"""Counters of hooks."""

from dp3.hooks.telemetry import HookTelemetry, TrackedHook

__all__ = ["HookTelemetry", "TrackedHook"]
