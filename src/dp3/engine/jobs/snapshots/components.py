"""Components: entities that are linked with each other, directly or by others.

When the work of a run begins, the first worker that needs them has a `ComponentSearch` read the links and
build them from integers; all workers take those.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dp3.common.utils import batched
from dp3.engine.jobs.job import finished
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.writing import BackgroundIo
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.links import Edge, Node
from dp3.store.ports.runs import Run
from dp3.store.ports.state import State

EDGES = 1_000
"""Links that are read at once."""


class Forest:
    """Union-find over 0, 1, 2, …; the smallest number of a set stands for it."""

    def __init__(self) -> None:
        self._parent = array("q")

    def add(self) -> int:
        """A new number, in a set of its own."""
        number = len(self._parent)
        self._parent.append(number)
        return number

    def unite(self, a: int, b: int) -> None:
        """Make one set of the sets of both."""
        a, b = self.find(a), self.find(b)
        if a < b:
            self._parent[b] = a
        else:
            self._parent[a] = b

    def find(self, number: int) -> int:
        """The number that stands for the set; paths are halved on the way."""
        parent = self._parent
        while (above := parent[number]) != number:
            parent[number] = number = parent[above]
        return number


@dataclass(frozen=True, slots=True)
class Components:
    """Linked entities that are processed together, ordered by their smallest entity key.

    Component `i` has the nodes `nodes[starts[i] : starts[i + 1]]` (ids, ascending); `firsts[i]` is its
    smallest entity key. `members` are the keys of all their entities, ascending. `too_large` are (smallest
    entity key, size) of those that were left out because of their size. `newest` has, by partition, the
    newest entity key that there was when links began to be read.
    """

    nodes: "array[int]" = field(default_factory=lambda: array("q"))
    starts: "array[int]" = field(default_factory=lambda: array("q", [0]))
    firsts: "array[int]" = field(default_factory=lambda: array("q"))
    members: "array[int]" = field(default_factory=lambda: array("q"))
    too_large: tuple[tuple[int, int], ...] = ()
    newest: "array[int]" = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.firsts)

    def __contains__(self, entity: object) -> bool:
        """True if the entity (key) belongs to one of them."""
        return isinstance(entity, int) and bool(self.known([entity]))

    def known(self, entities: Iterable[int]) -> set[int]:
        """Those of some entities (keys) that belong to one of them."""
        members, count = self.members, len(self.members)
        return {
            entity
            for entity in entities
            if (index := bisect_left(members, entity)) < count and members[index] == entity
        }

    def newer(self, entities: Iterable[int]) -> set[int]:
        """Those of some entities (keys) that came later: it is not known whom they are linked with."""
        newest, count = self.newest, len(self.newest)
        return {
            entity
            for entity in entities
            if (partition := entity >> ENTITY_SHIFT) < count and entity > newest[partition]
        }

    def after(self, first: int) -> "Iterator[tuple[int, array[int]]]":
        """(smallest entity key, node ids) of those with a smallest key above `first`, ascending."""
        for index in range(bisect_right(self.firsts, first), len(self.firsts)):
            yield self.firsts[index], self.nodes[self.starts[index] : self.starts[index + 1]]

    def encode(self) -> bytes:
        """For other workers of the same installation: numbers are in the byte order of the machine."""
        arrays = [array_.tobytes() for array_ in (self.nodes, self.starts, self.firsts, self.members)]
        return _encode((arrays, self.too_large, self.newest.tobytes()))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[bytes], tuple[tuple[int, int], ...], bytes]).decode


def decode_components(data: bytes) -> Components:
    """The inverse of `Components.encode`."""
    arrays, too_large, newest = _decode(data)
    nodes, starts, firsts, members = (array("q", numbers) for numbers in arrays)
    return Components(nodes, starts, firsts, members, too_large, array("q", newest))


class ComponentBuilder:
    """Collects links, then what the nodes at their ends are.

    A component counts if it has an entity and a node of one of the `wanted` entity types (numbers), or if
    `wanted` is None; it is left out if it has more than `max_size` nodes. `newest`: see `Components`.
    """

    def __init__(self, wanted: Container[int] | None, max_size: int, newest: Iterable[int] = ()) -> None:
        self._wanted = wanted
        self._max_size = max_size
        self._newest = array("q", newest)
        self._forest = Forest()
        self._index: dict[int, int] = {}
        self._entities: dict[int, int] = {}
        self._of_interest: set[int] = set()

    def link(self, edges: Iterable[Edge]) -> None:
        """Take links into account."""
        for edge in edges:
            self._forest.unite(self._number(edge.source), self._number(edge.target))

    def _number(self, node: int) -> int:
        number = self._index.get(node)
        if number is None:
            number = self._index[node] = self._forest.add()
        return number

    def node_ids(self) -> list[int]:
        """The nodes at the ends of all links, ascending."""
        return sorted(self._index)

    def describe(self, nodes: Iterable[Node]) -> None:
        """Say what the nodes are."""
        for node in nodes:
            if node.entity:
                self._entities[node.id] = node.entity
            if self._wanted is None or node.etype in self._wanted:
                self._of_interest.add(self._forest.find(self._index[node.id]))

    def build(self) -> Components:
        """All components that count."""
        groups: dict[int, list[int]] = {}
        for node in sorted(self._index):
            root = self._forest.find(self._index[node])
            if root in self._of_interest:
                groups.setdefault(root, []).append(node)
        found = sorted((first, nodes) for nodes in groups.values() if (first := self._first(nodes)))
        kept = [(first, nodes) for first, nodes in found if len(nodes) <= self._max_size]
        too_large = tuple((first, len(nodes)) for first, nodes in found if len(nodes) > self._max_size)
        return self._packed(kept, too_large)

    def _first(self, nodes: list[int]) -> int:
        """The smallest entity key among nodes, 0 if none of them exists."""
        return min((self._entities[node] for node in nodes if node in self._entities), default=0)

    def _packed(
        self, kept: list[tuple[int, list[int]]], too_large: tuple[tuple[int, int], ...]
    ) -> Components:
        nodes, starts, firsts = array("q"), array("q", [0]), array("q")
        for first, group in kept:
            nodes.extend(group)
            starts.append(len(nodes))
            firsts.append(first)
        members = array("q", sorted(self._entities[node] for node in nodes if node in self._entities))
        return Components(nodes, starts, firsts, members, too_large, self._newest)


class ComponentSearch:
    """Finds the components of runs. Links may change while a run is under way, but all workers, also those
    that are started again, divide the work by the same components: those that the first worker has found."""

    def __init__(
        self, state: State, lease: Lease, plans: SnapshotPlans, threads: HookThreads, io: BackgroundIo
    ) -> None:
        self._state = state
        self._lease = lease
        self._plans = plans
        self._threads = threads
        self._io = io

    def of(self, run: Run) -> Generator[Future[Any] | None, None, Components]:
        """The components of a run, found now if nobody has."""
        if not self._plans.links:
            return Components()
        graph = self._state.runs.graph(run.id)
        if graph is None:
            found = yield from self._find(run.time)
            encoded = found.encode()
            kept = self._io.read(self._state.runs.put_graph, self._lease, run.id, encoded)
            yield from finished(kept)
            kept.result()
            graph = self._state.runs.graph(run.id) or encoded
        return decode_components(graph)

    def _find(self, at: int) -> Generator[Future[Any] | None, None, Components]:
        state, plans = self._state, self._plans
        wanted = frozenset(number for number, plan in plans.types.items() if plan.hooked)
        last = state.entities.last_keys()
        newest = [last.get(partition, 0) for partition in range(state.partitions)]
        builder = ComponentBuilder(wanted if plans.keep_empty else None, plans.max_component, newest)
        after = (0, 0, 0)
        while edges := state.links.edges(plans.links, at, after, EDGES):
            builder.link(edges)
            after = (edges[-1].attr, edges[-1].source, edges[-1].target)
            yield None
        for ids in batched(builder.node_ids(), EDGES):
            builder.describe(state.links.nodes(ids).values())
            yield None
        built = self._threads.submit(builder.build)
        yield from finished(built)
        return built.result()
