"""However a model changes, each attribute keeps what a naive model says it keeps, wherever its data is."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dp3.engine.schema.tracking import ModelRefused
from dp3.engine.schema.update import forget
from dp3.model.spec import ModelSpec
from kit.engine import Engine
from kit.points import plain, seen, task
from kit.rooms import examples
from kit.schema import (
    a_schema,
    begin,
    docs,
    make_snapshots,
    master,
    seen_attr,
    start,
    tables_of_attr,
    track,
)
from kit.specs import plain_attr

SPECS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "text": (plain_attr("string"), ["u", "v", ""]),
    "texts": (plain_attr("array<string>"), [["u"], ["u", "v"], []]),
    "number": (plain_attr("int"), [1, 2, 3]),
    "wide": (plain_attr("int64"), [1, 2, 1 << 40]),
    "word": (plain_attr("category<string;red,green>"), ["red", "green"]),
    "fewer": (plain_attr("category<string;red>"), ["red"]),
    "link": (plain_attr("link<b>"), [{"eid": "b1"}, {"eid": "b2"}]),
    "mirrored": (plain_attr("link<b;mirror=back>"), [{"eid": "b1"}, {"eid": "b2"}]),
    "seen": (seen_attr("string"), ["u", "v"]),
    "several": (seen_attr("string", multi_value=True), ["u", "v"]),
    "seen word": (seen_attr("category<string;red,green>"), ["red", "green"]),
    "seen fewer": (seen_attr("category<string;red>"), ["red"]),
    "seen link": (seen_attr("link<a>"), [{"eid": "e0"}, {"eid": "x"}]),
}
HARMLESS = {
    ("number", "wide"),
    ("fewer", "word"),
    ("seen fewer", "seen word"),
    ("link", "mirrored"),
    ("mirrored", "link"),
}
FEWER = {("word", "fewer"), ("seen word", "seen fewer")}
SHOWN = {("seen", "several"), ("several", "seen")}

ATTRS = ["x", "y", "z"]
EIDS = ["e0", "e1"]
chosen = st.dictionaries(st.sampled_from(ATTRS), st.sampled_from(sorted(SPECS))).filter(
    lambda specs: list(specs.values()).count("mirrored") < 2
)
Sent = list[tuple[str, str, Any]]


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Attributes before and after; most stay."""
    old = draw(chosen)
    new = {attr: spec for attr, spec in old.items() if draw(st.integers(0, 3))} | draw(chosen)
    if list(new.values()).count("mirrored") > 1:
        new = old
    return old, new


def data(specs: dict[str, str]) -> st.SearchStrategy[Sent]:
    if not specs:
        return st.just([])
    one = st.sampled_from(sorted(specs)).flatmap(
        lambda attr: st.tuples(st.sampled_from(EIDS), st.just(attr), st.sampled_from(SPECS[specs[attr]][1]))
    )
    return st.lists(one, max_size=6)


def model_of(specs: dict[str, str]) -> ModelSpec:
    return a_schema(**{attr: SPECS[name][0] for attr, name in specs.items()})


def stays(attr: str, v: Any, old: dict[str, str], new: dict[str, str]) -> bool:
    """Whether a stored value keeps its meaning."""
    pair = (old[attr], new.get(attr, ""))
    return pair[0] == pair[1] or pair in HARMLESS | SHOWN or (pair in FEWER and v == "red")


class Naive:
    """What profiles hold, as a list of what was sent."""

    def __init__(self) -> None:
        self.kept: Sent = []

    def change(self, old: dict[str, str], new: dict[str, str]) -> None:
        """A plain value that does not stay is gone; the one before does not come back."""
        last: dict[tuple[str, str], Any] = {}
        for eid, attr, v in self.kept:
            last[eid, attr] = v
        self.kept = [
            (eid, attr, v)
            for eid, attr, v in self.kept
            if stays(attr, v, old, new) and (old[attr].startswith("se") or last[eid, attr] == v)
        ]

    def master(self, eid: str, specs: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for at, attr, v in self.kept:
            if at == eid and specs[attr].startswith("se"):
                found[attr] = [*found.get(attr, []), v]
            elif at == eid:
                found[attr] = v
        return {attr: sorted(v, key=str) if specs[attr].startswith("se") else v for attr, v in found.items()}


class Life:
    """The application and its naive model."""

    def __init__(self, directory: str) -> None:
        self.engine = Engine(Path(directory))
        self.naive = Naive()
        self._second = 0

    def send(self, specs: dict[str, str], sent: Sequence[tuple[str, str, Any]]) -> None:
        for eid, attr, v in sent:
            self._second += 1
            observed = specs[attr].startswith("se")
            self.engine.send(task(eid, seen(attr, v, self._second * 9) if observed else plain(attr, v)))

    def check(self, specs: dict[str, str]) -> None:
        for eid in EIDS:
            record = master(self.engine, model_of(specs), eid)
            found = {
                attr: sorted(v, key=str) if specs.get(attr, "").startswith("se") else v
                for attr, v in record.items()
            }
            assert found == self.naive.master(eid, specs)

    def change(self, old: dict[str, str], new: dict[str, str], interrupted_after: int) -> None:
        """Refused, confirmed, removed; after some pieces the process is killed."""
        engine = self.engine
        before = engine.tables()
        try:
            track(engine, model_of(new))
        except ModelRefused:
            assert engine.tables() == before
            begin(engine, model_of(new))
            pieces = 0
            while (removal := engine.store.models.removal()) is not None:
                engine.store.models.continue_removal(forget(removal))
                pieces += 1
                if pieces == interrupted_after:
                    engine.reopen()
        else:
            assert all((name, new.get(attr)) in HARMLESS | {(name, name)} for attr, name in old.items())


@given(changes(), st.data(), st.integers(0, 30))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_each_attribute_keeps_what_keeps_its_meaning(
    change: tuple[dict[str, str], dict[str, str]], drawn: st.DataObject, interrupted_after: int
) -> None:
    old, new = change
    with tempfile.TemporaryDirectory() as directory:
        life = Life(directory)
        engine = life.engine
        processed, waiting = drawn.draw(data(old)), drawn.draw(data(old))
        life.send(old, processed)
        start(engine, model_of(old))
        life.naive.kept += processed
        life.check(old)
        make_snapshots(engine, model_of(old))
        numbers = {attr: engine.store.names.attr_id("a", attr) for attr in old}
        life.send(old, waiting)

        life.change(old, new, interrupted_after)
        life.naive.change(old, new)
        life.check(new)
        gone = [attr for attr in old if not any(stays(attr, v, old, new) for v in SPECS[old[attr]][1])]
        for attr in gone:
            assert tables_of_attr(engine, numbers[attr]) == set()
            assert not any(attr in doc.values for eid in EIDS for doc in docs(engine, eid))

        later = drawn.draw(data(new))
        life.send(new, later)
        start(engine, model_of(new))
        life.naive.kept += [one for one in waiting if stays(*one[1:], old, new)] + later
        life.check(new)
        lost = [one for one in waiting if not stays(*one[1:], old, new)]
        assert len(engine.letters()) == len(lost)
        make_snapshots(engine, model_of(new))
        engine.close()
