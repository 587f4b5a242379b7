"""Filters that speak of what is not there: a condition on a name with a slip in it would hold for nothing, or
for everything, and nobody would notice."""

from collections.abc import Callable, Sequence

from dp3.engine.jobs.snapshots.keys import LONG, ODD
from dp3.model.errors import did_you_mean
from dp3.reads.errors import invalid_query
from dp3.reads.query.places import Doubt, Place
from dp3.reads.telemetry import RunReports
from dp3.store.ports.queries import Queries
from dp3.store.ports.runs import GETS_MORE

Warn = Callable[[str], None]
"""Takes what somebody should know who gets an answer nevertheless."""


MOST_SUGGESTED = 20
"""Names of one filter for which near ones are looked for, which takes a millisecond or so."""


def unheard(_: str) -> None:
    """For askers who take no warnings."""


class Doubts:
    """Decides about places where by the model nothing is. `hooks_are_possible`: there are modules."""

    def __init__(self, queries: Queries, runs: RunReports, *, hooks_are_possible: bool) -> None:
        self._queries = queries
        self._runs = runs
        self._hooks_are_possible = hooks_are_possible

    def judge(self, etype: str, places: Sequence[Place], warn: Warn, *, as_of: bool = False) -> None:
        """Called with the places of a filter. Warns of a place that no snapshot ever had but one may get,
        because correlation hooks give values to the type. Raises `QueryError` where no hooks do.

        `as_of`: the filter is asked of values that hooks have had no part in."""
        doubted = {place.path: (place, place.doubt) for place in places if place.doubt is not None}
        may_get_more = None
        for number, (place, doubt) in enumerate(doubted.values()):
            stored = self._queries.ever_had_keys(etype, _paths(place))
            if stored and as_of:
                warn(f"{doubt.reason}; what hooks have set is not part of values at a moment")
            elif not stored:
                if may_get_more is None:
                    may_get_more = self._may_get_more(etype)
                reason = doubt.reason + (self._near(etype, doubt) if number < MOST_SUGGESTED else "")
                if doubt.refused and not may_get_more:
                    raise invalid_query(reason)
                warn(f"{reason}; no snapshot has it so far")

    def _near(self, etype: str, doubt: Doubt) -> str:
        if not doubt.refused:
            return ""
        added = self._queries.first_steps(etype) if doubt.is_attribute else []
        return did_you_mean(doubt.name, [*doubt.known, *(name for name in added if "#" not in name)])

    def _may_get_more(self, etype: str) -> bool:
        """True if hooks may give values to the type that the model does not have: as the latest run found it.
        Until there was one it is not known."""
        run = self._runs.latest_closed()
        return self._hooks_are_possible if run is None else etype in run.detail.get(GETS_MORE, ())


def _paths(place: Place) -> list[str]:
    """Paths of which one has keys if something ever was at the place: itself, or those that tell that it was
    too large, or inside a value that is not of its attribute's type."""
    path = ".".join(step for step in place.path.split(".") if not step.isdecimal())
    return [path, *(place.attribute + suffix for suffix in (LONG, ODD))]
