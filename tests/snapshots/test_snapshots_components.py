"""Components of linked entities."""

from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dp3.engine.jobs.snapshots.components import ComponentBuilder, Components
from dp3.store.ports.links import Edge, Node

HOOKED, OTHER = 1, 2
Links = list[tuple[int, int]]

nodes = st.integers(1, 30)
links_between = st.lists(st.tuples(nodes, nodes), max_size=40)


def built(
    links: Iterable[tuple[int, int]], *, absent: frozenset[int] = frozenset(), most: int = 1_000, **types: int
) -> Components:
    """Node n is the entity 100 + n and of a type with hooks, unless said otherwise (`n5=OTHER`)."""
    builder = ComponentBuilder(frozenset({HOOKED}), most)
    builder.link(Edge(1, source, target, 1) for source, target in links)
    builder.describe(
        Node(id_, types.get(f"n{id_}", HOOKED), str(id_), 0 if id_ in absent else 100 + id_)
        for id_ in builder.node_ids()
    )
    return builder.build()


def groups(components: Components) -> list[set[int]]:
    return [set(nodes) for _, nodes in components.after(0)]


def reachable(links: Links) -> list[set[int]]:
    """The same by brute force."""
    sets = [{a, b} for a, b in links]
    for _ in sets:
        for one in sets:
            for other in sets:
                if one & other:
                    one |= other
    return sorted((set(one) for one in {frozenset(one) for one in sets}), key=min)


@given(links_between)
def test_a_component_has_all_that_can_be_reached_over_links_in_any_direction(links: Links) -> None:
    assert groups(built(links)) == reachable(links)


@given(links_between, st.randoms())
def test_the_order_of_links_does_not_matter(links: Links, random: Random) -> None:
    mixed = list(links)
    random.shuffle(mixed)
    assert groups(built(mixed)) == groups(built(links))


def test_a_long_chain_is_one_component() -> None:
    [only] = groups(built([(n, n + 1) for n in range(1, 20_000)], most=50_000))
    assert len(only) == 20_000


def test_a_component_without_a_type_that_has_hooks_does_not_count() -> None:
    assert groups(built([(1, 2), (3, 4)], n3=OTHER, n4=OTHER)) == [{1, 2}]


def test_one_entity_with_hooks_is_enough() -> None:
    assert groups(built([(1, 2), (2, 3)], n1=OTHER, n2=OTHER)) == [{1, 2, 3}]


def test_targets_that_do_not_exist_connect_but_are_no_members() -> None:
    components = built([(1, 2), (3, 2)], absent=frozenset({2}))
    assert groups(components) == [{1, 2, 3}]
    assert list(components.members) == [101, 103]


def test_a_component_that_is_too_large_is_left_out_and_reported() -> None:
    components = built([(1, 2), (2, 3), (4, 5)], most=2)
    assert groups(components) == [{4, 5}]
    assert components.too_large == ((101, 3),)
    assert 101 not in components
    assert 104 in components


def test_work_goes_on_after_the_smallest_entity_of_the_last_component() -> None:
    components = built([(1, 2), (3, 4), (5, 6)])
    assert [first for first, _ in components.after(101)] == [103, 105]
