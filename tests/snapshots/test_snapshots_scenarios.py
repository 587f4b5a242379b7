"""Whatever happens to an application, its snapshots are those of the naive model."""

from collections.abc import Sequence

import naive_index
from hypothesis import given, settings
from naive_model import NaiveModel
from sample_settings import EIDS, setting
from scenario_strategies import (
    Action,
    BrokenRun,
    Delete,
    Put,
    Restart,
    Run,
    Wait,
    conditions,
    scenarios,
)
from snapshots_kit import Application, an_application

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
        self._unprocessed: list[Put | Delete] = []

    def lead(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case Restart():
                self._restart(action)
            case BrokenRun(pieces, restart):
                self._break_run(pieces, restart)
            case Put() | Delete():
                self._send(action)
            case Wait():
                self.engine.wait_until(action.moment_after(self.engine.now_us))
            case Run():
                self.naive.run(self.engine.run().time)
                self._compare_latest()

    def _break_run(self, pieces: int, restart: Restart) -> None:
        """What is not completed of the run is not seen."""
        self._process()
        run = self.engine.begin_run()
        docs = self.naive.made(run.time)
        self.engine.go_on_slowly(pieces)
        self._restart(restart)
        self.engine.finish_run()
        shown = {ref: doc for ref, doc in docs.items() if self.engine.shows(*ref, run.time)}
        complete = self.engine.last_run().status == "complete"
        self.naive.keep(run.time, docs if complete else shown)

    def _restart(self, restart: Restart) -> None:
        self._process()
        chosen = setting(restart.setting)
        self.engine.restart(chosen, restart.processes)
        registrations = chosen.registrar.registrations
        self.naive.configure(chosen.model, registrations, keep_empty=chosen.keep_empty)

    def _send(self, action: Put | Delete) -> None:
        self._unprocessed.append(action)
        if isinstance(action, Delete):
            self.engine.send(action.etype, action.eid, delete=True)
        else:
            action = action.at(self.engine.now_us)
            self._unprocessed[-1] = action
            self.engine.send(action.etype, action.eid, *action.points)
        if isinstance(action, Delete) or action.processed:
            self._process()

    def _process(self) -> None:
        if self._unprocessed:
            self.engine.process()
        for action in self._unprocessed:
            if isinstance(action, Delete):
                self.naive.delete(action.etype, action.eid)
            else:
                self.naive.put(action.etype, action.eid, action.points)
        self._unprocessed.clear()

    def _compare_latest(self) -> None:
        for etype in EIDS:
            assert self.engine.latest(etype) == self.naive.latest(etype)

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
