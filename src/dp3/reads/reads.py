"""All reads of one state, composed once."""

from dp3.clock import Clock
from dp3.config.kinds import CronExpression
from dp3.log.port import Log
from dp3.model.spec import ModelSpec
from dp3.reads.as_of import AsOf, Document
from dp3.reads.backlog import Backlog, Workers
from dp3.reads.dead_letters import DeadLetters
from dp3.reads.distinct import DistinctValues
from dp3.reads.doubts import Doubts
from dp3.reads.entity_types import EntityTypes
from dp3.reads.listings import Listings
from dp3.reads.profiles import Profiles, Span
from dp3.reads.query.places import Places
from dp3.reads.raw import RawPoints
from dp3.reads.snapshots import Snapshots, with_time
from dp3.reads.telemetry import JobReports, RunReports, Telemetry
from dp3.store.ports.state import State


class Reads:
    """See the table in `dp3.reads`. Made once a process; reads the state at every call.

    `answers`: the state that answers questions about entities and their snapshots, if that is a copy.

    `run_rate`: when snapshot runs begin. `hooks_are_possible`: the application has modules, so that before
    the first run it is not known what snapshots will have."""

    def __init__(
        self,
        state: State,
        log: Log,
        model: ModelSpec,
        clock: Clock,
        *,
        run_rate: CronExpression | None = None,
        hooks_are_possible: bool = False,
        answers: State | None = None,
    ) -> None:
        answers = answers or state
        places = {etype: Places(model, etype) for etype in model.entities}
        self.as_of = AsOf(answers.entities, answers.links, state.names, model)
        self.profiles = Profiles(answers.entities, state.names, model, clock, self.as_of)
        self.snapshots = Snapshots(answers.snapshots, answers.runs)
        self.runs = RunReports(state.runs, clock, run_rate)
        runs = RunReports(answers.runs, clock, run_rate)
        doubts = Doubts(answers.queries, runs, hooks_are_possible=hooks_are_possible)
        self.listings = Listings(answers.queries, self.as_of, model, places, doubts)
        self.distinct = DistinctValues(answers.queries, self.listings, model, places)
        self.raw = RawPoints(log, state.batches, state.partitions)
        self.entity_types = EntityTypes(answers.entities, model)
        self.jobs = JobReports(state.updates, state.lifetimes, state.retention)
        self.telemetry = Telemetry(state.counters, state.sizes, state.entities, model, clock)
        self.backlog = Backlog(log, state.batches, state.partitions, clock)
        self.workers = Workers(state.leases, self.backlog)
        self.dead_letters = DeadLetters(state.dead_letters)

    def entity(
        self, etype: str, eid: int | str, span: Span = Span(), at: int | None = None
    ) -> tuple[Document, list[Document]]:
        """The master record of an entity and its snapshots, or (with `at`, in µs) both as of a moment."""
        master = self.profiles.master(etype, eid, span, at)
        if at is None:
            return master, self.snapshots.series(etype, str(eid), span)
        values = self.as_of.values(etype, str(eid), at)
        return master, [] if values is None else [with_time(values, at)]
