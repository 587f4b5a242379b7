"""The page on configuration names every key with its default, and nothing else."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from doc_pages import Row, fenced, found, page, part, rows
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dp3.config import sections
from dp3.config.kinds import LenientSection, Section, Unused
from dp3.config.loading import Configuration, load
from dp3.model.attrspec import (
    AttrSpecGeneric,
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecTimeseries,
    ObservationsHistoryParams,
    TimeseriesTSParams,
    timeseries_types,
)
from dp3.model.datatype import DataType
from dp3.model.entityspec import (
    EidDataType,
    EntitySpec,
    ImmortalLifetime,
    TimeToLiveLifetime,
    WeakLifetime,
    entity_context,
)
from dp3.model.type_text import COMPOSITES, PRIMITIVES

TEXT = page("configuration.md")

SOURCES = Path(sections.__file__).parents[1]

FILES = {
    name: settings
    for name, settings in Configuration.__annotations__.items()
    if isinstance(settings, type) and issubclass(settings, BaseModel)
}

COMMON = set(AttrSpecGeneric.model_fields) - {"id"} | {"type"}
SPECS: dict[str, tuple[type[BaseModel], set[str]]] = {
    "Entity keys": (EntitySpec, set()),
    "Common keys": (AttrSpecPlain, set(AttrSpecPlain.model_fields) - COMMON | {"id"}),
    "Plain": (AttrSpecPlain, COMMON | {"id"}),
    "Observations": (AttrSpecObservations, COMMON | {"id"}),
    "Timeseries": (AttrSpecTimeseries, COMMON | {"id"}),
    "History parameters": (ObservationsHistoryParams, set()),
    "Timeseries parameters": (TimeseriesTSParams, set()),
}


def is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section | LenientSection)


def keys_of(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted keys of a file; NAME stands for keys that the user chooses."""
    for name, field in settings.model_fields.items():
        if is_group(field.annotation):
            yield from keys_of(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
            continue
        yield prefix + name, field
        if get_origin(field.annotation) is dict and is_group(get_args(field.annotation)[1]):
            yield from keys_of(get_args(field.annotation)[1], f"{prefix}{name}.NAME.")


def table(heading: str) -> dict[str, Row]:
    found = rows(TEXT, heading)
    assert all(list(row) == ["key", "type", "default", "meaning"] and row["type"] for row in found)
    documented = [row["key"].strip("`") for row in found]
    assert len(set(documented)) == len(documented)
    return dict(zip(documented, found, strict=True))


def as_written(default: str) -> Any:
    return None if default == "none" else yaml.safe_load(default.strip("`"))


def value_at(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = settings[name] if isinstance(settings, dict) else getattr(settings, name)
    return settings


def nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def test_every_file_has_its_own_part() -> None:
    assert set(re.findall(r"^## `(\w+)\.yml`$", TEXT, re.M)) == set(FILES)


def test_every_file_is_in_the_overview() -> None:
    assert set(re.findall(r"\[`(\w+)\.yml`\]", part(TEXT, "Configuration"))) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_documented_keys_are_those_that_exist(name: str) -> None:
    assert set(table(f"`{name}.yml`")) == {key for key, _ in keys_of(FILES[name])}


@pytest.mark.parametrize("name", FILES)
def test_writing_the_documented_default_changes_nothing(name: str) -> None:
    settings = FILES[name]
    fields = dict(keys_of(settings))
    for key, row in table(f"`{name}.yml`").items():
        unused = any(isinstance(mark, Unused) for mark in fields[key].metadata)
        assert (row["default"] == "unused") == unused, key
        if not unused:
            written = settings.model_validate(nested(key, as_written(row["default"])))
            neutral = settings.model_validate(nested("groups", {"NAME": {}}) if ".NAME." in key else {})
            assert value_at(written, key) == value_at(neutral, key), key


@pytest.mark.parametrize("heading", SPECS)
def test_documented_keys_of_specifications_are_those_that_exist(heading: str) -> None:
    spec, elsewhere = SPECS[heading]
    assert set(table(heading)) == set(spec.model_fields) - elsewhere


def default_of(spec: type[BaseModel], key: str) -> Any:
    return spec.model_fields[key].get_default(call_default_factory=True)


@pytest.mark.parametrize("heading", SPECS)
def test_documented_defaults_of_specifications_are_those_that_hold(heading: str) -> None:
    spec, _ = SPECS[heading]
    for key, row in table(heading).items():
        field = spec.model_fields[key]
        if row["default"] == "mandatory":
            assert field.is_required() or key == "type", key
        else:
            assert not field.is_required(), key
            assert same_default(spec, key, as_written(row["default"])), key


def same_default(spec: type[BaseModel], key: str, written: Any) -> bool:
    default = default_of(spec, key)
    if isinstance(default, BaseModel):
        return bool(type(default).model_validate(written) == default)
    if isinstance(default, EidDataType):
        return bool(str(default) == written)
    if isinstance(default, timedelta):
        return bool(default.total_seconds() == written)
    return bool(default == written)


def test_lifetimes_are_documented_with_their_keys() -> None:
    documented = {
        row["`type`"].strip("`"): set(re.findall(r"`(\w+)` \(", row["keys"]))
        for row in rows(TEXT, "Lifetimes")
    }
    classes = (ImmortalLifetime, TimeToLiveLifetime, WeakLifetime)
    assert documented == {
        cls.model_fields["type"].default: set(cls.model_fields) - {"type"} for cls in classes
    }


def test_types_of_timeseries_are_documented() -> None:
    assert set(re.findall(r"`(\w+)`", table("Timeseries")["timeseries_type"]["type"])) == set(
        timeseries_types
    )


def documented_types() -> list[tuple[str, str]]:
    return [
        (text, row["as JSON"].strip("`"))
        for row in rows(TEXT, "Data types")
        for text in re.findall(r"`([^`]+)`", row["type"])
    ]


def test_every_data_type_is_documented() -> None:
    assert {found(r"(\w+)", text) for text, _ in documented_types()} == {*PRIMITIVES, *COMPOSITES}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """The examples of the page as a configuration."""
    folder = tmp_path_factory.mktemp("example") / "config"
    for content in fenced(TEXT, "yaml"):
        file = folder / found(r"^# (\S+\.yml)\n", content)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return load(folder)


def test_the_examples_are_a_configuration_without_remarks(example: Configuration) -> None:
    assert example.notes == ()
    assert set(example.model.entities) == {"server", "rack"}


@pytest.mark.parametrize(("text", "value"), documented_types())
def test_documented_value_is_one_of_its_data_type(example: Configuration, text: str, value: str) -> None:
    sent = "2001:db8::1" if text == "ipv6" else yaml.safe_load(value)
    with entity_context(example.model.entity("server"), example.model.entities):
        assert DataType(text).codec.accept(sent) == sent


def test_an_unknown_key_is_a_note_only_where_the_page_says_so() -> None:
    told = found(r"(?s)it is a note at the start instead:(.*?)\.\s+Settings", TEXT)
    lenient = {name for name, settings in FILES.items() if issubclass(settings, LenientSection)}
    assert set(re.findall(r"`(\w+)\.yml`,", told)) == lenient


def test_environment_variables_are_those_that_the_program_reads() -> None:
    documented = {row["variable"].strip("`") for row in rows(TEXT, "Environment")}
    source = "".join(p.read_text(encoding="utf-8") for p in SOURCES.rglob("*.py"))
    read = set(re.findall(r'(?:envvar=|environ\.get\(|_DIR_ENV = )"(\w+)"', source))
    assert documented == read
