"""A model with all types, and questions about its documents."""

from typing import Any

from dp3.http.queries.conditions import Condition
from dp3.http.queries.filters import parse_filters
from dp3.http.queries.matching import matcher
from dp3.http.queries.places import Places
from dp3.model.spec import ModelSpec


def plain(data_type: str) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type}


def observations(data_type: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "type": "observations", "data_type": data_type, **more}


def entity(etype: str, id_data_type: str) -> dict[str, Any]:
    return {"id": etype, "id_data_type": id_data_type, "name": etype, "snapshot": True}


SERIES = {
    "name": "x",
    "type": "timeseries",
    "timeseries_type": "regular",
    "timeseries_params": {"time_step": "5m"},
    "series": {"x": {"data_type": "int"}},
}

MODEL = ModelSpec(
    {
        "a": {
            "entity": entity("a", "string"),
            "attribs": {
                "n": plain("int"),
                "f": plain("float"),
                "s": plain("string"),
                "a-b": plain("string"),
                "flag": plain("tag"),
                "ip": plain("ipv4"),
                "ip6": plain("ipv6"),
                "mac": plain("mac"),
                "when": plain("time"),
                "cat": plain("category<int;1,2>"),
                "arr": plain("array<string>"),
                "ips": plain("set<ipv4>"),
                "d": plain("dict<x:int, y?:string, ip?:ipv4>"),
                "js": plain("json"),
                "sp": plain("special"),
                "l": plain("link<b>"),
                "ls": plain("array<link<b>>"),
                "o": observations("int"),
                "om": observations("string", multi_value=True),
                "oma": observations("array<int>", multi_value=True),
                "ol": observations("link<b, dict<w:float>>", multi_value=True),
                "t": SERIES,
            },
        },
        "b": {"entity": entity("b", "int"), "attribs": {"n": plain("int")}},
        "i": {"entity": entity("i", "ipv4"), "attribs": {"n": plain("int")}},
    }
)


def condition(generic: Any = None, fulltext: Any = None, etype: str = "a") -> Condition:
    return parse_filters(Places(MODEL, etype), MODEL.attribs(etype), fulltext, generic)


def matches(document: dict[str, Any], generic: Any = None, fulltext: Any = None, etype: str = "a") -> bool:
    return matcher(condition(generic, fulltext, etype))(document)
