"""The OpenAPI description is complete and true."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from dp3.http.app import description_route
from kit.node import MODEL, Node

NAMES = st.sampled_from([*MODEL.attributes, ("nope", "nope")])


async def get(app: FastAPI) -> dict[str, Any]:
    """The description, as the application gives it."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
        return document


def test_the_description_is_encoded_once() -> None:
    app = FastAPI(openapi_url=None)
    app.router.routes.append(description_route(app, "/api"))
    first = asyncio.run(get(app))
    app.openapi()["info"]["title"] = "other"
    assert asyncio.run(get(app)) == first
    assert first["servers"] == [{"url": "/api"}]


def test_every_route_is_described(shared_node: Node) -> None:
    paths = shared_node.get("/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    entity_routes = {
        "GET {}/get",
        "POST {}/get",
        "GET {}/count",
        "POST {}/count",
        "GET {}/_/distinct/{{attr}}",
        "GET {}/raw/get",
        "GET {}{}",
        "GET {}{}/snapshots",
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
        "GET /telemetry/attribute_bson_sizes",
        "GET /telemetry/entities_per_attr",
        "GET /telemetry/event_counts",
        "GET /telemetry/collections",
        "GET /telemetry/log",
        "GET /telemetry/metadata",
        "GET /telemetry/retention",
        "GET /telemetry/rabbitmq/queues",
        "GET /telemetry/snapshot_summary",
        "GET /telemetry/sources_age",
        "GET /telemetry/sources_validity",
        "GET /telemetry/updates",
        "GET /control/{action}",
        "POST /control/{action}",
        "GET /control/results/{id}",
        "GET /deadletters",
        "GET /deadletters/summary",
        "GET /deadletters/{id}",
        "DELETE /deadletters/{id}",
        "POST /deadletters/{id}/retry",
        "POST /deadletters/retry",
        "POST /deadletters/drop",
    }


V1, V2 = "/entity/{etype}", "/v2/entity/{etype}"

OPERATIONS = {
    "GET /": "get_root",
    "POST /datapoints": "post_datapoints",
    "GET /entities": "get_entity_types",
    f"GET {V1}/get": "get_latest_snapshots",
    f"POST {V1}/get": "find_latest_snapshots",
    f"GET {V1}/count": "get_snapshot_count",
    f"POST {V1}/count": "count_snapshots",
    f"GET {V1}/_/distinct/{{attr}}": "get_distinct_values",
    f"GET {V1}/raw/get": "get_raw_datapoints",
    f"GET {V1}/{{eid}}": "get_entity",
    f"DELETE {V1}/{{eid}}": "delete_entity",
    f"GET {V1}/{{eid}}/master": "get_entity_master",
    f"GET {V1}/{{eid}}/snapshots": "get_entity_snapshots",
    f"GET {V1}/{{eid}}/get/{{attr}}": "get_entity_attr",
    f"POST {V1}/{{eid}}/set/{{attr}}": "set_entity_attr",
    f"POST {V1}/{{eid}}/ttl": "extend_entity_ttl",
    f"GET {V2}/get": "get_latest_snapshots_v2",
    f"POST {V2}/get": "find_latest_snapshots_v2",
    f"GET {V2}/count": "get_snapshot_count_v2",
    f"POST {V2}/count": "count_snapshots_v2",
    f"GET {V2}/_/distinct/{{attr}}": "get_distinct_values_v2",
    f"GET {V2}/raw/get": "get_raw_datapoints_v2",
    f"GET {V2}": "get_entity_v2",
    f"DELETE {V2}": "delete_entity_v2",
    f"GET {V2}/master": "get_entity_master_v2",
    f"GET {V2}/snapshots": "get_entity_snapshots_v2",
    f"GET {V2}/attr": "get_entity_attr_v2",
    f"POST {V2}/attr": "set_entity_attr_v2",
    f"POST {V2}/ttl": "extend_entity_ttl_v2",
    "GET /control/{action}": "get_control_action",
    "POST /control/{action}": "send_control_action",
    "GET /control/results/{id}": "get_control_results",
    "GET /telemetry/attribute_bson_sizes": "get_attribute_bson_sizes",
    "GET /telemetry/collections": "get_collections",
    "GET /telemetry/entities_per_attr": "get_entities_per_attr",
    "GET /telemetry/event_counts": "get_event_counts",
    "GET /telemetry/log": "get_log_state",
    "GET /telemetry/metadata": "get_metadata",
    "GET /telemetry/rabbitmq/queues": "get_queues",
    "GET /telemetry/retention": "get_retention",
    "GET /telemetry/snapshot_summary": "get_snapshot_summary",
    "GET /telemetry/sources_age": "get_sources_age",
    "GET /telemetry/sources_validity": "get_sources_validity",
    "GET /telemetry/updates": "get_updates",
    "GET /health/live": "get_liveness",
    "GET /health/ready": "get_readiness",
    "GET /deadletters": "get_dead_letters",
    "GET /deadletters/summary": "get_dead_letter_summary",
    "GET /deadletters/{id}": "get_dead_letter",
    "DELETE /deadletters/{id}": "delete_dead_letter",
    "POST /deadletters/{id}/retry": "retry_dead_letter",
    "POST /deadletters/retry": "retry_dead_letters",
    "POST /deadletters/drop": "drop_dead_letters",
}
"""Generated clients have functions of these names: none is ever given another one."""


