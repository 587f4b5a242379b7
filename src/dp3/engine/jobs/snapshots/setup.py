"""Puts the parts of snapshot runs together."""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from dp3.config.cron import CronExpression
from dp3.engine.context import Context
from dp3.engine.jobs.schedule import Schedule
from dp3.engine.jobs.snapshots.calling import HookCaller
from dp3.engine.jobs.snapshots.phases import SnapshotWork
from dp3.engine.jobs.snapshots.plans import Limits, SnapshotHooks, make_snapshot_plans
from dp3.engine.jobs.snapshots.refresh import Flags, Refresher
from dp3.engine.jobs.snapshots.runs import Runs
from dp3.engine.jobs.snapshots.work import WorkParts
from dp3.engine.jobs.snapshots.writing import Writing
from dp3.hooks.guard import Guard
from dp3.hooks.registration import HookRegistration
from dp3.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """`cron`: when runs begin; `threads`: hooks that run at a time."""

    cron: CronExpression
    limits: Limits = field(default_factory=Limits)
    threads: int = 1


def make_snapshot_work(
    context: Context,
    model: ModelSpec,
    registrations: Iterable[HookRegistration],
    guard: Guard,
    executor: Executor,
    io: Executor,
    settings: SnapshotSettings,
) -> SnapshotWork:
    """What a worker does for snapshots; its hooks run in `executor`. The threads of `io` read ahead and write
    behind; one is enough, more would take turns with the worker on two cores."""
    state, clock, lease = context.store, context.clock, context.lease
    hooks = SnapshotHooks(registrations)
    plans = make_snapshot_plans(model, state, hooks, settings.limits)
    caller = HookCaller(guard, clock, state.partitions)
    parts = WorkParts(
        state=state,
        log=context.log,
        clock=clock,
        lease=lease,
        hooks=hooks,
        plans=plans,
        caller=caller,
        flags=Flags(hooks.refreshed),
        refresher=Refresher(model, caller),
        executor=executor,
        io=io,
        writing=Writing(state, lease, io),
        threads=settings.threads,
    )
    runs = Runs(state, clock, lease, plans.fingerprint)
    return SnapshotWork(parts, runs, Schedule(settings.cron, clock.now_us()))
