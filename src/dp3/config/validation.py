"""One section of the configuration → its typed settings, with a report of everything that is wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dp3.config.kinds import CronExpression, Unused
from dp3.config.problems import shown
from dp3.config.schedules import never_fires
from dp3.config.source import Source
from dp3.model.errors import did_you_mean

SettingsT = TypeVar("SettingsT", bound=BaseModel)
SettingPath = tuple[str, ...]

_EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "model_type": "a mapping",
        "dict_type": "a mapping",
        "tuple_type": "a list",
        "path_type": "a path",
        "string_type": "text",
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "time_delta_type": "a duration, for example 30s, 5m, 2h or 7d",
        "time_delta_parsing": "a duration, for example 30s, 5m, 2h or 7d",
        "byte_size": "a size, for example 64MiB, 1GB or a number of bytes",
        "byte_size_unit": "a size, for example 64MiB, 1GB or a number of bytes",
    }
)
_QUOTED = re.compile("'([^']*)'")


def validate_section(source: Source, name: str, settings: type[SettingsT]) -> SettingsT:
    """The settings of the file `name`; defaults when it is absent or cannot be used.

    Every mistake is reported to `source` with its place.
    """
    try:
        return settings.model_validate(source.tree.get(name, {}))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = tuple(map(str, details["loc"]))
            source.report((name, *path), _message(settings, path, details))
        return settings()


def note_unknown(source: Source, name: str, section: BaseModel) -> None:
    """Note the keys of a section that nothing reads."""
    for path, owner in _unknown(section, ()):
        hint = did_you_mean(path[-1], owner.model_fields)
        source.note((name, *path), f"unknown key, ignored{hint}")


def unused_settings(name: str, section: BaseModel) -> Iterator[str]:
    """The configured settings of a section that are accepted but have no meaning here, as dotted paths."""
    for path in _unused(section, (name,)):
        yield ".".join(path)


def note_never_firing(source: Source, name: str, section: BaseModel, now: datetime) -> None:
    """Note the schedules of a section that never fire, unless nothing uses them."""
    unused = set(_unused(section, ()))
    for path, cron in _schedules(section, ()):
        message = never_fires(cron.fields(), cron.timezone, now)
        if message and path not in unused:
            source.note((name, *path), message)


def _message(settings: type[BaseModel], path: SettingPath, details: ErrorDetails) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"unknown key{_key_hint(settings, path)}"
    if kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind]}"
    else:
        message = details["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    if ", got " not in message:
        message += f", got {shown(details['input'])}"
    if kind == "literal_error":
        message += did_you_mean(details["input"], _QUOTED.findall(details["ctx"]["expected"]))
    return message


def _key_hint(settings: type[BaseModel], path: SettingPath) -> str:
    owner: type[BaseModel] | None = settings
    for part in path[:-1]:
        owner = None if owner is None else _section_at(owner, part)
    if owner is None:
        return ""
    return did_you_mean(path[-1], owner.model_fields) or f"; known keys: {', '.join(owner.model_fields)}"


def _section_at(owner: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The class of the settings under `key`."""
    field = owner.model_fields.get(key)
    candidates: Sequence[Any] = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _unknown(section: BaseModel, path: SettingPath) -> Iterator[tuple[SettingPath, type[BaseModel]]]:
    for key in section.model_extra or {}:
        yield (*path, key), type(section)
    for below, value in _subsections(section):
        yield from _unknown(value, (*path, *below))


def _unused(section: BaseModel, path: SettingPath) -> Iterator[SettingPath]:
    for key in type(section).model_fields:
        marked = any(isinstance(mark, Unused) for mark in type(section).model_fields[key].metadata)
        if marked and key in section.model_fields_set:
            yield (*path, key)
    for below, value in _subsections(section):
        yield from _unused(value, (*path, *below))


def _schedules(section: BaseModel, path: SettingPath) -> Iterator[tuple[SettingPath, CronExpression]]:
    for below, value in _subsections(section):
        if isinstance(value, CronExpression):
            yield (*path, *below), value
        else:
            yield from _schedules(value, (*path, *below))


def _subsections(section: BaseModel) -> Iterator[tuple[SettingPath, BaseModel]]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield (key,), value
        elif isinstance(value, Mapping):
            yield from (((key, inner), v) for inner, v in value.items() if isinstance(v, BaseModel))
