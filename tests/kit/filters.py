"""A model with attributes of all types, and filters over documents of it as clients send them."""

from typing import Any

from dp3.model.spec import ModelSpec
from dp3.reads.query.conditions import Condition, matcher
from dp3.reads.query.filters import parse_filters
from dp3.reads.query.places import Places
from kit.specs import a_type, observed_attr, plain_attr, series_attr

MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "n": plain_attr("int"),
                "f": plain_attr("float"),
                "s": plain_attr("string"),
                "a-b": plain_attr("string"),
                "flag": plain_attr("tag"),
                "ip": plain_attr("ipv4"),
                "ip6": plain_attr("ipv6"),
                "mac": plain_attr("mac"),
                "when": plain_attr("time"),
                "cat": plain_attr("category<int;1,2>"),
                "arr": plain_attr("array<string>"),
                "ips": plain_attr("set<ipv4>"),
                "d": plain_attr("dict<x:int, y?:string, ip?:ipv4>"),
                "js": plain_attr("json"),
                "sp": plain_attr("special"),
                "l": plain_attr("link<b>"),
                "ls": plain_attr("array<link<b>>"),
                "o": observed_attr("int"),
                "om": observed_attr("string", multi_value=True),
                "oma": observed_attr("array<int>", multi_value=True),
                "ol": observed_attr("link<b, dict<w:float>>", multi_value=True),
                "t": series_attr(),
            },
        ),
        "b": a_type("b", {"n": plain_attr("int")}, id_data_type="int"),
        "i": a_type("i", {"n": plain_attr("int")}, id_data_type="ipv4"),
    }
)


def condition(generic: Any = None, fulltext: Any = None, etype: str = "a") -> Condition:
    return parse_filters(Places(MODEL, etype), MODEL.attribs(etype), fulltext, generic, lambda _: None)


def matches(document: dict[str, Any], generic: Any = None, fulltext: Any = None, etype: str = "a") -> bool:
    return matcher(condition(generic, fulltext, etype))(document)
