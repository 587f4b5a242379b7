"""All ports of a state that stands on a database, the same for every engine."""

from collections.abc import Callable

from dp3.clock import Clock
from dp3.store.ports.batches import Changes
from dp3.store.ports.counters import EventGroups
from dp3.store.ports.queries import Queries
from dp3.store.ports.state import State
from dp3.store.sql.batches import Batches, Outbox, OutboxWriter
from dp3.store.sql.control import Control
from dp3.store.sql.counters import Counters, CounterWriter
from dp3.store.sql.dead_letters import DeadLetters, DeadLetterWriter
from dp3.store.sql.entities import Entities
from dp3.store.sql.garbage import Garbage
from dp3.store.sql.history import History
from dp3.store.sql.leases import Leases
from dp3.store.sql.lifetimes import Lifetimes
from dp3.store.sql.links import Links
from dp3.store.sql.models import Models, Names
from dp3.store.sql.retention import Retention
from dp3.store.sql.rows_read import RowsReadCounter
from dp3.store.sql.runs import Runs
from dp3.store.sql.scans import Scans
from dp3.store.sql.session import Database
from dp3.store.sql.sizes import Sizes
from dp3.store.sql.snapshots import SnapshotCleaning, Snapshots
from dp3.store.sql.tokens import Tokens
from dp3.store.sql.updates import Updates


def assembled(
    database: Database,
    partitions: int,
    clock: Clock,
    *,
    lease_time: Callable[[], int],
    queries: Queries,
    changes: Changes,
    close: Callable[[], None],
    max_dead_letters: int,
    event_groups: EventGroups,
) -> State:
    """The state, with what several ports write in their transactions; `lease_time`, `queries`, `changes` and
    `close` are those of the engine."""
    names, control, garbage = Names(database), Control(database, clock), Garbage(database, clock)
    leases, runs = Leases(database, lease_time, control), Runs(database, clock)
    dead_letters, outbox = DeadLetterWriter(max_dead_letters), OutboxWriter(clock)
    counters = CounterWriter(clock, event_groups)
    read = RowsReadCounter()
    scans = Scans(read)
    return State(
        partitions=partitions,
        commit_target_s=database.commit_target_s,
        names=names,
        leases=leases,
        batches=Batches(database, clock, dead_letters, counters, outbox),
        outbox=Outbox(database),
        changes=changes,
        entities=Entities(database, garbage, partitions, scans, read),
        dead_letters=DeadLetters(database),
        counters=Counters(database, clock, event_groups),
        sizes=Sizes(database),
        control=control,
        runs=runs,
        snapshots=Snapshots(database, runs, dead_letters, counters, outbox, partitions),
        cleaning=SnapshotCleaning(database),
        links=Links(database),
        tokens=Tokens(database, clock),
        updates=Updates(database, dead_letters, counters, control, outbox),
        lifetimes=Lifetimes(database, outbox),
        history=History(database, scans),
        retention=Retention(database, clock, counters, outbox),
        models=Models(database, leases, names, garbage),
        queries=queries,
        close=close,
    )
