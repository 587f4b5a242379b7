"""The configuration folder → validated settings and model, or one error that lists every mistake."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from dp3.clock import Clock, SystemClock, to_datetime
from dp3.config.hierarchy import HierarchicalDict
from dp3.config.modules import FOLDER as MODULES
from dp3.config.modules import check_modules, load_module_config, resolve_modules_dir
from dp3.config.old_keys import report_old_keys
from dp3.config.problems import ConfigurationError, Problem
from dp3.config.sections import (
    ApiSettings,
    ControlSettings,
    DatabaseSettings,
    EventLoggingSettings,
    GarbageCollectorSettings,
    HistoryManagerSettings,
    ProcessingCoreSettings,
    SnapshotsSettings,
    TelemetrySettings,
    UpdaterSettings,
)
from dp3.config.source import Source, read_source
from dp3.config.validation import note_never_firing, note_unknown, unused_settings, validate_section
from dp3.model.errors import ModelSpecError, did_you_mean
from dp3.model.spec import ModelSpec

ENTITIES = "db_entities"


def build_model(source: Source) -> ModelSpec | None:
    """The model of all entity files, or None when there are mistakes; they are reported to `source`."""
    _note_empty_files(source)
    entities = source.tree.get(ENTITIES, None)
    broken = {path[1] for path in source.unusable if path[0] == ENTITIES and len(path) == 2}
    if not entities and not broken:
        source.problems.append(_nothing_defined(source, entities is None))
        return None
    try:
        model = ModelSpec({**(entities or {}), **{etype: _stand_in(etype) for etype in sorted(broken)}})
    except ModelSpecError as error:
        for mistake in error.errors:
            if not mistake.path or mistake.path[0] not in broken:
                source.report((ENTITIES, *mistake.path), mistake.message)
        return None
    for note in model.notes:
        source.note((ENTITIES, *note.path), note.message)
    return model


def _nothing_defined(source: Source, missing: bool) -> Problem:
    state = "is missing" if missing else "defines no entity type"
    example = f"expected one file per entity type, for example {ENTITIES}/device.yml"
    return Problem(source.root / ENTITIES, None, (), f"{state}; {example}")


def _stand_in(etype: str) -> dict[str, Any]:
    """Takes the place of a file that cannot be read, so that links to it are not reported as well."""
    return {"entity": {"id": etype, "name": etype, "snapshot": False}, "attribs": {}}


def _note_empty_files(source: Source) -> None:
    for path, (_, document) in source.documents.items():
        if path[0] == ENTITIES and document.value is None:
            source.note(path, "empty, defines no entity type")


__all__ = ["Configuration", "ConfigurationError", "Problem", "load", "load_module_config", "problem_at"]


_SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "processing_core": ProcessingCoreSettings,
        "database": DatabaseSettings,
        "snapshots": SnapshotsSettings,
        "history_manager": HistoryManagerSettings,
        "garbage_collector": GarbageCollectorSettings,
        "updater": UpdaterSettings,
        "control": ControlSettings,
        "event_logging": EventLoggingSettings,
        "telemetry": TelemetrySettings,
        "api": ApiSettings,
    }
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration.

    `path` is the absolute folder, `tree` everything read from it (also `modules.<name>`), `notes` what the
    user should know although it works: settings that are not used, keys and files that nothing reads.
    """

    path: Path
    tree: HierarchicalDict
    model: ModelSpec
    processing_core: ProcessingCoreSettings
    database: DatabaseSettings
    snapshots: SnapshotsSettings
    history_manager: HistoryManagerSettings
    garbage_collector: GarbageCollectorSettings
    updater: UpdaterSettings
    control: ControlSettings
    event_logging: EventLoggingSettings
    telemetry: TelemetrySettings
    api: ApiSettings
    notes: tuple[str, ...]


def load(config_dir: Path, clock: Clock = SystemClock()) -> Configuration:
    """Read and check a configuration folder; raises `ConfigurationError` with all mistakes in it."""
    source = read_source(config_dir)
    _report_misread_numbers(source)
    report_old_keys(source)
    sections: dict[str, Any] = {
        name: validate_section(source, name, settings) for name, settings in _SECTIONS.items()
    }
    sections["processing_core"] = resolve_modules_dir(sections["processing_core"], config_dir)
    check_modules(source, sections["processing_core"])
    _check_log_folders(source, sections["api"])
    model = build_model(source)
    if source.problems or model is None:
        raise ConfigurationError(source.problems)
    _note_what_nothing_reads(source, sections)
    now = to_datetime(clock.now_us())
    for name, section in sections.items():
        note_never_firing(source, name, section, now)
    return Configuration(config_dir.absolute(), source.tree, model, **sections, notes=tuple(source.notes))


def problem_at(config_dir: Path, path: tuple[str, ...], message: str) -> Problem:
    """A mistake that shows only when the configuration is used, with the place of its setting."""
    return Problem(*read_source(config_dir).place(path), message)


def _report_misread_numbers(source: Source) -> None:
    """Numbers that are not what they look like: mistakes in what the platform reads, notes elsewhere, because
    it is for a module to say what its own settings mean."""
    for path, (file, document) in source.documents.items():
        problems = [Problem(file, line, (), message) for line, message in document.misread]
        if path[0] in (*_SECTIONS, ENTITIES):
            source.problems.extend(problems)
        else:
            source.notes.extend(map(str, problems))


def _check_log_folders(source: Source, settings: ApiSettings) -> None:
    for key in ("good_log", "bad_log"):
        file: Path | None = getattr(settings.datapoint_logger, key)
        if file is not None and not file.absolute().parent.is_dir():
            message = f"the folder of the file must exist, got {file}; create {file.absolute().parent}"
            source.report(("api", "datapoint_logger", key), message)


def _note_what_nothing_reads(source: Source, sections: Mapping[str, BaseModel]) -> None:
    for name, section in sections.items():
        note_unknown(source, name, section)
    _note_misspelt_files(source)
    unused = [path for name, section in sections.items() for path in unused_settings(name, section)]
    if unused:
        source.notes.append(f"accepted, but without meaning here: {', '.join(unused)}")


def _note_misspelt_files(source: Source) -> None:
    """Other files are the application's own, unless their name looks like one of the platform's."""
    known = (*_SECTIONS, ENTITIES, MODULES)
    for name in source.tree:
        if name not in known and (hint := did_you_mean(name, known)):
            source.note((name,), f"the platform does not read this{hint}")
