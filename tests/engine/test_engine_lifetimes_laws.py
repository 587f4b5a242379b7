"""Over months, whatever happens: what lives, and what is linked, is as in a naive model."""

from hypothesis import given, settings
from hypothesis import strategies as st
from lives import lives
from naive_lives import MODEL, TARGETS

from kit.rooms import examples

NUMBERS = st.integers(0, 2)
HOURS = st.one_of(st.integers(1, 30), st.integers(24, 24 * 8), st.integers(24 * 8, 24 * 40))


def refs(*etypes):
    return st.tuples(st.sampled_from(etypes), NUMBERS).map(
        lambda chosen: (chosen[0], f"{chosen[0]}{chosen[1]}")
    )


def link_to(etype):
    return NUMBERS.map(lambda number: {"eid": f"{etype}{number}"})


def values_of(attr):
    if attr == "many":
        return st.lists(link_to("dev"), min_size=1, max_size=3, unique_by=lambda link: link["eid"])
    if attr in TARGETS:
        return link_to(TARGETS[attr])
    return st.just({"n": [1]}) if attr == "ts" else NUMBERS


@st.composite
def puts(draw):
    ref = draw(refs(*MODEL.entities))
    attr = draw(st.sampled_from(list(MODEL.attribs(ref[0]))))
    return ("put", ref, attr, draw(values_of(attr)), draw(st.integers(-60, 60)))


names = st.sampled_from(["base", "data", "a.b", "", "žár"])
actions = st.one_of(
    puts(),
    puts(),
    puts(),
    puts(),
    st.tuples(st.just("token"), refs("dev", "tag", "port"), names, st.integers(-30, 24 * 20)),
    st.tuples(st.just("delete"), refs("dev", "port", "tag")),
    st.tuples(st.just("wait"), HOURS),
    st.tuples(st.just("wait"), HOURS),
    st.tuples(st.just("wait"), HOURS, st.integers(0, 12)),
    st.tuples(st.just("restart"), st.integers(1, 3), st.one_of(st.just(0), HOURS)),
    st.tuples(st.just("lose_state")),
)


@given(st.lists(actions, min_size=5, max_size=40), st.integers(1, 3))
@settings(max_examples=examples(40), deadline=None)
def test_lives_and_links_are_those_of_a_naive_model(script, processes):
    with lives(processes) as both:
        for name, *arguments in script:
            getattr(both, name)(*arguments)
            if name == "wait":
                both.compare()
        both.settle()
        both.compare()


link_attrs = st.sampled_from(["one", "many", "near"])
links_and_deletions = st.one_of(
    link_attrs.flatmap(
        lambda attr: st.tuples(
            st.just("put"), refs("tag"), st.just(attr), values_of(attr), st.integers(-50, 50)
        )
    ),
    st.tuples(st.just("delete"), refs("dev")),
    st.tuples(st.just("put"), refs("dev"), st.just("q"), NUMBERS, st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("lose_state")),
)


@given(st.lists(links_and_deletions, min_size=3, max_size=25), st.integers(1, 3))
@settings(max_examples=examples(30), deadline=None)
def test_after_a_deletion_nobody_has_older_links_that_held_whether_there_was_data_or_not(script, processes):
    with lives(processes) as both:
        for name, *arguments in script:
            getattr(both, name)(*arguments)
            if name == "delete":
                both.compare()
        both.settle()
        both.compare()
