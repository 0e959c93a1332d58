"""Traces: which spans a request leaves, how they hang together, and that there is nothing of them without a setting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from conftest import Running, running, wait_for
from fake_extractor import FakeExtractor, FakeSegmented
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr, ValidationError

from app.extraction.values import EventType, Extraction
from app.serving import tracing
from app.settings import Settings, shown

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7"
STAGES = ["segment", "queue", "encode", "decode", "link", "normalise"]


class StagedExtractor(FakeExtractor):
    """Tells of the stages of its finish, as the true one does."""

    def finish(
        self,
        segmented: FakeSegmented,
        vectors: Sequence[list[str]],
        types: frozenset[EventType] | None,
        min_confidence: float | None,
    ) -> Extraction:
        extraction = super().finish(segmented, vectors, types, min_confidence)
        for stage in ("decode", "link", "normalise"):
            self.observe(stage, 0.001)
        return extraction


class Traced(Running):
    """A running application whose spans are kept in memory."""

    exporter: InMemorySpanExporter

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Those that have ended, by their start, of one name or all."""
        assert self.service.tracing is not None
        self.service.tracing._provider.force_flush()
        found = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span for span in found if name in (None, span.name)]


@asynccontextmanager
async def traced(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Traced]:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "OTLPSpanExporter", lambda endpoint: exporter)
    async with running(StagedExtractor(), trace_endpoint="http://collector:4318/v1/traces", **settings) as it:
        it.__class__ = Traced
        assert isinstance(it, Traced)
        it.exporter = exporter
        yield it


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traced]:
    async with traced(monkeypatch) as it:
        yield it


