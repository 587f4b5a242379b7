"""The configuration folder as read: one tree of values, and the place of each of them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dp3.config.hierarchy import HierarchicalDict, is_config_file, visible_entries
from dp3.config.problems import ConfigurationError, Problem, shown
from dp3.config.yaml_source import Document, InvalidYaml, parse


class Place(NamedTuple):
    """A setting's file, line and path within that file."""

    file: Path
    line: int | None
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Everything in the folder `root`. Files that cannot be used are missing in `tree`, named in `unusable`
    (paths from the root, without suffix) and explained in `problems`; empty ones are only in `documents`."""

    root: Path
    tree: HierarchicalDict = field(default_factory=HierarchicalDict)
    documents: dict[tuple[str, ...], tuple[Path, Document]] = field(default_factory=dict)
    unusable: set[tuple[str, ...]] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def place(self, path: Sequence[Hashable]) -> Place:
        """The place of the setting at `path` (from the root), or of its nearest enclosing one that exists."""
        texts = tuple(map(str, path))
        for length in range(len(texts), 0, -1):
            if found := self.documents.get(texts[:length]):
                file, document = found
                return Place(file, document.line(texts[length:]), texts[length:])
        folders = next(
            n for n in range(len(texts), -1, -1) if n == 0 or self.root.joinpath(*texts[:n]).is_dir()
        )
        return Place(self.root.joinpath(*texts[:folders]), None, texts[folders:])

    def report(self, path: Sequence[Hashable], message: str) -> None:
        """Add a problem at the place of the setting."""
        self.problems.append(Problem(*self.place(path), message))

    def note(self, path: Sequence[Hashable], message: str) -> None:
        """Add something the user should know although the configuration can be used."""
        self.notes.append(str(Problem(*self.place(path), message)))


def read_source(root: Path) -> Source:
    """Read the folder recursively. Raises `ConfigurationError` when it cannot be opened."""
    source = Source(root)
    try:
        _read_folder(source, root, (), source.tree)
    except OSError as error:
        raise ConfigurationError([Problem(root, None, (), str(error))]) from error
    return source


def _read_folder(source: Source, folder: Path, path: tuple[str, ...], tree: HierarchicalDict) -> None:
    for entry in visible_entries(folder):
        if entry.is_dir():
            _read_subfolder(source, entry, (*path, entry.name), tree)
        elif is_config_file(entry):
            _read_file(source, entry, (*path, entry.stem), tree)
        elif entry.suffix == ".yaml":
            source.notes.append(f"{entry}: not read; rename it to {entry.stem}.yml")


def _read_subfolder(source: Source, folder: Path, path: tuple[str, ...], tree: HierarchicalDict) -> None:
    branch = HierarchicalDict()
    try:
        _read_folder(source, folder, path, branch)
    except OSError as error:
        _refuse(source, folder, path, None, str(error))
        return
    tree[path[-1]] = branch


def _read_file(source: Source, file: Path, path: tuple[str, ...], tree: HierarchicalDict) -> None:
    try:
        document = parse(file.read_bytes(), str(file))
    except OSError as error:
        _refuse(source, file, path, None, f"cannot be read: {error.strerror}")
        return
    except InvalidYaml as error:
        for line, message in error.mistakes:
            _refuse(source, file, path, line, message)
        return
    value = document.value
    if value is not None and not isinstance(value, dict):
        _refuse(source, file, path, document.line(()), f"expected a mapping, got {shown(value)}")
    elif path[-1] in tree:  # a folder: it sorts before the file
        _refuse(
            source, file, path, None, f"stands beside the folder {file.stem}/; keep the folder or the file"
        )
    else:
        source.documents[path] = (file, document)
        if value is not None:
            tree[path[-1]] = HierarchicalDict(value)


def _refuse(source: Source, file: Path, path: tuple[str, ...], line: int | None, message: str) -> None:
    source.unusable.add(path)
    source.problems.append(Problem(file, line, (), message))
