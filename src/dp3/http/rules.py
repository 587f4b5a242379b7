"""One table of all routes, and the roles that may use them.

A route that is missing here is refused for everybody but administrators.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from dp3.http.datapoints import DATAPOINTS_PATH
from dp3.store.ports.dead_letters import FILTERS


class Permission(StrEnum):
    """The permission that a route asks of those who use it."""

    OPEN = "open"
    """Nothing, not even a token."""
    INGEST = "ingest"
    READ = "read"
    EDIT = "edit"
    OPERATE = "operate"
    ADMIN = "admin"


NOTHING = frozenset({Permission.OPEN})
EVERYTHING = frozenset(Permission)

ROLES: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "ingest": NOTHING | {Permission.INGEST},
        "read": NOTHING | {Permission.READ},
        "edit": NOTHING | {Permission.READ, Permission.EDIT},
        "operate": NOTHING | {Permission.READ, Permission.OPERATE},
        "admin": EVERYTHING,
    }
)
"""Role → what it may."""


class Rule(NamedTuple):
    """A route, and the permission that it asks of its users. `path` is written as for the framework.
    `audited`: the name in the audit log, for routes that change something, except that for data-points: those
    are too many."""

    method: str
    path: str
    permission: Permission
    audited: str = ""

    @property
    def changes_state(self) -> bool:
        """True if a request may change something."""
        return bool(self.audited) or self.permission is Permission.INGEST


def _entity_rules(prefix: str, eid: str, get_attr: str, set_attr: str) -> list[Rule]:
    """Those of one version of the API; `eid`, `get_attr` and `set_attr` are the parts of paths in which the
    versions differ."""
    read, edit = Permission.READ, Permission.EDIT
    paths = [
        *("/get", "/count", "/raw/get", "/_/distinct/{attr}"),
        *(f"{eid}/master", f"{eid}/snapshots", eid, get_attr),
    ]
    return [
        *(Rule("GET", prefix + path, read) for path in paths),
        *(Rule("POST", prefix + path, read) for path in ("/get", "/count")),
        Rule("POST", prefix + set_attr, edit, "set"),
        Rule("POST", f"{prefix}{eid}/ttl", edit, "ttl"),
        Rule("DELETE", prefix + eid, edit, "delete"),
    ]


TELEMETRY = (
    *("attribute_bson_sizes", "collections", "entities_per_attr", "event_counts", "log", "metadata"),
    *("rabbitmq/queues", "retention", "snapshot_summary", "sources_age", "sources_validity", "updates"),
)

RULES = (
    *(Rule("GET", path, Permission.OPEN) for path in ("/", "/health/live", "/health/ready")),
    *(Rule("GET", path, Permission.OPEN) for path in ("/docs", "/docs/{file}", "/redoc", "/openapi.json")),
    Rule("POST", DATAPOINTS_PATH, Permission.INGEST),
    Rule("GET", "/entities", Permission.READ),
    *_entity_rules("/entity/{etype}", "/{eid}", "/{eid}/get/{attr}", "/{eid}/set/{attr}"),
    *_entity_rules("/v2/entity/{etype}", "", "/attr", "/attr"),
    *(Rule("GET", f"/telemetry/{name}", Permission.OPERATE) for name in TELEMETRY),
    Rule("GET", "/metrics", Permission.OPERATE),
    Rule("GET", "/control/results/{id}", Permission.OPERATE),
    *(Rule(method, "/control/{action}", Permission.OPERATE, "control") for method in ("GET", "POST")),
    *(
        Rule("GET", path, Permission.OPERATE)
        for path in ("/deadletters", "/deadletters/summary", "/deadletters/{id}")
    ),
    *(
        Rule("POST", path, Permission.OPERATE, "retry dead letters")
        for path in ("/deadletters/retry", "/deadletters/{id}/retry")
    ),
    Rule("POST", "/deadletters/drop", Permission.OPERATE, "drop dead letters"),
    Rule("DELETE", "/deadletters/{id}", Permission.OPERATE, "drop dead letters"),
)

TOLD = {"attr", "after", "limit", *FILTERS}
"""Query parameters that say what a request is about. Others are not told."""

MAX_TOLD_CHARS = 1_000
MAX_PARAMETERS = 50

_PARAMETER = re.compile(r"{(\w+)}")


class Rules:
    """Finds the rule for a request by the path that routing goes by: decoded, without a proxy's prefix."""

    def __init__(self, rules: Iterable[Rule] = RULES) -> None:
        self._exact: dict[tuple[str, str], Rule] = {}
        self._with_parameters: dict[str, list[Rule]] = {}
        for rule in rules:
            if _PARAMETER.search(rule.path):
                self._with_parameters.setdefault(rule.method, []).append(rule)
            else:
                self._exact[rule.method, rule.path] = rule
        self._patterns = {method: _any_of(rules) for method, rules in self._with_parameters.items()}

    def find(self, method: str, path: str) -> Rule | None:
        """HEAD asks for what GET does. With or without a slash at its end a path leads to the same."""
        asked = "GET" if method == "HEAD" else method
        return self._find(asked, path) or self._find(asked, path.rstrip("/"))

    def _find(self, method: str, path: str) -> Rule | None:
        rule = self._exact.get((method, path))
        if rule is not None or method not in self._patterns:
            return rule
        found = self._patterns[method].fullmatch(path)
        return None if found is None else self._with_parameters[method][(found.lastindex or 1) - 1]


def _any_of(rules: Iterable[Rule]) -> re.Pattern[str]:
    """One pattern with a group for each path."""
    return re.compile("|".join(f"({_PARAMETER.sub('[^/]+', rule.path)})" for rule in rules))


def subject_of(rule: Rule, path: str, query: bytes) -> dict[str, str]:
    """The subject of a request, as the client gave it, cut at `MAX_TOLD_CHARS`: parameters of the path and of
    the query by name."""
    found = _named(rule.path).fullmatch(path.rstrip("/"))
    told = {name: value for name, value in _parameters(query) if name in TOLD}
    return {name: _cut(value) for name, value in (told | (found.groupdict() if found else {})).items()}


def _parameters(query: bytes) -> list[tuple[str, str]]:
    """None of a query that has more of them than any route."""
    try:
        return parse_qsl(query.decode("latin-1"), max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return []


def _cut(value: str) -> str:
    left_out = len(value) - MAX_TOLD_CHARS
    return value if left_out <= 0 else f"{value[:MAX_TOLD_CHARS]}… ({left_out} more)"


@cache
def _named(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path))
