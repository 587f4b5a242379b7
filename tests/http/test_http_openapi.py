"""The OpenAPI description is complete and true."""

from typing import Any

import pytest
import schemathesis
from http_kit import Node
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

WRITING = {"/entity/{etype}/{eid}/set/{attr}", "/v2/entity/{etype}/attr", "/datapoints"}


def test_every_route_is_described(shared_node: Node) -> None:
    paths = shared_node.get("/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    entity_routes = {
        "GET {}/raw/get",
        "GET {}{}/master",
        "POST {}{}/ttl",
        "DELETE {}{}",
    }
    v1 = {route.format("/entity/{etype}", "/{eid}") for route in entity_routes}
    v2 = {route.format("/v2/entity/{etype}", "") for route in entity_routes}
    assert described == v1 | v2 | {
        "GET /",
        "GET /entities",
        "POST /datapoints",
        "GET /entity/{etype}/{eid}/get/{attr}",
        "POST /entity/{etype}/{eid}/set/{attr}",
        "GET /v2/entity/{etype}/attr",
        "POST /v2/entity/{etype}/attr",
        "GET /health/live",
        "GET /health/ready",
        "GET /telemetry/log",
        "GET /deadletters",
        "GET /deadletters/{id}",
        "DELETE /deadletters/{id}",
        "POST /deadletters/{id}/retry",
        "POST /deadletters/retry",
        "POST /deadletters/drop",
    }


def test_description_of_data_points_names_body_and_answers(shared_node: Node) -> None:
    operation = shared_node.get("/openapi.json").json()["paths"]["/datapoints"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["items"] == {"$ref": "#/components/schemas/DataPoint"}
    assert set(operation["responses"]) == {"200", "202", "413", "415", "422", "503"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {"wait", "idempotency-key"}
