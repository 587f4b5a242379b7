"""Which links the values of relations stand for. Pure."""

from collections.abc import Iterable
from typing import Any

from dp3.engine.plans import LinkPlan
from dp3.store.ports.batches import NO_TARGET, LinkRow

FOREVER = 1 << 62
"""Until when a plain relation holds."""


def plain_links(plan: LinkPlan, source: int, attr: int, written: int, value: Any) -> list[LinkRow]:
    """The links of a plain relation, of which `value` is a link or a list of links. They are all there are:
    one without a target says that there are none."""
    rows = [
        LinkRow(source, attr, plan.target, eid, FOREVER, written, replaces=True) for eid in _targets(value)
    ]
    return rows or [LinkRow(source, attr, *NO_TARGET, FOREVER, written, replaces=True)]


def observed_links(
    plan: LinkPlan, source: int, attr: int, written: int, t2: int, value: Any
) -> list[LinkRow]:
    """The links that one observation says hold until its validity ends; `t2` in µs."""
    until = t2 + plan.post
    return [
        LinkRow(source, attr, plan.target, eid, until, written, replaces=False) for eid in _targets(value)
    ]


def _targets(value: Any) -> Iterable[str]:
    """Ids of the targets, each once. A value that an older model accepted may be no link."""
    links = value if isinstance(value, list) else (value,)
    return dict.fromkeys(str(link["eid"]) for link in links if isinstance(link, dict) and "eid" in link)
