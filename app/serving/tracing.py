"""Traces, by OpenTelemetry. Imported only where the settings ask for them, since the libraries cost time and memory.

What is in a trace: the request, with `admit` (until its articles are let in) and an `article` for each of them, which
has `segment`, `queue`, `encode`, `decode`, `link` and `normalise`. A pass of the encoder serves many articles of many
requests, so it is a trace of its own, `batch`: it links to the articles in it, and their `encode` links to it.
No span carries what an article says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes, AttributeValue

from app.settings import VERSION, Settings

MOST_WAITING = 8192  # spans not yet sent; what comes beyond is dropped
MOST_LINKS = 4096  # as many articles as a pass can hold: one a token
CLOSE_TIMEOUT_S = 3.0  # for the last spans, of the seconds between drain and kill


class Tracing:
    """Makes spans and sends them to ``exporter`` from a thread of its own; every method may be called anywhere."""

    def __init__(self, exporter: SpanExporter, ratio: float, revision: str) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(_Roots(ratio)),
            resource=Resource.create(
                {SERVICE_NAME: "event-extraction", SERVICE_VERSION: VERSION, "vcs.ref.head.revision": revision}
            ),
            shutdown_on_exit=False,  # it would hold up the exit for half a minute where nobody takes the spans
            span_limits=SpanLimits(max_links=MOST_LINKS),
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
        self._tracer = self._provider.get_tracer("app", VERSION)

    @contextmanager
    def request(self, caller: tuple[str, str, bool] | None, state: Sequence[str]) -> Iterator[Span]:
        """The span of a request, below its caller's: ids of trace and span in hexadecimal, and whether it is sampled.

        What is traced inside the block is below it.
        """
        context = Context()
        if caller is not None:
            trace_id, span_id, sampled = caller
            parent = SpanContext(
                int(trace_id, 16),
                int(span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT),
                trace_state=TraceState.from_header(list(state)),
            )
            context = set_span_in_context(NonRecordingSpan(parent), context)
        with self._tracer.start_as_current_span(
            "request", context, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    @contextmanager
    def article(self) -> Iterator[Span]:
        """The span of one article of the current request, and current itself inside the block."""
        with self._tracer.start_as_current_span(
            "article", record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    def finish(self, span: Span, name: str, attributes: Mapping[str, AttributeValue], *, failed: bool) -> None:
        """Gives a span what is known at its end. An error's message is not told: it could quote an article."""
        span.update_name(name)
        span.set_attributes(attributes)
        if failed:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def batch(self, articles: Sequence[SpanContext | None], windows: int, tokens: int) -> Iterator[SpanContext | None]:
        """The span of one pass of the encoder for these articles, or None where none of them is recorded."""
        distinct = {context.span_id: context for context in articles if context is not None}
        links = [Link(context) for context in distinct.values()]
        if not links:
            yield None
            return
        span = self._tracer.start_span(
            "batch", Context(), links=links, attributes={"events.windows": windows, "events.tokens": tokens}
        )
        try:
            yield span.get_span_context()
        except Exception:
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def current(self) -> SpanContext | None:
        """The current span, where it is recorded."""
        span = get_current_span()
        return span.get_span_context() if span.is_recording() else None

    def record(self, name: str, began: float, ended: float, links: Sequence[SpanContext] = ()) -> None:
        """A span below the current one, between two times of ``time.monotonic``; nothing where none is recorded."""
        if not get_current_span().is_recording():
            return
        to_epoch = time.time_ns() - time.monotonic_ns()
        start, end = (int(moment * 1e9) + to_epoch for moment in (began, ended))
        self._tracer.start_span(name, links=[Link(to) for to in links], start_time=start).end(end)

    def observe(self, stage: str, seconds: float) -> None:
        """A stage that ends now, below the current span."""
        now = time.monotonic()
        self.record(stage, now - seconds, now)

    def close(self) -> None:
        """Sends what is left, as far as it can be sent soon."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)


def connect(settings: Settings) -> Tracing:
    """Traces for the collector of the settings."""
    return Tracing(OTLPSpanExporter(settings.trace_endpoint), settings.trace_ratio, settings.build_revision)


class _Roots(Sampler):
    """For spans with no parent: requests by the ratio, and of passes those that a recorded article is in."""

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        chosen = ALWAYS_ON if links else self._ratio
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"roots: {self._ratio.get_description()}, passes by their articles"
