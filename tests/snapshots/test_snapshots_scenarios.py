"""Whatever happens to an application, its snapshots are those of the naive model."""

from collections import Counter
from collections.abc import Sequence

import naive_index
from hypothesis import given, settings
from naive_model import NaiveModel
from naive_outcomes import Witness
from naive_rules import Told, told
from sample_settings import EIDS, setting
from scenario_strategies import (
    Action,
    BusyRun,
    Delete,
    Moment,
    Put,
    Restart,
    Run,
    Wait,
    conditions,
    scenarios,
)
from snapshots_kit import Application, an_application
from workers_kit import tasks_in

from dp3.store.query import Where

PATHS = {
    "a": "eid p s ip o om l.eid lp.eid lp.data lp.why la.eid lo.eid score far fans.eid note.p note.list",
    "b": "eid p n c.eid as.eid aps.eid",
    "c": "eid q back.eid when bs.eid",
}


class TwoLives:
    """The same things happen to the engine and to the naive model."""

    def __init__(self, engine: Application) -> None:
        self.engine = engine
        self.naive = NaiveModel()
        self._unprocessed: list[tuple[Put | Delete, int]] = []
        self._untold: Counter[Told] = Counter()
        """Tasks that hooks returned and that have not come to the log yet."""

    def lead(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._act(action)
        self._process()

    def _act(self, action: Action) -> None:
        match action:
            case Restart():
                self._process()
                self._restart(action)
            case BusyRun(moments):
                self._process()
                self._run_through(moments)
            case Put() | Delete():
                self._send(action)
                if isinstance(action, Delete) or action.processed:
                    self._process()
            case Wait():
                self.engine.wait_until(action.moment_after(self.engine.now_us))
            case Run():
                self._untold += self.naive.run(self.engine.run().time).tasks
                self._compare_latest()

    def _restart(self, restart: Restart) -> None:
        chosen = setting(restart.setting)
        self.engine.restart(chosen, restart.processes)
        self.naive.configure(chosen.rules(), restart.processes)

    def _send(self, action: Put | Delete) -> None:
        if isinstance(action, Put):
            action = action.at(self.engine.now_us)
            now = self.engine.send(action.etype, action.eid, *action.points)
        else:
            now = self.engine.send(action.etype, action.eid, delete=True)
        self._unprocessed.append((action, now))

    def _process(self) -> None:
        """All that the log has, and what hooks told, which workers read first."""
        assert self._take_derived() == self._untold
        self._untold.clear()
        self.engine.process()
        self._take_sent()

    def _take_derived(self) -> Counter[Told]:
        came: Counter[Told] = Counter()
        for entry in self.engine.drain():
            for task in (task for task in tasks_in(entry) if task.chore is None):
                came[told(task)] += 1
                self.naive.put(task.etype, task.eid, task.points, entry.append_time)
        return came

    def _take_sent(self) -> None:
        for action, now in self._unprocessed:
            if isinstance(action, Delete):
                self.naive.delete(action.etype, action.eid, now)
            else:
                self.naive.put(action.etype, action.eid, action.points, now)
        self._unprocessed.clear()

    def _run_through(self, moments: Sequence[Moment]) -> None:
        naive = self.naive
        run = self.engine.begin_run()
        around = naive.rules.around(naive.processes)
        witness = Witness(naive.rules, run.time, [naive.world.copy()], around)
        for moment in moments:
            self.engine.go_on_slowly(moment.pieces)
            self._happen(moment.then, witness)
        self.engine.finish_run()
        witness.tasks += self._take_derived()
        self.engine.process()
        complete = self.engine.last_run().status == "complete"
        shown = self.engine.shown(self.engine.last_run())
        assert witness.explains(shown, complete=complete)
        naive.keep(run.time, shown)
        if complete:
            naive.complete(witness.rules)
            self._compare_latest()

    def _happen(self, then: Put | Delete | Restart, witness: Witness) -> None:
        if isinstance(then, Restart):
            self._restart(then)
            witness.at_its_end += self.naive.rules.around(then.processes)
            return
        self._send(then)
        if isinstance(then, Delete):
            witness.deleted.add((then.etype, str(then.eid)))
        witness.tasks += self._take_derived()
        witness.worlds.append(self.naive.world.copy())
        self.engine.take_in()
        self._take_sent()
        witness.worlds.append(self.naive.world.copy())

    def _compare_latest(self) -> None:
        for etype in EIDS:
            assert self.engine.latest(etype) == self.naive.latest(etype)
        self.compare_index()

    def compare_series(self) -> None:
        for etype, eids in EIDS.items():
            for eid in eids:
                assert self.engine.snapshots(etype, eid) == self.naive.history(etype, eid), (etype, eid)

    def compare_index(self) -> None:
        for etype, paths in PATHS.items():
            docs = [doc for _, doc in self.naive.latest(etype).values()]
            for path in paths.split():
                assert self.engine.distinct(etype, path) == naive_index.distinct(docs, path), (etype, path)

    def compare_answers(self, etype: str, where: Where) -> None:
        docs = {eid: doc for eid, (_, doc) in self.naive.latest(etype).items()}
        assert self.engine.latest(etype, where).keys() == naive_index.matching(where, docs)


@settings(max_examples=120, deadline=None)
@given(scenarios())
def test_every_snapshot_is_that_of_the_naive_model(actions: list[Action]) -> None:
    with an_application() as engine:
        lives = TwoLives(engine)
        lives.lead(actions)
        lives.compare_series()
        lives.compare_index()


@settings(max_examples=30, deadline=None)
@given(scenarios(), conditions())
def test_every_answer_is_that_of_a_look_at_all_latest_snapshots(
    actions: list[Action], asked: list[tuple[str, Where]]
) -> None:
    with an_application() as engine:
        lives = TwoLives(engine)
        lives.lead(actions)
        for etype, where in asked:
            lives.compare_answers(etype, where)
