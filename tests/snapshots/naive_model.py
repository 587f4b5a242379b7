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
        self._leftovers: dict[Ref, tuple[int, Doc]] = {}
        self._newest: dict[Ref, tuple[int, Doc]] = {}
        self._runs: list[int] = []
        self.horizon = 0

    def configure(self, rules: Rules, processes: int = 1) -> None:
        """From now on these rules hold, for so many workers."""
        self.rules = rules
        self.processes = processes

    def put(self, etype: str, eid: int | str, points: Sequence[WirePoint], written: int) -> None:
        """A task is processed that was appended at a moment."""
        self.world.put(self.rules.model, (etype, str(eid)), points, written)

    def delete(self, etype: str, eid: int | str, now: int) -> None:
        """A deletion is processed that was appended at a moment."""
        self.world.delete(self.rules.model, (etype, str(eid)), now)
        self._series.pop((etype, str(eid)), None)
        self._leftovers.pop((etype, str(eid)), None)
        self._newest.pop((etype, str(eid)), None)

    def clean(self, before: int, complete: int | None) -> None:
        """Nobody wants to know of runs before a moment any more, but of the newest complete one, which was at
        `complete`."""
        if complete is not None:
            oldest = min((t for t in self._runs if t >= before), default=complete)
            self.horizon = max(self.horizon, min(oldest, complete))

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
        self._runs.append(t)
        for ref, doc in docs.items():
            self._series.setdefault(ref, []).append((t, doc))
            self._newest[ref] = t, doc

    def leave(self, t: int, docs: Mapping[Ref, Doc]) -> None:
        """A run at `t` was cut short and left these: in no series, but newer than what was there."""
        self._leftovers |= {ref: (t, doc) for ref, doc in docs.items()}

    def history(self, etype: str, eid: int | str) -> list[tuple[int, Doc]]:
        """(run time, snapshot) of all runs that saw the entity."""
        return [seen for seen in self._series.get((etype, str(eid)), []) if seen[0] >= self.horizon]

    def run_times(self) -> list[int]:
        """Of all runs that are shown."""
        return [t for t in self._runs if t >= self.horizon]

    def latest(self, etype: str) -> dict[str, tuple[int, Doc]]:
        """The newest snapshot of each entity of a type, by id, after a complete run."""
        if etype not in self._stored:
            return {}
        found = {eid: newest for (of, eid), newest in self._newest.items() if of == etype}
        for (of, eid), leftover in self._leftovers.items():
            if of == etype and (eid not in found or found[eid][0] < leftover[0]):
                found[eid] = leftover
        return found
