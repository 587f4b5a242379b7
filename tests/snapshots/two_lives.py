"""The same things happen to the engine and to the naive model."""

from collections import Counter
from collections.abc import Sequence

import naive_index
from application import Application
from chronicle import Chronicle
from naive_model import NaiveModel
from naive_outcomes import Witness
from naive_rules import Told, told
from naive_world import Ref
from sample_settings import EIDS, setting
from scenario_strategies import SECOND_US, Action, BusyRun, Clean, Delete, Moment, Put, Restart, Run, Wait

from dp3.store.ports.queries import Where
from kit.points import tasks_in

PATHS = {
    "a": "eid p s ip o om l.eid lp.eid lp.data lp.why la.eid lo.eid score far fans.eid note.p note.list",
    "b": "eid p n c.eid as.eid aps.eid",
    "c": "eid q back.eid when bs.eid",
}


class TwoLives:
    """That of the engine and that of the naive model."""

    def __init__(self, engine: Application) -> None:
        self.engine = engine
        self.naive = NaiveModel()
        self.chronicle = Chronicle()
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
                self.engine.begin_packing()
                self.engine.wait_until(action.moment_after(self.engine.now_us))
            case Clean():
                self._clean(action)
                self.compare_series()
            case Run():
                self._run()

    def _run(self) -> None:
        naive, run = self.naive, self.engine.run()
        made = naive.run(run.time)
        self._untold += made.tasks
        self.chronicle.run(naive.rules, [naive.world], run.time, made.docs, naive.processes)
        self._compare_latest()

    def _restart(self, restart: Restart) -> None:
        chosen = setting(restart.setting)
        self.engine.restart(chosen, restart.processes)
        self.naive.configure(chosen.rules, restart.processes)

    def _clean(self, clean: Clean) -> None:
        before = self.engine.now_us - clean.seconds * SECOND_US
        self.engine.begin_cleaning(before)
        self.naive.clean(before, self.engine.last_complete())
        self.engine.clean_slowly(clean.slices)

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
            for task in (task for task in tasks_in(entry) if task.system_task is None):
                came[told(task)] += 1
                self.naive.put(task.etype, task.eid, task.points, entry.append_time)
                self.chronicle.told((task.etype, str(task.eid)), task.points)
        return came

    def _take_sent(self) -> None:
        for action, now in self._unprocessed:
            if isinstance(action, Delete):
                self.naive.delete(action.etype, action.eid, now)
                self.chronicle.delete(_ref(action))
            else:
                self.naive.put(action.etype, action.eid, action.points, now)
                self.chronicle.put(_ref(action), action.points)
        self._unprocessed.clear()

    def _run_through(self, moments: Sequence[Moment]) -> None:
        naive = self.naive
        run = self.engine.begin_run()
        first, last = naive.rules.first(naive.processes), naive.rules.last(naive.processes)
        witness = Witness(naive.rules, run.time, [naive.world.copy()], first, [last])
        for moment in moments:
            for worker, pieces in moment.pieces:
                self.engine.go_on_slowly(worker, pieces)
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
            self.chronicle.run(witness.rules, witness.worlds, run.time, shown, naive.processes)
            self._compare_latest()
        else:
            naive.leave(run.time, self.engine.made_at(run.time))
        if any(isinstance(moment.then, Restart) for moment in moments):
            self.chronicle.happened.add(f"a run is {'resumed' if complete else 'cut short'}")

    def _happen(self, then: Put | Delete | Restart | Clean, witness: Witness) -> None:
        if isinstance(then, Clean):
            self._clean(then)
            return
        if isinstance(then, Restart):
            before = self.naive.rules, self.naive.processes
            self._restart(then)
            if before != (self.naive.rules, self.naive.processes):
                witness.last.append(self.naive.rules.last(then.processes))
            return
        self._send(then)
        if isinstance(then, Delete):
            witness.deleted.add(_ref(then))
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
        """Of earlier runs some may be left, as long as they are being removed."""
        for etype, eids in EIDS.items():
            for eid in eids:
                shown = [seen for seen in self.engine.snapshots(etype, eid) if seen[0] >= self.naive.horizon]
                assert shown == self.naive.history(etype, eid), (etype, eid)

    def finish_cleaning(self) -> None:
        self.engine.finish_cleaning()
        assert self.engine.run_times() == self.naive.run_times()
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


def _ref(action: Put | Delete) -> Ref:
    return action.etype, str(action.eid)
