"""What the service counts, in a registry of its own, so that two applications in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series of each, of which nobody asks when it began

_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_POWERS = tuple(2**n for n in range(14))


class Metrics:
    """The metrics of one application; every method may be called from any thread."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.requests = Counter(
            "events_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "events_http_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            ("method", "route"),
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.in_flight = Gauge("events_http_requests_in_flight", "Requests not yet answered.", registry=registry)
        self.articles = Counter("events_articles", "Articles by outcome.", ("outcome",), registry=registry)
        self.characters = Counter("events_characters", "Characters of articles answered.", registry=registry)
        self.extracted = Counter("events_extracted", "Events found.", ("type",), registry=registry)
        self.refusals = Counter("events_refusals", "Requests refused unstarted.", ("reason",), registry=registry)
        self.deadline_misses = Counter("events_deadline_misses", "Deadlines that passed.", registry=registry)
        self._batch_windows = Histogram(
            "events_batch_windows", "Windows in one pass of the encoder.", buckets=_POWERS[:10], registry=registry
        )
        self._batch_tokens = Histogram(
            "events_batch_tokens", "Tokens in one pass of the encoder.", buckets=_POWERS[4:], registry=registry
        )
        self._left_early = Counter(
            "events_windows_left_early", "Windows that the encoder left early, without a trigger.", registry=registry
        )
        self._stage_seconds = Histogram(
            "events_stage_seconds", "Time by stage.", ("stage",), buckets=_STAGE_S, registry=registry
        )
        self.queue_wait = Histogram(
            "events_queue_wait_seconds",
            "From when an article waits for the encoder until its first window is taken.",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self._model = Info("events_model", "The model that answers.", registry=registry)
        self._build = Info("events_build", "The service's version and source revision.", registry=registry)
        for reason in ("queue_full", "buffers_full", "draining", "not_ready"):
            self.refusals.labels(reason)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Adds a stage's time; the extractor's observer."""
        self._stage_seconds.labels(stage).observe(seconds)

    def observe_batch(self, windows: int, tokens: int) -> None:
        """Adds one pass of the encoder."""
        self._batch_windows.observe(windows)
        self._batch_tokens.observe(tokens)

    def observe_left(self, windows: int) -> None:
        """Adds windows that one pass left early."""
        self._left_early.inc(windows)

    def tell_model(self, name: str, version: str) -> None:
        """Says which model was loaded."""
        self._model.info({"name": name, "version": version})

    def tell_build(self, version: str, revision: str) -> None:
        """Says what this service was built from."""
        self._build.info({"version": version, "revision": revision})

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A gauge that is read when the metrics are."""
        Gauge(name, meaning, registry=self._registry).set_function(read)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
