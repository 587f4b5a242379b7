"""The kinds of hooks, what each is called with, and where it belongs."""

from types import MappingProxyType
from typing import Literal, get_args

from dp3.model.attrspec import AttrType

HookKind = Literal[
    "task",
    "allow_entity_creation",
    "on_entity_creation",
    "on_new_attr",
    "timeseries",
    "correlation",
    "correlation_with_master_record",
    "snapshot_init",
    "snapshot_finalize",
    "periodic_update",
    "periodic_eid_update",
    "scheduler",
]
HOOK_KINDS: tuple[HookKind, ...] = get_args(HookKind)

PARAMETERS = MappingProxyType[HookKind, tuple[str, ...]](
    {
        "task": ("task",),
        "allow_entity_creation": ("eid", "task"),
        "on_entity_creation": ("eid", "task"),
        "on_new_attr": ("eid", "dp"),
        "timeseries": ("entity_type", "attr_type", "attr_history"),
        "correlation": ("entity_type", "values"),
        "correlation_with_master_record": ("entity_type", "values", "master_record"),
        "snapshot_init": (),
        "snapshot_finalize": (),
        "periodic_update": ("entity_type", "eid", "master_record"),
        "periodic_eid_update": ("entity_type", "eid"),
    }
)
"""Names of the positional arguments that a hook of a kind is called with (scheduler callbacks: their own)."""

WITHOUT_RESULT: frozenset[HookKind] = frozenset({"task", "allow_entity_creation", "scheduler"})
"""Kinds that do not return tasks, so a generator function would never run."""

ATTR_TYPE_TO_ON_NEW_HOOK = MappingProxyType[AttrType, str](
    {
        AttrType.PLAIN: "on_new_plain",
        AttrType.OBSERVATIONS: "on_new_observation",
        AttrType.TIMESERIES: "on_new_ts_chunk",
    }
)
"""The hook type (also the family in counters) of on-new-attribute hooks, by type of attribute."""

TASK_HOOK_TYPES = ("on_task_start",)
ENTITY_HOOK_TYPES: tuple[HookKind, ...] = ("allow_entity_creation", "on_entity_creation")
