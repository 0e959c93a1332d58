from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
import schemathesis
from fake_extractor import FakeExtractor
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

from app.api.openapi import EXAMPLES
from app.main import create_app
from app.settings import Settings

MODEL = FakeExtractor()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(max_articles=8, max_request_timeout_s=90), MODEL.load).openapi()


def test_document_is_openapi_3_1_with_the_limits_of_the_settings(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    assert schemas["BatchRequest"]["properties"]["articles"]["maxItems"] == 8
    parameters = document["paths"]["/v1/extract"]["post"]["parameters"]
    [timeout] = [parameter for parameter in parameters if parameter["name"] == "X-Request-Timeout"]
    assert timeout["schema"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 90, "default": 60}
    # One application's limits are not another's.
    other = create_app(Settings(), MODEL.load).openapi()
    assert other["components"]["schemas"]["BatchRequest"]["properties"]["articles"]["maxItems"] == 256


def test_every_path_of_the_contract_is_described(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/v1/extract",
        "/v1/extract/batch",
        "/v1/types",
        "/livez",
        "/readyz",
        "/metrics",
        "/version",
    }
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["description"]
            for status, response in operation["responses"].items():
                assert ("application/problem+json" in response["content"]) == (status != "200")
                assert "X-Request-ID" in response["headers"]
                assert ("Retry-After" in response["headers"]) == (status in ("429", "503"))


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(value[key] for key in value if key == "$ref")
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(document)
    names = {ref.removeprefix("#/components/schemas/") for ref in found}
    assert names <= set(document["components"]["schemas"])


def test_examples_stand_in_the_document(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/extract"]["post"]
    example = EXAMPLES["extract"]["article"]
    assert operation["requestBody"]["content"]["application/json"]["examples"]["article"]["value"] == example["request"]
    good = operation["responses"]["200"]["content"]["application/json"]
    assert good["examples"]["article"]["value"] == example["response"]


def _ready_app() -> FastAPI:
    """An application that is ready without its lifespan, since the schema's tests bring a loop for each call."""
    app = create_app(Settings(), MODEL.load)
    asyncio.run(app.state.service.start())
    return app


@schemathesis.serializer("application/x-ndjson")
def lines(_: schemathesis.SerializationContext, value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def float_or_nan(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


schema = schemathesis.openapi.from_asgi("/openapi.json", _ready_app())


@schema.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_service_keeps_to_its_document(case: schemathesis.Case[Any]) -> None:
    # What is wrong with one article of a batch is told in its place of a 200, and foreign headers are nobody's fault.
    strict = case.path == "/v1/extract" and case.meta is not None and case.meta.is_negative_at(ParameterLocation.BODY)
    if "X-Request-Timeout" in case.headers and float_or_nan(case.headers["X-Request-Timeout"]) < 1:
        del case.headers["X-Request-Timeout"]  # or it would rightly get 504
    case.call_and_validate(excluded_checks=[] if strict else [negative_data_rejection])
