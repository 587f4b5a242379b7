"""What readers see of snapshots, by definition: those of all runs, each made by the rules of its time.

No database, no index, no memory of earlier runs but their results; slow, and short enough to be believed.
"""

from collections.abc import Mapping, Sequence

from naive_rules import Made, Rules
from naive_world import Doc, Ref, World

from dp3.model.wire import WirePoint


class NaiveModel:
    """Takes the same data-points, deletions, configurations and runs as the engine."""

    def __init__(self) -> None:
        self.world = World()
        self._series: dict[Ref, list[tuple[int, Doc]]] = {}

    def configure(self, rules: Rules, processes: int = 1) -> None:
        """From now on these rules hold, for so many workers."""
        self.rules = rules
        self.processes = processes

    def put(self, etype: str, eid: int | str, points: Sequence[WirePoint], written: int) -> None:
        """A task is processed that was appended at a moment."""
        self.world.put(self.rules.model, (etype, str(eid)), points, written)

    def delete(self, etype: str, eid: int | str, now: int) -> None:
        """A deletion is processed that was appended at a moment."""
        self.world.delete((etype, str(eid)), now)
        self._series.pop((etype, str(eid)), None)

    def run(self, t: int) -> Made:
        made = self.rules.made(self.world, t, self.processes)
        self.keep(t, made.docs)
        self.complete(self.rules)
        return made

    def complete(self, rules: Rules) -> None:
        """The last run made all snapshots that there are to be by these rules."""
        self._stored = {etype for etype, spec in rules.model.entities.items() if spec.snapshot}

    def keep(self, t: int, docs: Mapping[Ref, Doc]) -> None:
        """These are the snapshots of the run at `t`."""
        for ref, doc in docs.items():
            self._series.setdefault(ref, []).append((t, doc))

    def history(self, etype: str, eid: int | str) -> list[tuple[int, Doc]]:
        """(run time, snapshot) of all runs that saw the entity."""
        return self._series.get((etype, str(eid)), [])

    def latest(self, etype: str) -> dict[str, tuple[int, Doc]]:
        """The newest snapshot of each entity of a type, by id, after a complete run."""
        if etype not in self._stored:
            return {}
        return {eid: series[-1] for (of, eid), series in self._series.items() if of == etype}
