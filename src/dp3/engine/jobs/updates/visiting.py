"""Calls the hooks of a group for one entity."""

from collections.abc import Iterator
from typing import Any

from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.updates.groups import HookGroup
from dp3.engine.jobs.updates.reading import Subject
from dp3.hooks.outcome import hook_failed
from dp3.hooks.table import Hook
from dp3.store.ports.entities import Entities


class Visitor:
    """May be used by several threads at once."""

    def __init__(self, group: HookGroup, caller: HookCaller, entities: Entities) -> None:
        self._group = group
        self._caller = caller
        self._entities = entities

    def visit(self, subject: Subject) -> Effects:
        """Call all hooks in the order of registration; one that fails does not keep the others from it."""
        effects, group = Effects(), self._group
        eid = group.values.eid(subject.eid)
        try:
            for hook, arguments in self._calls(subject, eid):
                self._caller.call(hook, (group.etype, arguments[0]), eid, effects, group.etype, *arguments)
        except Exception as error:  # what is stored does not fit the model any more
            self._caller.fail(group.hooks[0], group.etype, eid, effects, hook_failed(error))
        return effects

    def _calls(self, subject: Subject, eid: int | str) -> Iterator[tuple[Hook, tuple[Any, ...]]]:
        """Each hook with what it gets: the typed eid, and a record of its own."""
        typed, master = self._group.read_eid(eid), self._group.master
        if master is None:
            for hook in self._group.hooks:
                yield hook, (typed,)
            return
        profile = self._entities.decode_profile(subject.profile)
        for hook in self._group.hooks:
            yield hook, (typed, master.document(eid, profile))
