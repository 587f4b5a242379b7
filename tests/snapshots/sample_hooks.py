"""Correlation hooks that change values, of all kinds that an application may have, good ones and bad ones.

Functions of their arguments alone, so the engine and the naive model can call the same ones. What they
write to other entities does not depend on the order in which entities of a type come.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec

Values = dict[str, Any]
Paths = Sequence[Sequence[str]]


class SampleHook(NamedTuple):
    """`register` does it; `needs` are attributes (of any type) without which the hook has no place."""

    register: Callable[[CallbackRegistrar], None]
    needs: frozenset[tuple[str, str]]

    def fits(self, model: ModelSpec) -> bool:
        return self.needs <= model.attributes.keys()


def sample(register: Callable[[CallbackRegistrar], None], *needs: str) -> SampleHook:
    """`needs`: `"etype.attr"`."""
    places = (need.split(".") for need in needs)
    return SampleHook(register, frozenset((etype, attr) for etype, attr in places))


def records(value: Any) -> Iterator[Values]:
    """The records behind a link, a list of links or a list of such lists; empty ones if there are none."""
    if isinstance(value, list):
        for element in value:
            yield from records(element)
    elif isinstance(value, dict):
        yield value.get("record", {})


def _texts(value: Any, attr: str) -> str:
    texts = [record[attr] for record in records(value) if isinstance(record.get(attr), str)]
    return "/".join(sorted(texts))


def _sum(value: Any, attr: str) -> int:
    numbers = [record[attr] for record in records(value) if isinstance(record.get(attr), int)]
    return sum(numbers)


def score_of_neighbours(etype: str, values: Values) -> None:
    values["score"] = _sum(values.get("l"), "p")


def far_over_two_links(etype: str, values: Values) -> None:
    values["far"] = "+".join(sorted(_texts(record.get("c"), "q") for record in records(values.get("lp"))))


def sum_through_mirror(etype: str, values: Values) -> None:
    values["n"] = _sum(values.get("as"), "p")


def names_through_mirror_and_link(etype: str, values: Values) -> None:
    values["q"] = ",".join(sorted(_texts(record.get("as"), "s") for record in records(values.get("bs"))))


def name_of_the_way_back(etype: str, values: Values) -> None:
    values["q"] = _texts(values.get("back"), "s")


def mark_the_linked(etype: str, values: Values) -> None:
    for record in records(values.get("l")):
        record["n"] = max(record.get("n") or 0, values.get("p", 0))


def friends_by_array(etype: str, values: Values) -> None:
    values["far"] = _texts(values.get("la"), "s")


def places_by_observed_arrays(etype: str, values: Values) -> None:
    values["score"] = len(_texts(values.get("lo"), "q"))


def own_confidence(etype: str, values: Values) -> None:
    if values.get("p", 0) % 2 == 0:
        values.pop("o#c", None)
    elif "o" in values:
        values["o#c"] = 0.125


def own_value(etype: str, values: Values) -> None:
    if values.get("p") == 1:
        values["o"] = -7
    elif values.get("p") == 2:
        values.pop("o", None)


def own_confidences(etype: str, values: Values) -> None:
    if "om" in values and values.get("p") == 1:
        values["om#c"] = [0.5 for _ in values["om"]]
    elif "om" in values and values.get("p") == 2:
        values["om"].pop()
    else:
        values.pop("om#c", None)


def replaced_link(etype: str, values: Values) -> None:
    if values.get("p") == 1:
        values["lp"] = None
    elif values.get("p") == 2:
        values.pop("lp", None)
    elif "lp" in values:
        values["lp"] = {**values["lp"], "why": "a copy"}


def longer_list(etype: str, values: Values) -> None:
    if isinstance(values.get("l"), list):
        values["l"].append({"eid": 10})


def more_than_attributes(etype: str, values: Values) -> None:
    values["note"] = {"p": values.get("p"), "list": [1, None, "x", 0.5, True]}


def fails_in_the_middle(etype: str, values: Values) -> None:
    values["score"] = 1
    if values.get("p") != 1:
        raise ValueError("not an odd one")
    values["far"] = "reached"


def not_to_be_stored(etype: str, values: Values) -> None:
    values["s"] = object()


def _hook(
    call: Callable[[str, Values], None], etype: str, depends_on: Paths, may_change: Paths, *needs: str
) -> SampleHook:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(call, etype, depends_on, may_change)

    return sample(register, *needs)


CHANGING_HOOKS = (
    _hook(score_of_neighbours, "a", [["l", "p"]], [["score"]], "a.l", "b.p", "a.score"),
    _hook(far_over_two_links, "a", [["lp", "c", "q"]], [["far"]], "a.lp", "b.c", "c.q", "a.far"),
    _hook(sum_through_mirror, "b", [["as", "p"]], [["n"]], "b.as", "a.p", "b.n"),
    _hook(names_through_mirror_and_link, "c", [["bs", "as", "s"]], [["q"]], "c.bs", "b.as", "a.s", "c.q"),
    _hook(mark_the_linked, "a", [["p"]], [["l", "n"]], "a.p", "a.l", "b.n"),
    _hook(friends_by_array, "a", [["la", "s"]], [["far"]], "a.la", "a.s", "a.far"),
    _hook(places_by_observed_arrays, "a", [["lo", "q"]], [["score"]], "a.lo", "c.q", "a.score"),
    _hook(own_confidence, "a", [["p"]], [["o"]], "a.p", "a.o"),
    _hook(own_value, "a", [["p"]], [["o"]], "a.p", "a.o"),
    _hook(own_confidences, "a", [["p"]], [["om"]], "a.p", "a.om"),
    _hook(replaced_link, "a", [["p"]], [["lp"]], "a.p", "a.lp"),
    _hook(longer_list, "a", [["p"]], [["l"]], "a.p", "a.l"),
    _hook(more_than_attributes, "a", [["p"]], [], "a.p"),
    _hook(name_of_the_way_back, "c", [["back", "s"]], [["q"]], "c.back", "a.s", "c.q"),
    _hook(fails_in_the_middle, "a", [["p"]], [["score"]], "a.p", "a.score"),
    _hook(not_to_be_stored, "a", [], [["s"]], "a.s"),
)
