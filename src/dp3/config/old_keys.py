"""Keys of older versions of DP³: one message with all that is to be done about them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from dp3.config.source import Source

_Path = tuple[str, ...]


class _Step(NamedTuple):
    """The steps to take about `key`, which stood in `section` of the file or folder of files `file`; without
    section, in every group of the file. Values of a key that was `renamed` are checked under its new name."""

    file: str
    section: str
    key: str
    todo: str
    why: str = ""
    renamed: str = ""


_STEPS = (
    _Step(
        "db_entities",
        "entity",
        "key_data_type",
        "rename key_data_type to id_data_type",
        renamed="id_data_type",
    ),
    _Step(
        "db_entities",
        "entity",
        "auto_create_record",
        "remove auto_create_record",
        ": entities are made by their first data-point, unless a hook of a module refuses it "
        "(register_allow_entity_creation_hook)",
    ),
    _Step(
        "history_manager",
        "",
        "days_to_keep",
        "in place of days_to_keep write older_than, with a unit, such as 7d for 7",
    ),
)


def report_old_keys(source: Source) -> None:
    """Report old keys as one problem, at the first of them, and take them out of the tree, so that they are
    not said to be unknown as well."""
    steps: list[str] = []
    paths: list[_Path] = []
    for step in _STEPS:
        if found := list(_taken_out(source, step)):
            paths += found
            places = ", ".join(_shown(source, path) for path in found)
            steps.append(f"{len(steps) + 1}. {step.todo} ({places}){step.why}")
    if paths:
        source.report(paths[0], f"keys of an older version of DP³. Steps: {'; '.join(steps)}")


def _taken_out(source: Source, step: _Step) -> Iterator[_Path]:
    for path, settings in _sections(source, step):
        if step.key in settings:
            value = settings.pop(step.key)
            if step.renamed:
                settings.setdefault(step.renamed, value)
            yield (*path, step.key)


def _sections(source: Source, step: _Step) -> Iterator[tuple[_Path, dict[Any, Any]]]:
    """The mappings in which the key may stand, with their paths."""
    for path in source.documents:
        content = source.tree.get(".".join(path), None) if path[0] == step.file else None
        for name, group in (content or {}).items():
            if step.section in ("", name) and isinstance(group, dict):
                yield (*path, str(name)), group


def _shown(source: Source, path: _Path) -> str:
    place = source.place(path)
    return f"{place.file.relative_to(source.root)}:{place.line}"
