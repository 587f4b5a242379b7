"""Kinds of settings that several sections share, cron expressions among them."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

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


_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s*]+?)/?")
_HOST_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")

DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""Browsers leave them out of `Origin` and `Host`; other programs may write them."""


def _origin(value: str) -> str:
    found = _ORIGIN.fullmatch(value.lower())
    if found is None and value != "*":
        raise ValueError("expected an origin such as https://dp3.example.com or http://localhost:3000, or *")
    if found is None:
        return value
    scheme, authority = found.groups()
    return f"{scheme}://{authority.removesuffix(DEFAULT_PORTS.get(scheme, ''))}"


def _host_name(value: str) -> str:
    if value != "*" and not _HOST_NAME.fullmatch(value.lower()):
        raise ValueError("expected a name without port such as dp3.example.com, *.example.com, or *")
    return value.lower().removesuffix(".")


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
"""A whole number of at least 1."""

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

Origin = Annotated[str, AfterValidator(_origin)]
"""Scheme, host and port of web pages as browsers write them in `Origin`, or `*` for all."""

HostName = Annotated[str, AfterValidator(_host_name)]
"""A name by which the API is asked, `*.name` for all below it, or `*` for all."""

Ignored = Annotated[Any, Unused()]
"""A setting that may have any value, because nothing reads it."""


_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EVERY = re.compile(r"\*(?:/(?P<step>[0-9]{1,4}))?")
_RANGE = re.compile(
    r"(?P<first>[0-9]{1,4}|[a-z]+)(?:-(?P<last>[0-9]{1,4}|[a-z]+)(?:/(?P<step>[0-9]{1,4}))?)?"
)


class _Unit(NamedTuple):
    low: int
    high: int
    names: tuple[str, ...] = ()

    def describe(self) -> str:
        named = f" ({self.names[0]}–{self.names[-1]})" if self.names else ""
        return f"{self.low}–{self.high}{named}"

    def number(self, text: str) -> int:
        """The number that a digit string or name stands for."""
        value = self.low + self.names.index(text) if text in self.names else _digits(text)
        if value is None or not self.low <= value <= self.high:
            raise ValueError(f"'{text}' is not in {self.describe()}")
        return value


def _digits(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _item(unit: _Unit, item: str) -> str:
    """One item of a comma list, checked, with names replaced by their numbers."""
    if every := _EVERY.fullmatch(item):
        _check_step(every["step"], unit.high - unit.low)
        return item
    found = _RANGE.fullmatch(item)
    if found is None:
        raise ValueError(f"expected {_CRON_FORMS} with {unit.describe()}")
    first = unit.number(found["first"])
    if found["last"] is None:
        return str(first)
    last = unit.number(found["last"])
    if first > last:
        raise ValueError(f"the range '{item}' runs backwards")
    _check_step(found["step"], last - first)
    return f"{first}-{last}" + (f"/{found['step']}" if found["step"] else "")


def _check_step(step: str | None, longest: int) -> None:
    if step is not None and not 1 <= int(step) <= longest:
        raise ValueError(f"the step must be 1–{longest}, not {step}")


def _field(unit: _Unit, value: Any) -> int | str | None:
    """A checked field: None and whole numbers as they are, cron strings with numbers in place of names."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"expected a whole number in {unit.describe()} or a cron string")
    if isinstance(value, int):
        return unit.number(str(value))
    return ",".join(_item(unit, item.strip().lower()) for item in value.split(","))


_CRON_FORMS = "*, */n, a, a-b, a-b/n or a comma list of these"
_ANY_UNIT = _Unit(0, 9999, (*_WEEKDAYS, *_MONTHS))


def _cron_text(value: str) -> str:
    try:
        _field(_ANY_UNIT, value)
    except ValueError:
        raise ValueError(f"expected {_CRON_FORMS}, got {value!r}") from None
    return value


CronStr = Annotated[str, AfterValidator(_cron_text)]
"""The text of a cron field, of whatever unit."""

TimeInt = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=59)]
"""A second or minute, as a whole number."""


def _validator(low: int, high: int, names: tuple[str, ...] = ()) -> PlainValidator:
    check: Callable[[Any], int | str | None] = partial(_field, _Unit(low, high, names))
    return PlainValidator(check)


def _known_timezone(name: str) -> str:
    if name != "UTC":  # needs no time zone data base
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("expected the name of a time zone, for example UTC or Europe/Prague") from error
    return name


class CronExpression(BaseModel):
    """The times at which something is to run.

    Fields are whole numbers or cron strings: `*`, `*/n`, `a`, `a-b`, `a-b/n` and comma lists of these.
    Months and days of the week (0 is Monday) also have names. A field left out matches everything if it
    stands before the last given one in the order year, month, day, week, day_of_week, hour, minute, second;
    else it is its minimum: `{hour: 2}` is 02:00:00.

    >>> CronExpression(minute="*/10").fields()
    {'minute': '*/10'}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    second: Annotated[int | str | None, _validator(0, 59)] = None
    minute: Annotated[int | str | None, _validator(0, 59)] = None
    hour: Annotated[int | str | None, _validator(0, 23)] = None
    day: Annotated[int | str | None, _validator(1, 31)] = None
    day_of_week: Annotated[int | str | None, _validator(0, 6, _WEEKDAYS)] = None
    week: Annotated[int | str | None, _validator(1, 53)] = None
    month: Annotated[int | str | None, _validator(1, 12, _MONTHS)] = None
    year: Annotated[int | str | None, _validator(1970, 9999)] = None
    timezone: Annotated[str, AfterValidator(_known_timezone)] = "UTC"

    def fields(self) -> dict[str, int | str]:
        """The given fields, without the time zone: keyword arguments of a cron trigger."""
        given: dict[str, int | str] = self.model_dump(exclude={"timezone"}, exclude_none=True)
        return given
