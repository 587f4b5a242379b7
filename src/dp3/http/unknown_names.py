"""Names in requests that nobody reads. One that is near a known one is a slip, which would go unnoticed."""

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response

from dp3.http.answers import Error, invalid
from dp3.http.warnings import Warnings, begin_warnings
from dp3.model.spec import ModelSpec

NEAR, NEAR_ATTRIBUTE = 0.7, 0.8
"""Likeness from which a name is taken for a slip in another one. Names of attributes may be anything, also
words that clients send for other purposes."""

SHORTEST = 3
"""Characters of a name that may be a slip: shorter ones are near everything."""

MOST_NAMES = 20
"""Unknown names that are looked at; what a request has besides is counted."""

MAX_SHOWN = 80
"""Characters of a name in a message."""


class Known:
    """The names that mean something in one part of a request, such as `query`; `what` one is called. With
    `strict` no others are taken."""

    def __init__(self, part: str, what: str, names: Iterable[str], *, strict: bool = False) -> None:
        self._part = part
        self._what = what
        self._names = sorted(names)
        self._strict = strict

    def check(self, sent: Mapping[str, Any], attributes: Collection[str], warnings: Warnings) -> None:
        """Refuse names that are near known ones, or like one of `attributes`, which belong elsewhere; warn of
        others."""
        unknown = sorted(name for name in sent if name not in self._names)
        errors: list[Error] = []
        for name in unknown[:MOST_NAMES]:
            said = f"nknown {self._what} '{name[:MAX_SHOWN]}'"
            near = self._near(name, attributes)
            if near or self._strict:
                errors.append(self._error(name, sent[name], f"U{said}{near or self._all()}"))
            else:
                warnings.add(f"u{said} has no effect{self._all()}")
        if len(unknown) > MOST_NAMES:
            warnings.add(f"{len(unknown) - MOST_NAMES} more unknown {self._what}s were not looked at")
        if errors:
            raise invalid(errors)

    def _error(self, name: str, value: Any, message: str) -> Error:
        return {"type": "extra_forbidden", "loc": [self._part, name], "msg": message, "input": value}

    def _near(self, name: str, attributes: Collection[str]) -> str:
        """The name that seems to be meant; empty if that may be anything."""
        if known := near_name(name, self._names):
            return f"; did you mean '{known}'?"
        if "generic_filter" in self._names:
            attributes = [*attributes, "eid"]
        attr = name if name in attributes else near_name(name, attributes, NEAR_ATTRIBUTE)
        return f"; '{attr}' is an attribute{self._advice(attr)}" if attr else ""

    def _advice(self, attr: str) -> str:
        """The way to ask for an attribute."""
        if "generic_filter" in self._names:
            return f', select by its value with generic_filter: {{"{attr}": …}}'
        return ""

    def _all(self) -> str:
        return f"; known are {', '.join(self._names)}" if self._names else "; there are none here"


def route_class(model: ModelSpec, *, strict: bool = False) -> type[APIRoute]:
    """The class of routes that look at the names of all parameters in a query, and tell what there is to be
    warned of."""

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()
            known = Known("query", "parameter", set(_parameters(self.dependant)), strict=strict)

            async def checked(request: Request) -> Response:
                warnings = begin_warnings(request.scope)
                if request.scope["query_string"]:
                    attributes = attributes_of(model, request.path_params.get("etype"))
                    known.check(request.query_params, attributes, warnings)
                return warnings.told_in(await answer(request))

            return checked

    return Route


def attributes_of(model: ModelSpec, etype: str | None) -> Collection[str]:
    """Names of the attributes of an entity type; none if there is no such type."""
    return model.attribs(etype) if etype in model.entities else ()


def _parameters(dependant: Dependant) -> Iterable[str]:
    """The query parameters of a route and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for part in dependant.dependencies:
        yield from _parameters(part)


def near_name(name: str, known: Collection[str], likeness: float = NEAR) -> str | None:
    """The known name of which `name` seems to be a slip, an abbreviation or another spelling."""
    plain = {_plain(one): one for one in known}
    wanted = _plain(name)
    if wanted in plain:
        return plain[wanted]
    if len(wanted) < SHORTEST:
        return None
    parts = (one for one in sorted(known) if len(wanted) > SHORTEST and wanted in map(_plain, one.split("_")))
    near = get_close_matches(wanted, list(plain), n=1, cutoff=likeness)
    return next(parts, None) or (plain[near[0]] if near else None)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())
