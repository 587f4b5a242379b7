"""Documents of the model and filters about them: of all types, also where they do not fit together."""

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(["", "a", "ab", "b", "x", "10.0.0.1", "true", "a" * 1_001])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 5, 1.0, 1.5, 2**40])
INTS = st.sampled_from([-1, 0, 1, 2, 5])
IPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.10", "192.168.0.1"])
TIMES = st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.500000Z", "2021-01-01T00:00:00Z"])
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans(), IPS, TIMES)
JSON = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)


def odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what the attribute's type allows; sometimes what only a module can have set."""
    return st.one_of(usual, usual, usual, JSON)


LINKS = st.fixed_dictionaries({"eid": INTS})
WEIGHTED = st.fixed_dictionaries({"eid": INTS, "data": st.fixed_dictionaries({"w": NUMBERS.map(float)})})

DOCUMENTS = st.fixed_dictionaries(
    {"eid": WORDS},
    optional={
        "n": odd(INTS),
        "f": odd(st.sampled_from([0.0, 1.0, 1.5])),
        "s": odd(WORDS),
        "flag": odd(st.booleans()),
        "ip": odd(IPS),
        "when": odd(TIMES),
        "cat": odd(st.sampled_from([1, 2])),
        "arr": odd(st.lists(WORDS, max_size=3)),
        "ips": odd(st.lists(IPS, max_size=2)),
        "d": odd(st.fixed_dictionaries({"x": INTS, "y": WORDS | st.none(), "ip": IPS | st.none()})),
        "js": JSON.filter(lambda value: isinstance(value, dict | list)),
        "sp": JSON,
        "l": odd(LINKS),
        "ls": odd(st.lists(LINKS, max_size=3)),
        "om": odd(st.lists(WORDS, min_size=1, max_size=3)),
        "oma": odd(st.lists(st.lists(INTS, max_size=2), min_size=1, max_size=2)),
        "ol": odd(st.lists(WEIGHTED, min_size=1, max_size=2)),
        "extra": JSON,
    },
)

PATHS = st.sampled_from(
    [
        *("eid", "n", "last.n", "f", "s", "last.s", "flag", "ip", "when", "cat", "arr", "arr.0", "ips"),
        *("d", "d.x", "d.y", "d.ip", "js", "js.x", "js.x.y", "js.0", "sp", "sp.x", "extra", "extra.x"),
        *("l", "l.eid", "ls", "ls.eid", "ls.0.eid", "ol", "ol.eid", "ol.data", "ol.data.w"),
        *("om", "om#c", "oma", "oma.0", "nothing", "ol.0.data", "ol.0.data.w"),
    ]
)
LITERALS = st.one_of(
    SCALARS, st.none(), JSON, st.sampled_from(["$$IPv4{10.0.0.1}", "$$IPv4Prefix{10.0.0.0/28}"])
)
BOUNDS = st.one_of(SCALARS, JSON, st.sampled_from(["$$IPv4{10.0.0.5}", "$$Date{2020-01-01T00:00:00Z}"]))
PATTERNS = st.sampled_from(["a", "^a", "^ab?", "b$", "", "^10\\.", "^$", "^a|b", "[ab]x?$"])


def _plain(value: Any) -> bool:
    """Literal objects must not look like magic strings inside, which have no JSON form there."""
    return not isinstance(value, dict)


TESTS = st.recursive(
    st.one_of(
        st.builds(lambda op, v: {op: v}, st.sampled_from(["$eq", "$ne"]), LITERALS),
        st.builds(lambda op, v: {op: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), BOUNDS),
        st.builds(lambda low, high: {"$gte": low, "$lt": high}, BOUNDS, BOUNDS),
        st.builds(
            lambda op, v: {op: v},
            st.sampled_from(["$in", "$nin", "$all"]),
            st.lists(LITERALS.filter(_plain), max_size=3),
        ),
        st.builds(lambda v: {"$exists": v}, st.booleans()),
        st.builds(lambda v: {"$size": v}, st.integers(0, 2)),
        st.builds(lambda p: {"$regex": p}, PATTERNS),
        st.builds(lambda p: {"$regex": p, "$options": "i"}, PATTERNS),
        st.builds(
            lambda t: {"$type": t}, st.sampled_from(["string", "number", "array", "null", "bool", "date"])
        ),
        st.builds(lambda v: {"$elemMatch": {"eid": v}}, INTS),
    ),
    lambda inner: st.builds(lambda t: {"$not": t}, inner) | st.builds(lambda t: {"$elemMatch": t}, inner),
    max_leaves=2,
)

FIELDS = st.builds(lambda path, test: {path: test}, PATHS, TESTS | LITERALS.filter(_plain))
FILTERS = st.recursive(
    FIELDS,
    lambda inner: st.builds(
        lambda op, parts: {op: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=3,
)

FULLTEXTS = st.dictionaries(st.sampled_from(["eid", "s", "arr", "l", "ip", "om", "sp"]), PATTERNS, max_size=2)
