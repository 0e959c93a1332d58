"""The OpenAPI document: what the routes' signatures do not tell, since bodies are read and written by hand."""

from __future__ import annotations

import json
from copy import deepcopy
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.auth import SCHEMES
from app.api.incoming import JSON, NDJSON, TIMEOUT_HEADER
from app.api.ontology import TypesAnswer
from app.api.problems import PROBLEM_JSON
from app.api.schemas import ArticleRequest, BatchAnswer, ExtractionAnswer, HealthAnswer, Problem, VersionAnswer
from app.settings import Settings

DESCRIPTION = """Turns news text into typed events: meetings, visits and budget commitments, each with its status,
participants, places, dates, amounts and purpose, and with the spans of the text that they rest on.

Offsets are Unicode code points into `text` exactly as it was sent, `end` exclusive. The same article gives the same
answer, byte for byte, alone or in a batch, at any load.

Every error is a problem (RFC 9457) as `application/problem+json`. Every answer carries `X-Request-ID`, the caller's
where it sent one of up to 128 letters, digits, `.`, `_` and `-`, and takes part in the caller's W3C `traceparent`."""

TAGS = [
    {"name": "events", "description": "Articles to events."},
    {"name": "operation", "description": "For probes, monitoring and humans."},
]

EXAMPLES: dict[str, Any] = json.loads((files("app.api") / "examples.json").read_text(encoding="utf-8"))

_REQUEST_HEADERS: list[dict[str, Any]] = [
    {
        "name": "X-Request-ID",
        "in": "header",
        "description": "The caller's name for the request; one that is not sane is replaced.",
        "schema": {"type": "string"},
    },
    {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context; one that is not valid is replaced.",
        "schema": {"type": "string"},
    },
]
_ANSWER_HEADERS: dict[str, Any] = {
    "X-Request-ID": {"description": "Names the request in logs and problems.", "schema": {"type": "string"}},
    "traceparent": {"description": "W3C trace context of this answer.", "schema": {"type": "string"}},
}
_RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer", "minimum": 1}}
}
_CHALLENGE: dict[str, Any] = {"WWW-Authenticate": {"description": "How to send the key.", "schema": {"type": "string"}}}
_ALLOW: dict[str, Any] = {"Allow": {"description": "The methods that there are.", "schema": {"type": "string"}}}

_PROBLEMS = {
    400: "Not JSON, not UTF-8, or nested too deep.",
    401: "No API key, or one that is not known, where the service asks for one.",
    405: "The path does not have this method.",
    413: "The body is over the byte limit; told before it is all read.",
    415: "Another content type.",
    422: "A field is missing, of the wrong type, out of range or unknown, or the text is empty or blank.",
    429: "The queue is full; nothing was started.",
    500: "The service failed.",
    503: "The service is not ready yet or shutting down; nothing was started.",
    504: "The request's deadline passed.",
}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _content(schema: dict[str, Any], examples: dict[str, Any] | None = None) -> dict[str, Any]:
    if not examples:
        return {"schema": schema}
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


def _problem(status: int) -> dict[str, Any]:
    example = EXAMPLES["problems"].get(str(status))
    more = {401: _CHALLENGE, 405: _ALLOW, 429: _RETRY_AFTER, 503: _RETRY_AFTER}
    return {
        "description": _PROBLEMS[status],
        "headers": _ANSWER_HEADERS | more.get(status, {}),
        "content": {PROBLEM_JSON: _content(_ref(Problem), {"problem": example} if example else None)},
    }


def _operation(content: dict[str, Any], *problems: int) -> dict[str, Any]:
    good = {"description": "The answer.", "headers": _ANSWER_HEADERS, "content": content}
    statuses = sorted({*problems, 405, 500})
    return {
        "parameters": _REQUEST_HEADERS,
        "responses": {"200": good} | {str(status): _problem(status) for status in statuses},
    }


def _post(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    operation = _operation(answer, 400, 401, 413, 415, 422, 429, 503, 504)
    timeout = {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Seconds that the caller will wait; past them the work is dropped.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }
    body = {"requestBody": {"required": True, "content": body}}
    return operation | body | {"parameters": [*_REQUEST_HEADERS, timeout]}


def _examples(of: str, side: str) -> dict[str, Any]:
    return {name: example[side] for name, example in EXAMPLES[of].items()}


def _lines(values: list[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


_BATCH_REQUEST = {
    "type": "object",
    "title": "BatchRequest",
    "description": "Many articles. Each is validated by itself: a bad one has its error in its place of the answer.",
    "required": ["articles"],
    "additionalProperties": False,
    "properties": {"articles": {"type": "array", "minItems": 1, "maxItems": 256, "items": _ref(ArticleRequest)}},
}
_LINES = {"type": "string", "description": "One JSON value a line."}

_OPERATIONS: dict[str, dict[str, Any]] = {
    "extract": _post(
        {JSON: _content(_ref(ArticleRequest), _examples("extract", "request"))},
        {JSON: _content(_ref(ExtractionAnswer), _examples("extract", "response"))},
    ),
    "extract_batch": _post(
        {
            JSON: _content({"$ref": "#/components/schemas/BatchRequest"}, _examples("batch", "request")),
            NDJSON: _content(_LINES, {k: _lines(v["articles"]) for k, v in _examples("batch", "request").items()}),
        },
        {
            JSON: _content(_ref(BatchAnswer), _examples("batch", "response")),
            NDJSON: _content(_LINES, {k: _lines(v["results"]) for k, v in _examples("batch", "response").items()}),
        },
    ),
    "types": _operation({JSON: _content(_ref(TypesAnswer))}, 401),
    "livez": _operation({JSON: _content(_ref(HealthAnswer), {"alive": {"status": "alive"}})}),
    "readyz": _operation({JSON: _content(_ref(HealthAnswer), {"ready": {"status": "ready"}})}, 503),
    "metrics": _operation({"text/plain": _content({"type": "string"})}),
    "version": _operation({JSON: _content(_ref(VersionAnswer), _examples("version", "response"))}),
}


def _components() -> dict[str, Any]:
    answers = (ExtractionAnswer, BatchAnswer, Problem, TypesAnswer, HealthAnswer, VersionAnswer)
    _, schema = models_json_schema(
        [(ArticleRequest, "validation"), *((model, "serialization") for model in answers)],
        ref_template="#/components/schemas/{model}",
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions | {"BatchRequest": _BATCH_REQUEST}


def add_to(app: FastAPI, settings: Settings) -> None:
    """Makes the document the one that the application serves, with the limits of its settings."""

    keys_optional = settings.api_keys_file is None

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            built = get_openapi(
                title=app.title,
                version=app.version,
                openapi_version="3.1.0",
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                license_info=app.license_info,
            )
            # Added afterwards: FastAPI would drop the nulls of the examples.
            for path in built["paths"].values():
                for operation in path.values():
                    operation.update(deepcopy(_OPERATIONS[operation["operationId"]]))
                    for parameter in operation["parameters"]:
                        if parameter["name"] == TIMEOUT_HEADER:
                            parameter["schema"]["maximum"] = settings.max_request_timeout_s
                            parameter["schema"]["default"] = settings.request_timeout_s
                    if "401" in operation["responses"]:
                        operation["security"] = [{}] * keys_optional + [{name: []} for name in SCHEMES]
            schemas = deepcopy(_components())
            schemas["BatchRequest"]["properties"]["articles"]["maxItems"] = settings.max_articles
            built["components"] = {"schemas": dict(sorted(schemas.items())), "securitySchemes": deepcopy(SCHEMES)}
            app.openapi_schema = built
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
