"""Links between entities: written by batches, read from both ends."""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain

import msgspec

from dp3.store.ports.batches import NO_TARGET, EndedLink, LinkRow
from dp3.store.ports.links import Edge, Node
from dp3.store.sql.session import Database, Session

_Columns = tuple[int, int, int, int, int, int]
"""attr, source node, target node, source entity, until, order."""


_Link = tuple[int, int, int, str]
"""Source entity, attr, type and eid of the target."""

REPLACED = 0
"""The end of a plain relation that another value has replaced: no time of a clock that may be wrong."""

_nodes = msgspec.json.Decoder(list[Node]).decode


class LinkWriter:
    """Writes the links of a batch in the caller's transaction; most only confirm what is stored."""

    def note_deletions(self, session: Session, entities: Sequence[int]) -> None:
        """To be called before entities are deleted: remember what they referred to."""
        if entities:
            change = session.value("links.next_change")
            deleted = {"entities": sorted(entities), "change": change}
            session.run("links.add_changes_of_entities", deleted)

    def write(self, session: Session, links: Sequence[LinkRow], now: int) -> None:
        """Apply the links of existing entities; `now` is the moment of the commit."""
        plain, observed = _newest_values(links), _longest(links)
        stored = _StoredLinks(session)
        stored.load_nodes(chain(*plain.values(), observed))
        stored.load_links(plain, observed)
        changes = _LinkChanges(stored, now)
        for (source, attr), group in plain.items():
            changes.replace(source, attr, group)
        for link in observed:
            changes.extend(link)
        session.bulk("links.put_links", sorted(changes.put))
        self._note(session, changes.changed)

    def end(self, session: Session, links: Iterable[EndedLink]) -> None:
        """Let links end, if they hold longer."""
        earliest: dict[_Link, int] = {}
        for source, attr, etype, eid, until in links:
            place = (source, attr, etype, eid)
            earliest[place] = min(earliest.get(place, until), until)
        ends = [(*place, until) for place, until in sorted(earliest.items())]
        rows = sorted(session.bulk_rows("links.links_beyond", ends))
        session.bulk("links.put_links", rows)
        self._note(session, ((attr, target) for attr, _, target, *_ in rows))

    def _note(self, session: Session, changed: Iterable[Sequence[int]]) -> None:
        """Remember that the links to some (attr, target node) became more or fewer."""
        places = sorted(set(map(tuple, changed)))
        if places:
            change: int = session.value("links.next_change")
            session.bulk("links.add_changes", [(change, *place) for place in places])


