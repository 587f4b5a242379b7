"""The order in which hooks run in a snapshot run, also as text and as a Mermaid diagram. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from dp3.hooks.errors import CycleError
from dp3.hooks.registration import HookRegistration, Place

Successors = Mapping[int, Sequence[int]]


def order(registrations: Iterable[HookRegistration]) -> tuple[HookRegistration, ...]:
    """Registrations that run in snapshots, each after all hooks that write what it reads.

    Kahn's algorithm over all entity types together; among hooks that could run, the one registered first
    runs first, so the result depends on nothing but the input. Raises `CycleError`, which names the
    cycle, when there is no such order.
    """
    hooks = [registration for registration in registrations if registration.orders]
    successors = _successors(hooks)
    ordered = _kahn(len(hooks), successors)
    if len(ordered) < len(hooks):
        left = set(range(len(hooks))) - set(ordered)
        raise CycleError(_describe_cycle(hooks, _find_cycle(left, successors)))
    return tuple(hooks[index] for index in ordered)


def _successors(hooks: Sequence[HookRegistration]) -> Successors:
    """For each hook the hooks that read what it writes."""
    readers: dict[Place, list[int]] = {}
    for index, hook in enumerate(hooks):
        for place in set(hook.reads):
            readers.setdefault(place, []).append(index)
    return {
        index: sorted({reader for place in hook.writes for reader in readers.get(place, ())})
        for index, hook in enumerate(hooks)
    }


def _kahn(count: int, successors: Successors) -> list[int]:
    waits_for = [0] * count
    for followers in successors.values():
        for follower in followers:
            waits_for[follower] += 1
    ready = [index for index in range(count) if not waits_for[index]]
    heapify(ready)
    ordered = []
    while ready:
        index = heappop(ready)
        ordered.append(index)
        for follower in successors[index]:
            waits_for[follower] -= 1
            if not waits_for[follower]:
                heappush(ready, follower)
    return ordered


def _find_cycle(left: set[int], successors: Successors) -> list[int]:
    """A cycle among hooks each of which waits for another one of them: walk backwards until one repeats."""
    predecessors = {follower: index for index in sorted(left) for follower in successors[index]}
    trail: list[int] = []
    index = min(left)
    while index not in trail:
        trail.append(index)
        index = predecessors[index]
    return trail[trail.index(index) :][::-1]


def _describe_cycle(hooks: Sequence[HookRegistration], cycle: Sequence[int]) -> str:
    """`hook -> place -> hook -> place -> first hook`."""
    steps = []
    for index, follower in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        etype, attr = next(place for place in hooks[index].writes if place in hooks[follower].reads)
        steps.append(f"{hooks[index].correlation_id} -> {etype}.{attr}")
    return " -> ".join([*steps, hooks[cycle[0]].correlation_id])


# -- shown -------------------------------------------------------------------------------------------------
def order_as_text(registrations: Iterable[HookRegistration]) -> str:
    """One line for each hook in the order in which they run: what it reads and what it writes."""
    lines = [
        f"{number}. {hook.module}: {hook.name} for every {hook.etype}\n"
        f"   reads {_listed(hook.reads)}; writes {_listed(hook.writes)}"
        for number, hook in enumerate(order(registrations), 1)
    ]
    return "\n".join(lines) or "No hook runs in snapshots."


def order_as_mermaid(registrations: Iterable[HookRegistration]) -> str:
    """A flowchart: attributes are rounded, hooks are boxes, arrows lead from reads to writes."""
    hooks = order(registrations)
    places = dict.fromkeys(place for hook in hooks for place in (*hook.reads, *hook.writes))
    names = {place: f"a{number}" for number, place in enumerate(places, 1)}
    lines = [f'    {name}("{_shown(place)}")' for place, name in names.items()]
    for number, hook in enumerate(hooks, 1):
        lines.append(f'    h{number}["{number}. {_escaped(hook.name)}<br/>{hook.etype}"]')
        lines.extend(f"    {names[place]} --> h{number}" for place in hook.reads)
        lines.extend(f"    h{number} --> {names[place]}" for place in hook.writes)
    return "\n".join(["flowchart LR", *lines])


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(map(_shown, places)) or "nothing"


def _shown(place: Place) -> str:
    return ".".join(place)


def _escaped(text: str) -> str:
    """Names of hooks may hold angle brackets (`<lambda>`, `<locals>`) and quotes."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
