"""Rules of the order of hooks in snapshot runs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.hooks.errors import CycleError
from dp3.hooks.graph import order
from dp3.hooks.registration import HookRegistration


def a_hook(name: str, reads: str = "", writes: str = "") -> HookRegistration:
    return HookRegistration(
        kind="correlation",
        hook=print,
        name=name,
        entity_type="e",
        reads=tuple(("e", attr) for attr in reads),
        writes=tuple(("e", attr) for attr in writes),
    )


def names(*hooks: HookRegistration) -> str:
    return "".join(hook.name for hook in order(hooks))


def test_hooks_without_dependencies_keep_the_order_of_registration() -> None:
    assert names(a_hook("C"), a_hook("A"), a_hook("B")) == "CAB"


def test_reader_runs_after_all_writers() -> None:
    assert names(a_hook("R", reads="x"), a_hook("V", writes="x"), a_hook("W", writes="x")) == "VWR"


def test_chain_is_followed_whatever_the_order_of_registration() -> None:
    assert names(a_hook("3", "y", "z"), a_hook("2", "x", "y"), a_hook("1", "", "x")) == "123"


def test_hooks_outside_snapshots_have_no_place_in_the_order() -> None:
    assert order([replace(a_hook("A"), kind="task")]) == ()


def test_cycle_is_named() -> None:
    hooks = [a_hook("S", writes="x"), a_hook("A", "x", "y"), a_hook("B", "y", "x"), a_hook("Z", "y")]
    with pytest.raises(CycleError) as caught:
        order(hooks)
    cycle = str(caught.value).split(" -> ")
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"A(e, [], [])", "e.y", "B(e, [], [])", "e.x"}


places = st.text(alphabet="uvwxyz", max_size=3)


@given(st.lists(st.tuples(places, places), max_size=8))
def test_order_exists_exactly_when_no_hook_waits_for_itself(edges: list[tuple[str, str]]) -> None:
    hooks = [a_hook(str(index), reads, writes) for index, (reads, writes) in enumerate(edges)]
    follows = {
        (i, j) for i, a in enumerate(hooks) for j, b in enumerate(hooks) if set(a.writes) & set(b.reads)
    }
    reach = set(follows)
    for middle in range(len(hooks)):
        reach |= {(i, j) for i, m in reach if m == middle for n, j in reach if n == middle}
    if any(i == j for i, j in reach):
        with pytest.raises(CycleError):
            order(hooks)
    else:
        position = {hook: index for index, hook in enumerate(order(hooks))}
        assert len(position) == len(hooks)
        assert all(position[hooks[i]] < position[hooks[j]] for i, j in follows)
