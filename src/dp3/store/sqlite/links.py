"""Links between entities: written by batches, read from both ends."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import apsw
import msgspec

from dp3.sqlite import load_statements
from dp3.store.ports.batches import NO_TARGET, EndedLink, LinkRow
from dp3.store.ports.links import Edge, Node
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.parameters import listed

_Columns = tuple[int, int, int, int, int, int]
"""attr, source node, target node, source entity, until, order."""


REPLACED = 0
"""The end of a plain relation that another value has replaced: no time of a clock that may be wrong."""

_nodes = msgspec.json.Decoder(list[Node]).decode


class LinkWriter:
    """Writes the links of a batch in the caller's transaction; most only confirm what is stored."""

    def __init__(self) -> None:
        self._sql = load_statements("dp3.store.sqlite", "links.sql")

    def note_deletions(self, connection: apsw.Connection, entities: Sequence[int]) -> None:
        """To be called before entities are deleted: remember what they referred to."""
        if entities:
            change = connection.execute(self._sql["next_change"]).get
            deleted = ({"entity": entity, "change": change} for entity in entities)
            connection.executemany(self._sql["add_changes_of_entity"], deleted)

    def write(self, connection: apsw.Connection, links: Sequence[LinkRow], now: int) -> None:
        """Apply the links of existing entities; `now` is the moment of the commit."""
        if links:
            _LinkChanges(connection, self._sql, now).apply(links)

    def end(self, connection: apsw.Connection, links: Sequence[EndedLink]) -> None:
        """Let links end, if they hold longer."""
        for link in links:
            ended = connection.execute(self._sql["end_link"], link).fetchone()
            if ended is not None:
                change = connection.execute(self._sql["next_change"]).get
                connection.execute(self._sql["add_change"], (change, link.attr, ended[0]))


class _LinkChanges:
    """The changes of stored links by one batch."""

    def __init__(self, connection: apsw.Connection, sql: Mapping[str, str], now: int) -> None:
        self._connection = connection
        self._sql = sql
        self._now = now
        self._nodes: dict[tuple[int, str], int] = {NO_TARGET: 0}
        self._sources: dict[int, int | None] = {}
        self._put: list[_Columns] = []
        self._changed: set[tuple[int, int]] = set()

    def apply(self, links: Sequence[LinkRow]) -> None:
        for (source, attr), group in _newest_values(links).items():
            self._replace(source, attr, group)
        for link in _longest(links):
            self._extend(link)
        self._connection.executemany(self._sql["put_link"], sorted(self._put))
        if self._changed:
            change: int = self._connection.execute(self._sql["next_change"]).get
            rows = [(change, *place) for place in sorted(self._changed)]
            self._connection.executemany(self._sql["add_change"], rows)

    def _replace(self, entity: int, attr: int, group: Sequence[LinkRow]) -> None:
        source = self._source(entity)
        if source is None:
            return
        stored = self._stored(attr, source, entity)
        order = group[0].order
        if any(earlier > order for _, earlier in stored.values()):
            return
        wanted = {self._node(link.target_etype, link.target_eid): link.until for link in group}
        for target, until in wanted.items():
            held = stored.get(target)
            if held != (until, order):
                self._put.append((attr, source, target, entity, until if target else REPLACED, order))
            if held is None or held[0] <= self._now:
                self._changed.add((attr, target))
        for target, (until, earlier) in stored.items():
            if target not in wanted and until != REPLACED:
                self._put.append((attr, source, target, entity, REPLACED, earlier))
                self._changed.add((attr, target))

    def _stored(self, attr: int, source: int, entity: int) -> dict[int, tuple[int, int]]:
        rows = self._connection.execute(self._sql["links_of_source"], (attr, source, entity))
        return {target: (until, order) for target, until, order in rows}

    def _extend(self, link: LinkRow) -> None:
        source = self._source(link.source)
        if source is None:
            return
        target = self._node(link.target_etype, link.target_eid)
        stored = self._connection.execute(self._sql["link_until"], (link.attr, source, target, link.source))
        until: int | None = stored.get
        if until is None or until < link.until:
            self._put.append((link.attr, source, target, link.source, link.until, link.order))
        if until is None or until <= self._now < link.until:
            self._changed.add((link.attr, target))

    def _source(self, entity: int) -> int | None:
        """The node of an entity, None if it does not exist."""
        if entity not in self._sources:
            found = self._connection.execute(self._sql["source"], (entity,)).fetchone()
            self._sources[entity] = None if found is None else self._node(*found)
        return self._sources[entity]

    def _node(self, etype: int, eid: str) -> int:
        name = (etype, eid)
        if name not in self._nodes:
            found = self._connection.execute(self._sql["find_node"], name).get
            self._nodes[name] = found or self._connection.execute(self._sql["add_node"], name).get
        return self._nodes[name]


