"""Kinds of settings that several sections share."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, PlainValidator

from dp3.model.durations import ParsedTimedelta


class Unused:
    """Marks settings of the reference implementation that are accepted but have no meaning here."""


class Section(BaseModel):
    """Settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LenientSection(BaseModel):
    """Settings in which an unknown key is noted, because it used to be ignored."""

    model_config = ConfigDict(extra="allow", frozen=True)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


def _some_time(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("expected a duration longer than zero, for example 30s, 5m, 2h or 7d")
    return value


def _no_negative_time(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("expected a duration of zero or more, for example 30s, 5m, 2h or 7d")
    return value


def _output_file(value: Any) -> Path | None:
    if value is None or value is False:
        return None
    if isinstance(value, str | Path) and str(value):
        return Path(value)
    raise ValueError("expected the path of a file, or false")


def _empty_for_null(value: Any) -> Any:
    return {} if value is None else value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
"""How many: a whole number of at least 1."""

Size = Annotated[ByteSize, BeforeValidator(_no_bool), Field(gt=0)]
"""Bytes: a whole number, or text such as `64MiB` or `1GB`."""

Age = Annotated[ParsedTimedelta, AfterValidator(_no_negative_time)]
"""A duration that may be zero."""

Interval = Annotated[ParsedTimedelta, AfterValidator(_some_time)]
"""A duration longer than zero."""

OutputFile = Annotated[Path | None, PlainValidator(_output_file)]
"""The path of a file to write, or None (`false`) for no file."""

OrEmpty = BeforeValidator(_empty_for_null)
"""Takes a group of settings that was left empty as one without any key."""

Ignored = Annotated[Any, Unused()]
"""A setting that may have any value, because nothing reads it."""