def operations(node: Node) -> dict[str, dict[str, Any]]:
    paths = node.get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}": one for path, item in paths.items() for method, one in item.items()}


def test_operations_keep_their_ids(shared_node: Node) -> None:
    assert {route: one["operationId"] for route, one in operations(shared_node).items()} == OPERATIONS


def test_ids_of_operations_are_unique_words_that_begin_with_what_is_done(shared_node: Node) -> None:
    ids = {one["operationId"]: route for route, one in operations(shared_node).items()}
    assert len(ids) == len(operations(shared_node))
    for id_, route in ids.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)+(_v2)?", id_)
        assert id_.endswith("_v2") == (" /v2/" in route)
        verb, method = id_.partition("_")[0], route.partition(" ")[0]
        assert (verb == "get", verb == "delete") == (method == "GET", method == "DELETE")


def test_every_route_has_a_tag_that_is_described(shared_node: Node) -> None:
    described = {tag["name"] for tag in shared_node.get("/openapi.json").json()["tags"]}
    used = {route: one.get("tags", []) for route, one in operations(shared_node).items()}
    assert [route for route, tags in used.items() if len(tags) != 1] == []
    assert {tag for tags in used.values() for tag in tags} == described


def test_description_of_data_points_names_body_and_answers(shared_node: Node) -> None:
    operation = shared_node.get("/openapi.json").json()["paths"]["/datapoints"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["items"] == {"$ref": "#/components/schemas/DataPoint"}
    assert set(operation["responses"]) == {*("200", "202", "401", "403", "408", "413", "415", "422", "503")}
    assert {parameter["name"] for parameter in operation["parameters"]} == {"wait", "idempotency-key"}


def test_description_says_which_routes_need_a_token(shared_node: Node) -> None:
    document = shared_node.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    operations = [(path, one) for path, item in document["paths"].items() for one in item.values()]
    without = {path for path, operation in operations if "security" not in operation}
    assert without == {"/", "/health/live", "/health/ready"}
    assert all({"401", "403"} <= set(one["responses"]) for path, one in operations if path not in without)


def test_generated_requests_get_described_answers(make_node: Callable[..., Node]) -> None:
    """Whether a request is right depends on the model, so well-formed ones may be refused."""
    node = make_node(settings={"allowed_hosts": ["testserver"]})
    schema = schemathesis.openapi.from_asgi("/openapi.json", node.app)
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.label == "GET /health/ready":  # 503 is its answer while no worker runs
            continue

        @settings(
            max_examples=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(operation.as_strategy(), NAMES)
        def check(case: schemathesis.Case[Any], names: tuple[str, str]) -> None:
            etype, attr = names
            if "etype" in case.path_parameters:
                case.path_parameters["etype"] = etype
            for parameters in (case.path_parameters, case.query):
                if "attr" in parameters:
                    parameters["attr"] = attr
            response = case.call()
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

        check()
