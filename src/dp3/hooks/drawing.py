"""The order of hooks in a snapshot run, as text and as a Mermaid diagram. Pure."""

from collections.abc import Iterable, Sequence

from dp3.hooks.graph import order
from dp3.hooks.registration import HookRegistration, Place


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
