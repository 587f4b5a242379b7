"""The OpenAPI description of `POST /datapoints`, which the framework does not see."""

from typing import Any

from fastapi import Header, Query
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from dp3.http.datapoints import MAX_KEY
from dp3.http.schemas import WRITTEN, Written
from dp3.http.validation import DataPoint


def describe_datapoints(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Add the route to the description of all others."""
    if path not in document["paths"]:
        own = get_openapi(title="", version="", routes=[_route(path)])
        document["paths"] |= own["paths"]
        document.setdefault("components", {}).setdefault("schemas", {}).update(own["components"]["schemas"])
    return document


def _route(path: str) -> APIRoute:
    async def insert_datapoints(
        datapoints: list[DataPoint],
        wait: bool = Query(
            False, description="Answer when the data-points have been applied, at most 10 s later"
        ),
        idempotency_key: str | None = Header(
            None,
            min_length=1,
            max_length=MAX_KEY,
            pattern="^[!-~]+$",
            description="A repeat with this key within 24 h gets the first answer and adds nothing",
        ),
    ) -> None:
        """Store data-points: all of them, durably, or none."""

    return APIRoute(
        path,
        insert_datapoints,
        methods=["POST"],
        response_model=Written,
        responses=WRITTEN,
    )
