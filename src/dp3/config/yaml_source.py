"""One YAML file → its value and the line of every key and item in it.

Values are those of PyYAML's safe loader. A key that stands twice in one mapping is an error: the loader
alone would silently keep the last. Numbers that are not what they look like are listed.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from dp3.config.misread import misread

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE_TAG = "tag:yaml.org,2002:merge"


class Mistake(NamedTuple):
    """A mistake in the text of a file; lines count from 1."""

    line: int | None
    message: str


class InvalidYaml(yaml.YAMLError):
    """The text is not YAML or has keys twice; `mistakes` tells where."""

    def __init__(self, name: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(f"{name}:{line}: {message}" for line, message in mistakes))
        self.mistakes = tuple(mistakes)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """The safe loader, with the line also for scalars that only look like a date or number."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: `value` is None when it is empty; `misread` are numbers that look like others."""

    value: Any
    node: yaml.Node | None
    misread: tuple[Mistake, ...] = ()

    def line(self, path: Sequence[Hashable]) -> int:
        """The line of the key or item at `path`, or of the nearest enclosing one that exists."""
        node = self.node
        line = 1 if node is None else node.start_mark.line + 1
        for part in path:
            step = _step(node, str(part))
            if step is None:
                break
            marked, node = step
            line = marked.start_mark.line + 1
        return line


def parse(text: bytes, name: str) -> Document:
    """Parse the content of the file called `name`; raises `InvalidYaml`."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            nodes = list(_nodes(node, set()))
            duplicates = [mistake for mapping in nodes for mistake in _repeated_keys(mapping)]
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise InvalidYaml(name, [_mistake(error, text)]) from error
    except RecursionError as error:
        raise InvalidYaml(name, [Mistake(1, "nested too deeply to be read")]) from error
    if duplicates:
        raise InvalidYaml(name, duplicates)
    return Document(value, node, tuple(_misread_numbers(nodes)))


def _step(node: yaml.Node | None, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that marks the position of a child, and the child."""
    if isinstance(node, yaml.MappingNode):
        # Merged keys come first, so the last one is the one that counts.
        for key, value in reversed(node.value):
            if key.value == part:
                return key, value
    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        return node.value[int(part)], node.value[int(part)]
    return None


def _nodes(node: yaml.Node | None, visited: set[int]) -> Iterator[yaml.Node]:
    """All nodes of a document, each once, in the order in which they are written."""
    if node is None or id(node) in visited:  # an alias leads to a node once more
        return
    visited.add(id(node))
    yield node
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    for child in children:
        yield from _nodes(child, visited)


def _misread_numbers(nodes: Iterable[yaml.Node]) -> Iterator[Mistake]:
    for node in nodes:
        if isinstance(node, yaml.ScalarNode) and (message := misread(node)):
            yield Mistake(node.start_mark.line + 1, message)


def _repeated_keys(node: yaml.Node) -> Iterator[Mistake]:
    if not isinstance(node, yaml.MappingNode):
        return
    first_lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
            continue
        line = key.start_mark.line + 1
        first = first_lines.get((key.tag, key.value))
        if first is None:
            first_lines[key.tag, key.value] = line
        else:
            yield Mistake(line, f"key '{key.value}' stands twice, first on line {first}; remove one")


def _mistake(error: yaml.YAMLError, text: bytes) -> Mistake:
    lines = text.splitlines() or [b""]
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else min(mark.line + 1, len(lines))  # the end may lie after the last line
        hint = "; indent with blanks, not tabs" if line and b"\t" in lines[line - 1] else ""
        return Mistake(line, f"not valid YAML: {_explanation(error)}{hint}")
    position = getattr(error, "position", None)
    line = None if position is None else text[:position].count(b"\n") + 1
    reason = getattr(error, "reason", None) or str(error)
    return Mistake(line, f"not valid YAML: {reason}; expected text in UTF-8 without control characters")


def _explanation(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "unreadable"
    if not error.context:
        return problem
    start = "" if error.context_mark is None else f" that starts on line {error.context_mark.line + 1}"
    return f"{error.context}{start}, {problem}"
