"""However tasks are split into batches and read again, profiles are those of a naive model."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.clock import to_datetime
from kit.engine import Engine
from kit.points import SECOND, START_US, delete, obs, plain, task
from kit.rooms import examples

eids = st.sampled_from(["e0", "e1", "e2"])
small = st.integers(0, 9)


def made(kind, eid, number):
    """A fresh task, because sending numbers it."""
    match kind:
        case "plain":
            return task(eid, plain("p", number))
        case "observation":
            return task(eid, obs(number))
        case "both":
            return task(eid, obs(number), plain("s", number), obs(number + 1))
        case "ttl":
            return task(eid, ttl_tokens={"x": START_US + number * SECOND})
        case _:
            return delete(eid)


kinds = st.sampled_from(["plain", "observation", "both", "ttl", "delete"])
entries = st.lists(st.tuples(kinds, eids, small), min_size=1, max_size=4).map(lambda tasks: ("send", tasks))
steps = st.one_of(
    entries,
    entries,
    st.tuples(st.just("work"), st.integers(1, 3)),
    st.tuples(st.just("fall back"), st.integers(0, 10)),
)


class Naive:
    """Profiles as dictionaries."""

    def __init__(self):
        self.profiles = {}

    def apply(self, kind, eid, number):
        if kind == "delete":
            self.profiles.pop(eid, None)
            return
        profile = self.profiles.setdefault(eid, {})
        match kind:
            case "plain":
                profile["p"] = number
            case "observation":
                self._observe(profile, number)
            case "both":
                self._observe(profile, number)
                self._observe(profile, number + 1)
                profile["s"] = number
            case "ttl":
                profile["ttl"] = max(number, profile.get("ttl", 0))

    @staticmethod
    def _observe(profile, number):
        profile["o"] = sorted([*profile.get("o", []), (number, number)])


def work(engine, processes):
    for index in range(processes):
        engine.work(index=index, processes=processes)


def shown(engine, eid):
    master = engine.master(eid)
    if not master:
        return None
    found = engine.values(eid)
    if "#ttl" in master:
        found["ttl"] = (master["#ttl"]["x"] - to_datetime(START_US)).seconds
    return found


@given(st.lists(steps, max_size=12))
@settings(max_examples=examples(40), deadline=None)
def test_any_batches_and_any_reading_again_give_the_profiles_of_a_naive_model(script):
    naive = Naive()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(Path(directory))
        try:
            for action, argument in script:
                if action == "send":
                    engine.send(*(made(*given) for given in argument))
                    for given_task in argument:
                        naive.apply(*given_task)
                elif action == "work":
                    work(engine, argument)
                    engine.remember_state()
                else:
                    engine.fall_back(argument)
            work(engine, 1)
            assert {eid: shown(engine, eid) for eid in naive.profiles} == naive.profiles
            assert engine.store.entities.counts()["a"] == len(naive.profiles)
            assert engine.letters() == []
        finally:
            engine.close()
