"""Whether a document meets a filter, by the rules of MongoDB's query language: no parser, no plan, no index.

Documents are as the API shows them, filters as users write them. Knows nothing of the product but which
attributes hold addresses and times (`KINDS`), and where null is a value (`FREE`).
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

KINDS = {"ip": "address", "ips": "address", "d.ip": "address", "when": "time"}
FREE = ("js", "sp", "extra")
"""Attributes that are JSON: null in them exists."""

IDS = ("eid", "l.eid", "ls.eid", "ls.0.eid", "ol.eid")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MISSING = object()
INT32 = 1 << 31

ORDER = ["null", "number", "text", "object", "list", "address", "bool", "time"]
"""Of kinds, where values of different kinds stand in objects and lists that are compared."""

Value = tuple[str, Any]
"""Kind and value: those of different kinds are never equal or in order."""

MAGIC = re.compile(r"\$\$(\w+)\{(.+)\}", re.DOTALL)


def matches(query: dict[str, Any], document: Any) -> bool:
    """Whether the document meets all conditions of the query."""
    return all(_condition(key, wanted, document, "") for key, wanted in query.items())


def found_by_text(wanted: dict[str, str], document: dict[str, Any]) -> bool:
    """Whether all patterns occur in the attributes, whatever the case; for links in the id of the target."""
    return all(
        not pattern or _condition(_text_path(attr), {"$regex": pattern, "$options": "i"}, document, "")
        for attr, pattern in wanted.items()
    )


def _text_path(attr: str) -> str:
    return f"{attr}.eid" if attr in ("l", "ls", "ol") else attr


def _condition(key: str, wanted: Any, document: Any, above: str) -> bool:
    if key in ("$and", "$or", "$nor"):
        each = [all(_condition(k, w, document, above) for k, w in part.items()) for part in wanted]
        return {"$and": all, "$or": any, "$nor": lambda parts: not any(parts)}[key](each)
    name = key.removeprefix("last.")
    steps = name.split(".")
    path = f"{above}.{name}" if above else name
    return _test(path, wanted, list(_reach(document, steps)))


def _reach(value: Any, steps: list[str]) -> Iterator[Any]:
    """All values that a dotted path leads to: through each object of a list, and by number."""
    if not steps:
        yield value
    elif isinstance(value, dict):
        if steps[0] in value:
            yield from _reach(value[steps[0]], steps[1:])
        else:
            yield MISSING
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from _reach(item, steps)
        if steps[0].isdigit() and int(steps[0]) < len(value):
            yield from _reach(value[int(steps[0])], steps[1:])
    else:
        yield MISSING


def _test(path: str, wanted: Any, found: list[Any], any_: Any = None) -> bool:
    """`any_`: how a test of one value is one of all that were found."""
    any_ = any_ or _any
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        options = wanted.get("$options", "")
        tests = {key: value for key, value in wanted.items() if key != "$options"}
        return all(_operator(key, path, value, options, found, any_) for key, value in tests.items())
    return any_(found, _equals(path, wanted))


def _operator(key: str, path: str, wanted: Any, options: str, found: list[Any], any_: Any) -> bool:
    match key:
        case "$eq":
            return any_(found, _equals(path, wanted))
        case "$ne":
            return not any_(found, _equals(path, wanted))
        case "$in":
            return any(any_(found, _equals(path, one)) for one in wanted)
        case "$nin":
            return not any(any_(found, _equals(path, one)) for one in wanted)
        case "$gt" | "$gte" | "$lt" | "$lte":
            return any_(found, _in_order(path, key, wanted))
        case "$exists":
            return any(_is_there(path, value) for value in found) == bool(wanted)
        case "$regex":
            return any_(found, _searched(path, wanted, options))
        case "$all":
            return bool(wanted) and all(_test(path, one, found, any_) for one in wanted)
        case "$size":
            return any(isinstance(value, list) and len(value) == wanted for value in found)
        case "$elemMatch":
            lists = [value for value in found if isinstance(value, list)]
            return any(_element(path, wanted, item) for value in lists for item in value)
        case "$not":
            return not _test(path, wanted, found, any_)
        case "$type":
            names = wanted if isinstance(wanted, list) else [wanted]
            return any_(found, lambda value: value is not MISSING and _type(_value(path, value)) & {*names})
    raise AssertionError(f"no rule for {key}")


def _any(found: list[Any], test: Callable[[Any], Any]) -> bool:
    """Whether a test holds for a value or, if that is a list, for one of its elements."""
    return any(test(value) or (isinstance(value, list) and any(map(test, value))) for value in found)


def _element(path: str, wanted: dict[str, Any], item: Any) -> bool:
    """A list in a list is one value, or an object whose keys are the numbers of its elements."""
    if any(key.startswith("$") and key not in ("$and", "$or", "$nor") for key in wanted):
        return _test(path, wanted, [item], lambda found, test: any(map(test, found)))
    if isinstance(item, list):
        item = {str(number): inner for number, inner in enumerate(item)}
    return isinstance(item, dict) and all(_condition(key, value, item, path) for key, value in wanted.items())


def _is_there(path: str, value: Any) -> bool:
    return value is not MISSING and (value is not None or path.split(".")[0] in FREE)


def _equals(path: str, wanted: Any) -> Callable[[Any], bool]:
    if (network := _network(wanted)) is not None:
        return lambda value: _value(path, value)[0] == "address" and _value(path, value)[1] in network
    return lambda value: _value(path, value) == _wanted(path, wanted)


def _in_order(path: str, sign: str, wanted: Any) -> Callable[[Any], bool]:
    kind, bound = _wanted(path, wanted)

    def holds(value: Any) -> bool:
        of, other = _value(path, value)
        if of != kind:
            return False
        if sign in ("$gte", "$lte") and other == bound:
            return True
        return kind != "null" and (other > bound if sign in ("$gt", "$gte") else other < bound)

    return holds


def _searched(path: str, pattern: str, options: str) -> Callable[[Any], bool]:
    search = re.compile(pattern, re.IGNORECASE if "i" in options else 0).search

    def found(value: Any) -> bool:
        text = str(value) if path in IDS and type(value) is int else value
        return isinstance(text, str) and search(text) is not None

    return found


def _value(path: str, value: Any) -> Value:
    """A value of a document."""
    kind = KINDS.get(path)
    if kind is None or not isinstance(value, str):
        return _plain(value)
    try:
        return kind, ip_address(value) if kind == "address" else datetime.fromisoformat(value)
    except ValueError:  # a module has set it
        return _plain(value)


def _wanted(path: str, wanted: Any) -> Value:
    """A value of a query: read as the attribute's type where that is possible. What a magic string stands for
    counts as its text where the attribute has another type."""
    kind = KINDS.get(path)
    if (magic := _magic(wanted)) is not None:
        return magic if magic[0] in (kind, "number") else ("text", _text(magic[1]))
    if kind == "address" and isinstance(wanted, str):
        try:
            return "address", ip_address(wanted)
        except ValueError:
            return _plain(wanted)
    if kind == "time" and (time := _time(wanted)) is not None:
        return "time", time
    return _plain(wanted)


def _time(wanted: Any) -> datetime | None:
    if isinstance(wanted, bool) or not isinstance(wanted, str | int | float):
        return None
    try:
        if isinstance(wanted, str):
            return datetime.fromisoformat(wanted)
        return EPOCH + timedelta(seconds=wanted if abs(wanted) <= 2e10 else wanted / 1000)
    except (ValueError, OverflowError):
        return None


def _network(wanted: Any) -> Any:
    match = MAGIC.fullmatch(wanted) if isinstance(wanted, str) else None
    return ip_network(match[2]) if match and match[1] == "IPv4Prefix" else None


def _magic(wanted: Any) -> Value | None:
    match = MAGIC.fullmatch(wanted) if isinstance(wanted, str) else None
    if match is None:
        return None
    read: dict[str, Callable[[str], Value]] = {
        "int": lambda text: ("number", int(text)),
        "IPv4": lambda text: ("address", ip_address(text)),
        "Date": lambda text: ("time", datetime.fromisoformat(text)),
        "DateTs": lambda text: ("time", EPOCH + timedelta(seconds=float(text))),
    }
    return read[match[1]](match[2])


def _text(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _plain(value: Any) -> Value:
    if value is MISSING or value is None:
        return "null", None
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, str):
        return "text", value
    if isinstance(value, dict):
        parts = {name: _plain(value[name]) for name in sorted(value)}
        return "object", [(ORDER.index(kind), name, of) for name, (kind, of) in parts.items()]
    return "list", [(ORDER.index(kind), of) for kind, of in map(_plain, value)]


def _type(value: Value) -> set[str]:
    kind, of = value
    if kind == "number":
        whole = "int" if -INT32 <= of < INT32 else "long"
        return {"number", "double" if isinstance(of, float) else whole}
    return {{"text": "string", "list": "array", "address": "binData", "time": "date"}.get(kind, kind)}