class _StoredLinks:
    """The stored links of a batch, and of their ends, as far as the sources exist.

    `sources`: key of an entity → its node; `nodes`: (type, eid) of a target → node. `plain`: (attr, source
    node) → target node → until and order; `observed`: (attr, source node, target node) → until."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.sources: dict[int, int] = {}
        self.nodes: dict[tuple[int, str], int] = {NO_TARGET: 0}
        self.plain: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
        self.observed: dict[tuple[int, int, int], int] = {}

    def load_nodes(self, links: Iterable[LinkRow]) -> None:
        """Look up the ends of links; those that are new are made."""
        ends = [link[:4] for link in links]
        keys = sorted({key for key, *_ in ends})
        names: dict[int, tuple[int, str]] = {}
        for key, etype, eid, node in self._session.rows("links.sources", (keys,)):
            names[key] = etype, eid
            if node is not None:
                self.nodes[etype, eid] = node
        wanted = {(etype, eid) for key, _, etype, eid in ends if key in names}
        self._add_nodes("find_nodes", wanted - self.nodes.keys())
        self._add_nodes("add_nodes", wanted.union(names.values()) - self.nodes.keys())
        self.sources = {key: self.nodes[name] for key, name in names.items()}

    def _add_nodes(self, statement: str, names: Iterable[tuple[int, str]]) -> None:
        rows = self._session.bulk_rows(f"links.{statement}", sorted(names))
        self.nodes.update({(etype, eid): node for etype, eid, node in rows})

    def load_links(self, plain: Iterable[tuple[int, int]], observed: Iterable[LinkRow]) -> None:
        """Look up all links of plain relations (source, attr), and observed ones."""
        sources, nodes = self.sources, self.nodes
        whole = sorted((attr, sources[key], key) for key, attr in plain if key in sources)
        single = sorted(
            (attr, sources[key], nodes[etype, eid], key)
            for key, attr, etype, eid, *_ in observed
            if key in sources
        )
        of_sources = self._session.ask_bulk("links.links_of_sources", whole)
        between = self._session.ask_bulk("links.links_between", single)
        for attr, source, target, until, order in of_sources():
            self.plain.setdefault((attr, source), {})[target] = until, order
        for *link, until in between():
            self.observed[link[0], link[1], link[2]] = until


class _LinkChanges:
    """The changes of stored links by one batch: links as they are now, to be `put`, and (attr, target node)
    to which they became more or fewer (`changed`)."""

    def __init__(self, stored: _StoredLinks, now: int) -> None:
        self._stored = stored
        self._now = now
        self.put: list[_Columns] = []
        self.changed: set[tuple[int, int]] = set()

    def replace(self, entity: int, attr: int, group: Sequence[LinkRow]) -> None:
        """A plain relation has a new value."""
        source = self._stored.sources.get(entity)
        if source is None:
            return
        stored = self._stored.plain.get((attr, source), {})
        order = group[0].order
        if any(earlier > order for _, earlier in stored.values()):
            return
        wanted = {self._stored.nodes[link.target_etype, link.target_eid]: link.until for link in group}
        for target, until in wanted.items():
            held = stored.get(target)
            if held != (until, order):
                self.put.append((attr, source, target, entity, until if target else REPLACED, order))
            if held is None or held[0] <= self._now:
                self.changed.add((attr, target))
        for target, (until, earlier) in stored.items():
            if target not in wanted and until != REPLACED:
                self.put.append((attr, source, target, entity, REPLACED, earlier))
                self.changed.add((attr, target))

    def extend(self, link: LinkRow) -> None:
        """A link was observed."""
        entity, attr, etype, eid, new_until, order, _ = link
        source = self._stored.sources.get(entity)
        if source is None:
            return
        target = self._stored.nodes[etype, eid]
        until = self._stored.observed.get((attr, source, target))
        if until is None or until < new_until:
            self.put.append((attr, source, target, entity, new_until, order))
        if until is None or until <= self._now < new_until:
            self.changed.add((attr, target))


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


def _longest(links: Iterable[LinkRow]) -> Collection[LinkRow]:
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

    def __init__(self, database: Database) -> None:
        self._database = database

    def edges(
        self, attrs: Sequence[int], until_after: int, after: tuple[int, int, int], limit: int
    ) -> list[Edge]:
        first, source, target = after
        wanted = {
            "first": first if first in attrs else -1,
            "source": source,
            "target": target,
            "others": sorted({attr for attr in attrs if attr > first}),
            "until_after": until_after,
            "limit": limit,
        }
        return list(map(Edge._make, self._database.rows("links.edges", wanted)))

    def nodes(self, ids: Sequence[int]) -> dict[int, Node]:
        text: str = self._database.value("links.nodes", {"ids": list(ids)})
        return {node.id: node for node in _nodes(text)}

    def incoming(
        self, targets: Sequence[tuple[int, str]], attrs: Sequence[int], at: int
    ) -> dict[tuple[int, str], list[tuple[int, int, str]]]:
        incoming: dict[tuple[int, str], list[tuple[int, int, str]]] = {target: [] for target in targets}
        relations = sorted(set(attrs))
        with self._database.reading() as session:
            rows = session.bulk_rows("links.incoming", list(incoming), relations, at)
        for etype, eid, *source in rows:
            incoming[etype, eid].append((source[0], source[1], source[2]))
        for sources in incoming.values():
            sources.sort()
        return incoming

    def last_change(self) -> int:
        found: int = self._database.value("links.last_change")
        return found

    def targets_changed(
        self, attrs: Sequence[int], change: int, after: int, until: int
    ) -> list[tuple[int, str]]:
        span = {"change": change, "after": after, "until": until, "attrs": sorted(set(attrs))}
        return sorted(self._database.rows("links.targets_changed", span))