def ids(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


def links_of(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def below(spans: Sequence[ReadableSpan], parent: ReadableSpan) -> list[ReadableSpan]:
    return [span for span in spans if parent_of(span) == ids(parent)]


async def test_one_request_is_one_trace_below_its_caller(service: Traced) -> None:
    answer = await service.extract(
        "Rossi met", headers={"traceparent": f"{PARENT}-01", "tracestate": "vendor=1", "X-Request-ID": "me"}
    )
    [request] = service.spans("POST /v1/extract")
    assert request.kind is SpanKind.SERVER
    assert parent_of(request) == (int(TRACE, 16), 0x00F067AA0BA902B7)
    assert request.context.trace_state.get("vendor") == "1"
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/extract",
        "http.response.status_code": 200,
        "events.request_id": "me",
        "events.articles": 1,
        "events.found": 1,
    }
    spans = service.spans()
    assert [span.name for span in below(spans, request)] == ["admit", "article"]
    [article] = service.spans("article")
    assert dict(article.attributes or {}) == {"events.outcome": "answered", "events.characters": 9}
    stages = below(spans, article)
    assert sorted(span.name for span in stages) == sorted(STAGES)
    assert all(request.start_time <= span.start_time <= span.end_time <= request.end_time for span in stages)  # type: ignore[operator]
    assert len(spans) == 3 + len(STAGES) + 1  # and the batch


async def test_batch_has_a_span_for_each_article(service: Traced) -> None:
    articles = [{"text": "Rossi met"}, {"text": ""}, {"text": "Weber met"}]
    await service.client.post("/v1/extract/batch", json={"articles": articles})
    [request] = service.spans("POST /v1/extract/batch")
    spans = service.spans()
    assert [span.name for span in below(spans, request)] == ["admit", "article", "article"]
    for article in service.spans("article"):
        assert sorted(span.name for span in below(spans, article)) == sorted(STAGES)
    assert {ids(span)[0] for span in spans if span.name != "batch"} == {ids(request)[0]}


async def test_each_line_waits_to_be_admitted_by_itself(service: Traced) -> None:
    lines = b'{"text": "Rossi met"}\n{"text": "Weber met"}\n'
    headers = {"Content-Type": "application/x-ndjson"}
    assert (await service.client.post("/v1/extract/batch", content=lines, headers=headers)).status_code == 200
    [request] = service.spans("POST /v1/extract/batch")
    names = sorted(span.name for span in below(service.spans(), request))
    assert names == ["admit", "admit", "article", "article"]


async def test_requests_that_share_a_pass_are_linked(service: Traced) -> None:
    service.extractor.gate.clear()
    first = asyncio.create_task(service.extract("First met"))
    await asyncio.to_thread(service.extractor.entered.acquire)
    others = [asyncio.create_task(service.extract(text)) for text in ("Rossi met", "Weber met")]
    await asyncio.to_thread(wait_for, lambda: service.service._engine and service.service._engine.queue.windows == 2)
    service.extractor.gate.set()
    await asyncio.gather(first, *others)
    alone, shared = service.spans("batch")
    assert parent_of(alone) is None
    assert parent_of(shared) is None
    assert dict(shared.attributes or {}) == {"events.windows": 2, "events.tokens": 4}
    articles = {ids(span): span for span in service.spans("article")}
    assert len(links_of(alone)) == 1
    assert len({trace for trace, _ in links_of(shared)}) == 2
    for batch in (alone, shared):
        for linked in links_of(batch):
            [encode] = [span for span in below(service.spans(), articles[linked]) if span.name == "encode"]
            assert links_of(encode) == [ids(batch)]


async def test_article_of_many_passes_links_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async with traced(monkeypatch, batch_tokens=8) as service:
        await service.extract("word " * 20)
        batches = service.spans("batch")
        [encode] = service.spans("encode")
    assert len(batches) == 3
    assert links_of(encode) == [ids(batch) for batch in batches]


async def test_failed_pass_and_article_are_marked_and_quote_nothing(service: Traced) -> None:
    await service.extract("Zanzibarium poison")
    assert all(span.status.status_code is StatusCode.ERROR for span in service.spans("batch"))
    [article] = service.spans("article")
    [request] = service.spans("POST /v1/extract")
    assert article.attributes is not None
    assert article.attributes["events.outcome"] == "failed"
    assert article.status.status_code is request.status.status_code is StatusCode.ERROR
    everything = "".join(span.to_json() for span in service.spans())
    assert "Zanzibarium" not in everything
    assert "poison" not in everything


async def test_caller_decides_whether_it_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with traced(monkeypatch) as service:
        answer = await service.extract("Rossi met", headers={"traceparent": f"{PARENT}-00"})
        assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
        assert answer.headers["traceparent"].endswith("-00")
        assert service.spans() == []
    async with traced(monkeypatch, trace_ratio=0) as service:
        await service.extract("Rossi met")
        assert service.spans() == []
        await service.extract("Rossi met", headers={"traceparent": f"{PARENT}-01"})
        assert len(service.spans("batch")) == 1


async def test_probes_are_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with traced(monkeypatch, root_path="/events") as service:
        for path in ("/livez", "/readyz", "/metrics", "/events/readyz"):
            assert (await service.client.get(path)).status_code == 200
        assert service.spans() == []
        await service.client.get("/events/version")
        assert [span.name for span in service.spans()] == ["GET /version"]


async def test_logs_name_the_span(service: Traced, caplog: pytest.LogCaptureFixture) -> None:
    from app.serving.logs import _AddRequest

    caplog.handler.addFilter(_AddRequest())
    caplog.set_level("INFO")
    await service.extract("Rossi met")
    [request] = service.spans("POST /v1/extract")
    [record] = [record for record in caplog.records if record.name == "app.access"]
    assert record.__dict__["trace_id"] == f"{request.context.trace_id:032x}"
    assert record.__dict__["span_id"] == f"{request.context.span_id:016x}"


@contextmanager
def collector(received: list[ExportTraceServiceRequest]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()


async def test_last_spans_reach_the_collector_at_the_end() -> None:
    received: list[ExportTraceServiceRequest] = []
    with collector(received) as url:
        async with running(StagedExtractor(), trace_endpoint=url, build_revision="abc1234") as service:
            await service.extract("Rossi met")
    resources = [resource for request in received for resource in request.resource_spans]
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert names == {"POST /v1/extract", "admit", "article", "batch", *STAGES}
    told = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert (told["service.name"], told["vcs.ref.head.revision"]) == ("event-extraction", "abc1234")


async def test_collector_that_is_away_holds_nothing_up() -> None:
    async with running(trace_endpoint="http://127.0.0.1:1/v1/traces") as service:
        assert (await service.extract("Rossi met")).status_code == 200
    assert tracing.CLOSE_TIMEOUT_S < 5  # that much later at most


def test_nothing_of_it_is_imported_without_the_setting() -> None:
    code = (
        "import sys; from app.main import create_app; create_app(); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', "
        "'google.protobuf', 'requests', 'app.serving.tracing'))])"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize("bad", ["collector:4318", "http://user:secret@collector/v1/traces"])
def test_endpoint_is_a_url_without_a_password(bad: str) -> None:
    with pytest.raises(ValidationError):
        Settings(trace_endpoint=bad)


def test_settings_are_shown_whole_but_for_secrets() -> None:
    class WithSecret(Settings):
        token: SecretStr = SecretStr("sesame")

    told = shown(WithSecret(port=1234))
    assert set(told) == set(WithSecret.model_fields)
    assert told["port"] == 1234
    assert "sesame" not in str(told)
