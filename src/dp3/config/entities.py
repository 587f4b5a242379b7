"""The entity types of the configuration → the model."""

from typing import Any

from dp3.config.problems import Problem
from dp3.config.source import Source
from dp3.model.errors import ModelSpecError
from dp3.model.spec import ModelSpec

FOLDER = "db_entities"


def build_model(source: Source) -> ModelSpec | None:
    """The model of all entity files, or None when there are mistakes; they are reported to `source`."""
    _note_empty_files(source)
    entities = source.tree.get(FOLDER, None)
    broken = {path[1] for path in source.unusable if path[0] == FOLDER and len(path) == 2}
    if not entities and not broken:
        source.problems.append(_nothing_defined(source, entities is None))
        return None
    try:
        model = ModelSpec({**(entities or {}), **{etype: _stand_in(etype) for etype in sorted(broken)}})
    except ModelSpecError as error:
        for mistake in error.errors:
            if not mistake.path or mistake.path[0] not in broken:
                source.report((FOLDER, *mistake.path), mistake.message)
        return None
    for note in model.notes:
        source.note((FOLDER, *note.path), note.message)
    return model


def _nothing_defined(source: Source, missing: bool) -> Problem:
    state = "is missing" if missing else "defines no entity type"
    example = f"expected one file per entity type, for example {FOLDER}/device.yml"
    return Problem(source.root / FOLDER, None, (), f"{state}; {example}")


def _stand_in(etype: str) -> dict[str, Any]:
    """Takes the place of a file that cannot be read, so that links to it are not reported as well."""
    return {"entity": {"id": etype, "name": etype, "snapshot": False}, "attribs": {}}


def _note_empty_files(source: Source) -> None:
    for path, (_, document) in source.documents.items():
        if path[0] == FOLDER and document.value is None:
            source.note(path, "empty, defines no entity type")
