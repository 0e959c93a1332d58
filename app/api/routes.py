"""The paths of the service."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from app.api import batch, incoming
from app.api.auth import check_key
from app.api.incoming import JSON, NDJSON
from app.api.ontology import TYPES
from app.api.problems import ProblemError, as_problem
from app.serving.errors import RefusedError
from app.serving.lifecycle import REASONS
from app.serving.service import Service
from app.settings import VERSION

work = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(check_key)])
probes = APIRouter(tags=["operation"])

_TYPES = TYPES.model_dump_json().encode()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(content: object) -> Response:
    return Response(content if isinstance(content, bytes) else orjson.dumps(content), media_type=JSON)


@work.post("/extract", summary="Events of one article")
async def extract(request: Request) -> Response:
    """Reads one article and answers with its events, in the order of their first mention."""
    service = _service(request)
    service.check_open()
    incoming.media_type(request.headers, [JSON])
    deadline = incoming.request_info().started + incoming.timeout_s(request.headers, service.settings)
    query = incoming.to_query(await incoming.read_json(request, service, deadline))
    with service.admitted([query], deadline) as [ticket]:
        answer = batch.extract(service, query, ticket, source=object(), deadline=deadline)
        return _json(await incoming.while_connected(answer, incoming.disconnected(request.receive)))


@work.post("/extract/batch", summary="Events of many articles")
async def extract_batch(request: Request) -> Response:
    """Reads many articles and answers with one result for each, in the order sent: its events, or its error.

    As `application/json`, 1 to 256 articles in one object; the deadline holds for the whole. An article that was not
    ready by then has a 504 in its place, and where none was, the whole answer is a 504.

    As `application/x-ndjson`, any number of articles, one a line; the results come one a line while the request is
    still being read, and the deadline holds for each article. Read the answer while you send: the service reads on
    only as fast as its results are taken.
    """
    service = _service(request)
    service.check_open()
    kind = incoming.media_type(request.headers, [JSON, NDJSON])
    timeout_s = incoming.timeout_s(request.headers, service.settings)
    if kind == NDJSON:
        return batch.LineStream(service, timeout_s)
    deadline = incoming.request_info().started + timeout_s
    value = await incoming.read_json(request, service, deadline)
    items = incoming.batch_items(value, service.settings.max_articles)
    answer = batch.extract_all(service, items, deadline)
    return _json(await incoming.while_connected(answer, incoming.disconnected(request.receive)))


@work.get("/types", summary="What events there are")
async def types() -> Response:
    """The event types with their roles, statuses and fields, as data."""
    return _json(_TYPES)


@probes.get("/livez", summary="Is the process alive")
async def livez() -> Response:
    """200 while the process can serve at all, also while it loads or drains."""
    return _json({"status": "alive"})


@probes.get("/readyz", summary="Does it take work")
async def readyz(request: Request) -> Response:
    """200 once the model is loaded and warm and while the service is not shutting down, else 503 with the reason."""
    lifecycle = _service(request).lifecycle
    try:
        lifecycle.check()
    except RefusedError as refused:
        headers = as_problem(refused).headers
        return ProblemError(503, REASONS[lifecycle.state], headers=headers).response()
    return _json({"status": "ready"})


@probes.get("/metrics", summary="Metrics")
async def metrics(request: Request) -> Response:
    """What the service counts, in Prometheus' text format."""
    return Response(_service(request).metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@probes.get("/version", summary="What is running")
async def version(request: Request) -> Response:
    """The versions of the service and of its model, the revision of the source, and the hash of the weights."""
    service = _service(request)
    model = service.model
    return _json(
        {
            "version": VERSION,
            "model": {"name": model.name, "version": model.version} if model else None,
            "build": service.settings.build_revision,
            "weights_sha256": service.weights_sha256 if model else None,
        }
    )