def _newest_values(links: Iterable[LinkRow]) -> dict[tuple[int, int], list[LinkRow]]:
    """(source, attr) of plain relations → the rows that were written last."""
    newest: dict[tuple[int, int], list[LinkRow]] = {}
    for link in links:
        if link.replaces:
            group = newest.setdefault((link.source, link.attr), [])
            if group and link.order > group[0].order:
                group.clear()
            if not group or link.order == group[0].order:
                group.append(link)
    return newest


def _longest(links: Iterable[LinkRow]) -> Iterable[LinkRow]:
    """Of equal observations the one that holds longest."""
    longest: dict[tuple[int, ...] | tuple[int, int, int, str], LinkRow] = {}
    for link in links:
        if not link.replaces:
            known = longest.setdefault(link[:4], link)
            if link.until > known.until:
                longest[link[:4]] = link
    return longest.values()


class Links:
    """See `dp3.store.ports.links.Links`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "links.sql")

    def edges(
        self, attrs: Sequence[int], until_after: int, after: tuple[int, int, int], limit: int
    ) -> list[Edge]:
        edges: list[Edge] = []
        with self._readers.state() as state:
            for attr in sorted(set(attrs)):
                if attr < after[0] or len(edges) >= limit:
                    continue
                source, target = after[1:] if attr == after[0] else (0, 0)
                page = {"attr": attr, "source": source, "target": target, "until_after": until_after}
                rows = state.execute(self._sql["edges"], page | {"limit": limit - len(edges)})
                edges.extend(map(Edge._make, rows))
        return edges

    def nodes(self, ids: Sequence[int]) -> dict[int, Node]:
        text: str = self._readers.value(self._sql["nodes"], {"ids": listed(ids)})
        return {node.id: node for node in _nodes(text)}

    def incoming(
        self, targets: Sequence[tuple[int, str]], attrs: Sequence[int], at: int
    ) -> dict[tuple[int, str], list[tuple[int, int, str]]]:
        incoming: dict[tuple[int, str], list[tuple[int, int, str]]] = {target: [] for target in targets}
        wanted = (
            {"etype": etype, "eid": eid, "attr": attr, "at": at}
            for (etype, eid), attr in product(incoming, set(attrs))
        )
        with self._readers.state() as state:
            for etype, eid, *source in state.executemany(self._sql["incoming"], wanted):
                incoming[etype, eid].append((source[0], source[1], source[2]))
        for sources in incoming.values():
            sources.sort()
        return incoming

    def last_change(self) -> int:
        found: int = self._readers.value(self._sql["last_change"])
        return found

    def targets_changed(
        self, attrs: Sequence[int], change: int, after: int, until: int
    ) -> list[tuple[int, str]]:
        span = {"change": change, "after": after, "until": until}
        wanted = ({"attr": attr, **span} for attr in set(attrs))
        with self._readers.state() as state:
            return sorted(set(state.executemany(self._sql["targets_changed"], wanted)))
