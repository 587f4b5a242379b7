"""The kinds of hooks: one table says everything that the platform knows of a kind.

A new kind is one row of `HOOK_SPECS`, a method of the registrar, and the call where its hooks run.
Registration, look-up, counters, the order in snapshot runs and the retry of dead letters read the table.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from dp3.model.attrspec import AttrType
from dp3.model.task import DataPointTask

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
"""The name of a kind, part of what is stored of hooks."""

HOOK_KINDS: tuple[HookKind, ...] = get_args(HookKind)

Stage: TypeAlias = Literal["ingestion", "snapshots", "updates", "schedule"]
"""When hooks run: for tasks read from the log, in snapshot runs, in periods, or at times of their own."""

RUNS_AGAIN: Mapping[Stage, str] = MappingProxyType(
    {"snapshots": "in every snapshot run", "updates": "in its next period"}
)
"""When a hook that failed runs again by itself, so that its dead letter need not be retried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """A row of the table.

    `takes`: names of the positional arguments of a call, None if hooks choose their own. `place`: hooks are
    registered, and looked up, for nothing, an entity type, an attribute or a timeseries. `returns`: what
    becomes of the result. `family`: the name in counters, if it is another than that of the kind and does not
    depend on the attribute. `distinct`: no two registrations of the kind agree in all of these fields;
    `again` is the message if they do, of their `name` and the registration `r`. `ordered`: the hook has a
    place in the order of a snapshot run.
    """

    stage: Stage
    takes: tuple[str, ...] | None = ()
    place: Literal["", "etype", "attr", "timeseries"] = ""
    returns: Literal["tasks", "decision", "nothing"] = "tasks"
    family: str = ""
    distinct: tuple[str, ...] = ()
    again: str = ""
    ordered: bool = False

    @property
    def takes_record(self) -> bool:
        """True if hooks are given the master record."""
        return self.takes is not None and "master_record" in self.takes


HOOK_SPECS: Mapping[str, HookSpec] = MappingProxyType(
    {
        "task": HookSpec(
            stage="ingestion",
            takes=("task",),
            returns="nothing",
            distinct=("hook", "hook_type"),
            again="Hook '{name}' is already registered.",
        ),
        "allow_entity_creation": HookSpec(
            stage="ingestion",
            takes=("eid", "task"),
            place="etype",
            returns="decision",
            distinct=("hook", "entity"),
            again="Hook '{name}' is already registered for entity '{r.entity}'.",
        ),
        "on_entity_creation": HookSpec(
            stage="ingestion",
            takes=("eid", "task"),
            place="etype",
            distinct=("hook", "entity"),
            again="Hook '{name}' is already registered for entity '{r.entity}'.",
        ),
        "on_new_attr": HookSpec(
            stage="ingestion",
            takes=("eid", "dp"),
            place="attr",
            distinct=("hook", "entity", "attr"),
            again="Hook '{name}' is already registered for attribute '{r.entity}/{r.attr}'.",
        ),
        "timeseries": HookSpec(
            stage="snapshots",
            takes=("entity_type", "attr_type", "attr_history"),
            place="timeseries",
            family="snapshot_timeseries",
            distinct=("hook", "entity_type", "attr_type"),
            again="Hook '{name}' is already registered for attribute '{r.entity_type}/{r.attr_type}'.",
        ),
        "correlation": HookSpec(
            stage="snapshots",
            takes=("entity_type", "values"),
            place="etype",
            family="snapshot_correlation",
            distinct=("hook", "entity_type", "depends_on", "may_change"),
            again="Hook id '{r.correlation_id}' already present in the vertices.",
            ordered=True,
        ),
        "correlation_with_master_record": HookSpec(
            stage="snapshots",
            takes=("entity_type", "values", "master_record"),
            place="etype",
            family="snapshot_correlation",
            distinct=("hook", "entity_type", "depends_on", "may_change"),
            again="Hook id '{r.correlation_id}' already present in the vertices.",
            ordered=True,
        ),
        "snapshot_init": HookSpec(
            stage="snapshots",
            family="snapshot_run_init",
            distinct=("hook",),
            again="Snapshot init hook '{name}' is already registered.",
        ),
        "snapshot_finalize": HookSpec(
            stage="snapshots",
            family="snapshot_run_finalize",
            distinct=("hook",),
            again="Snapshot finalize hook '{name}' is already registered.",
        ),
        "periodic_update": HookSpec(
            stage="updates",
            takes=("entity_type", "eid", "master_record"),
            place="etype",
            distinct=("entity_type", "hook_id", "period"),
            again="Hook ID {r.hook_id} already registered for {r.entity_type}.",
        ),
        "periodic_eid_update": HookSpec(
            stage="updates",
            takes=("entity_type", "eid"),
            place="etype",
            distinct=("entity_type", "hook_id", "period"),
            again="Hook ID {r.hook_id} already registered for {r.entity_type}.",
        ),
        "scheduler": HookSpec(stage="schedule", takes=None, returns="nothing"),
    }
)

ATTR_TYPE_TO_ON_NEW_HOOK = MappingProxyType[AttrType, str](
    {
        AttrType.PLAIN: "on_new_plain",
        AttrType.OBSERVATIONS: "on_new_observation",
        AttrType.TIMESERIES: "on_new_ts_chunk",
    }
)
"""The hook type (also the family in counters) of on-new-attribute hooks, by type of attribute."""

TASK_HOOK_TYPE = "on_task_start"
"""The one hook type (also the family in counters) of task hooks."""


# -- hooks to a type checker; an eid has the type that its entity type configures, so it is `Any` here -----
Tasks = Iterable[DataPointTask] | None
"""The result of most hooks: any iterable of tasks (bounded), or nothing."""

TaskHook = Callable[[DataPointTask], Any]
AllowHook = Callable[[Any, DataPointTask], Any]
CreationHook = Callable[[Any, DataPointTask], Tasks]
NewAttrHook = Callable[[Any, Any], Tasks]
TimeseriesHook = Callable[[str, str, list[dict[str, Any]]], Tasks]
CorrelationHook = Callable[[str, dict[str, Any]], Tasks]
MasterCorrelationHook = Callable[[str, dict[str, Any], dict[str, Any]], Tasks]
RunHook = Callable[[], Tasks]
PeriodicHook = Callable[[str, Any, dict[str, Any]], Tasks]
PeriodicEidHook = Callable[[str, Any], Tasks]
