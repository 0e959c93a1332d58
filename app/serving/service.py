"""The serving side as one object: what a request needs from arrival to answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from app.extraction.values import Article, EventType, Extraction
from app.serving.admission import Admission, Ticket, estimate_tokens
from app.serving.cpus import available_cpus
from app.serving.engine import Engine
from app.serving.errors import DeadlineExceededError, ExtractionFailedError, RefusedError
from app.serving.lifecycle import Lifecycle
from app.serving.logs import current_request
from app.serving.metrics import Metrics
from app.serving.protocols import Extractor, ModelInfo, Observe
from app.serving.queue import TURN_TOKENS
from app.serving.weights import weights_sha256
from app.settings import VERSION, Settings

if TYPE_CHECKING:  # imported only where there is tracing
    from app.serving.tracing import Tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")

Load = Callable[[Settings, Observe], Extractor]
"""Reads the model; slow, called in a thread, raises where the model is missing or broken."""

FIRST = Article(  # the first that the model reads takes longer and says nothing of the speed
    "The ministers of Norland and Sudland met in Port Vale on Monday. Norland pledged 20 million euros for ferries.",
    title="Norland and Sudland meet",
)
WARM_UP = Article(  # about as much in it as in news, for it is the first measure of the speed
    FIRST.text
    + "\n\n"
    + "The strait between the two shores is narrow and stormy, and few ships can cross it before the ice has gone. Old "
    "people on both sides remember that mail once came by sledge, and that a letter took longer to arrive than a sack "
    "of flour. Nobody has counted how many of the harbour's gulls stay for the winter.\n\n" * 4,
    title=FIRST.title,
)
RETRY_BUFFERS_S = 1
STREAM_PASSES = 16  # that one request may keep waiting at each thread of the encoder: enough that none runs dry


@dataclass(frozen=True, slots=True)
class Query:
    """An article and what is wanted of it."""

    article: Article
    types: frozenset[EventType] | None = None
    min_confidence: float | None = None

    @property
    def cost(self) -> int:
        """Estimated tokens."""
        return estimate_tokens(self.article.text)


class Service:
    """Admission, engine, lifecycle and metrics of one application. Lives on the event loop."""

    def __init__(self, settings: Settings, load: Load) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.lifecycle = Lifecycle()
        self.admission = Admission(
            settings.max_queued_tokens, self.most_tokens_under_way, settings.max_wait_s, TURN_TOKENS
        )
        self.model: ModelInfo | None = None
        self.weights_sha256: str | None = None
        self.tracing = _tracing(settings)
        self._load = load
        self._engine: Engine | None = None
        self._buffered = 0
        self._tell_metrics()

    @property
    def most_tokens_under_way(self) -> int:
        """Of one request that brings many articles."""
        passes = STREAM_PASSES * self.settings.encoder_threads
        return min(passes * self.settings.batch_tokens, self.settings.max_queued_tokens // 4)

    async def start(self) -> None:
        """Loads the model, warms it up, then is ready; a model that cannot be loaded is logged and told by readyz."""
        try:
            extractor = await _in_daemon_thread(self._load_model)
            self._engine = Engine(
                extractor,
                batch_tokens=self.settings.batch_tokens,
                encoder_threads=self.settings.encoder_threads,
                pool_threads=max(2, min(4, available_cpus() // 2)),
                on_batch=self.metrics.observe_batch,
                on_left=self.metrics.observe_left,
                on_wait=self.metrics.queue_wait.observe,
                tracing=self.tracing,
            )
            started = time.monotonic()
            for article in (FIRST, WARM_UP):
                query = Query(article)
                [ticket] = self.admission.admit([query.cost])
                await self._run(query, ticket, source=self, deadline=float("inf"), render=lambda _: None)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, ExtractionFailedError) and error.__cause__ else error
            # The message is about the model, not about an article, and the operator needs it.
            logger.critical("the model could not be loaded: %s: %s", type(cause).__name__, cause)
            self.lifecycle.fail()
            return
        self.model = extractor.info
        self.metrics.tell_model(self.model.name, self.model.version)
        logger.info(
            "ready",
            extra={
                "model": self.model.name,
                "model_version": self.model.version,
                "weights_sha256": self.weights_sha256,
                "warm_up_s": round(time.monotonic() - started, 3),
            },
        )
        self.lifecycle.ready()

    def _load_model(self) -> Extractor:
        extractor = self._load(self.settings, self._observe)
        self.weights_sha256 = weights_sha256(self.settings.model_folder)  # known from the load, which checks it
        return extractor

    def stop(self) -> None:
        """Ends the engine's threads."""
        if self._engine is not None:
            self._engine.close()
        if self.tracing is not None:
            self.tracing.close()

    def check_open(self) -> None:
        """Raises RefusedError where new work has no chance, before any of it is read."""
        with self._counting_refusals():
            self.lifecycle.check()
            if self.admission.full:
                raise self.admission.refusal()

    @contextlib.contextmanager
    def admitted(self, queries: Sequence[Query], deadline: float) -> Iterator[list[Ticket]]:
        """Tickets for all of a request's articles; RefusedError, with nothing started, where they do not fit.

        They do not fit either where, by the speed of late, the deadline or the longest wait would pass while others are
        worked on.
        """
        with self._counting_refusals():
            tickets = self.admission.admit([query.cost for query in queries], deadline - time.monotonic())
        if (request := current_request.get()) is not None:
            self.tell_admitted(request.started)
        try:
            yield tickets
        finally:
            for ticket in tickets:
                ticket.close()

    def tell_admitted(self, began: float) -> None:
        """Traces that the current request waited to be let in, from ``began`` until now."""
        if self.tracing is not None:
            self.tracing.record("admit", began, time.monotonic())

    @contextlib.contextmanager
    def buffering(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of a body while it is held; what is yielded raises RefusedError where all is too much."""
        held = 0

        def grow(size: int) -> None:
            nonlocal held
            with self._counting_refusals():
                if self._buffered + size > self.settings.max_buffered_bytes:
                    raise RefusedError("buffers_full", RETRY_BUFFERS_S)
            held += size
            self._buffered += size

        try:
            yield grow
        finally:
            self._buffered -= held

    async def extract(
        self,
        query: Query,
        ticket: Ticket,
        *,
        source: Hashable,
        deadline: float,
        render: Callable[[Extraction], T],
    ) -> T:
        """What ``render`` makes of the article's events, as Engine.extract; closes the ticket."""
        outcome = "gone"
        traced = self.tracing.article() if self.tracing is not None else contextlib.nullcontext()

        def counted_render(extraction: Extraction) -> T:
            for event in extraction.events:
                self.metrics.extracted.labels(event.type).inc()
            return render(extraction)

        with traced as span:
            try:
                result = await self._run(query, ticket, source=source, deadline=deadline, render=counted_render)
                outcome = "answered"
                self.metrics.characters.inc(len(query.article.text))
                return result
            except DeadlineExceededError:
                outcome = "deadline"
                self.metrics.deadline_misses.inc()
                raise
            except ExtractionFailedError:
                outcome = "failed"
                logger.exception("an article of %d characters failed", len(query.article.text))
                raise
            finally:
                self.metrics.articles.labels(outcome).inc()
                if span is not None and self.tracing is not None:
                    told: dict[str, str | int] = {
                        "events.outcome": outcome,
                        "events.characters": len(query.article.text),
                    }
                    self.tracing.finish(span, "article", told, failed=outcome in ("deadline", "failed"))

    async def _run(
        self,
        query: Query,
        ticket: Ticket,
        *,
        source: Hashable,
        deadline: float,
        render: Callable[[Extraction], T],
    ) -> T:
        assert self._engine is not None  # noqa: S101 - check_open let the request in
        answered = False
        try:
            result = await self._engine.extract(
                query.article,
                source=source,
                deadline=deadline,
                types=query.types,
                min_confidence=query.min_confidence,
                counted=ticket.resize,
                render=render,
            )
            answered = True
            return result
        finally:
            ticket.close(answered=answered)

    def _observe(self, stage: str, seconds: float) -> None:
        self.metrics.observe_stage(stage, seconds)
        if self.tracing is not None:
            self.tracing.observe(stage, seconds)

    @contextlib.contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as refused:
            self.metrics.refusals.labels(refused.reason).inc()
            raise

    def _tell_metrics(self) -> None:
        def waiting(what: str) -> float:
            return getattr(self._engine.queue, what) if self._engine else 0

        watch = self.metrics.watch
        watch("events_queue_windows", "Windows that wait for the encoder.", lambda: waiting("windows"))
        watch("events_queue_tokens", "Tokens that wait for the encoder.", lambda: waiting("tokens"))
        watch("events_admitted_tokens", "Tokens of accepted, unanswered articles.", lambda: self.admission.tokens)
        watch(
            "events_admitted_tokens_limit",
            "Bound of events_admitted_tokens, beyond which new work gets 429.",
            lambda: self.settings.max_queued_tokens,
        )
        watch("events_tokens_per_second", "Speed of late, end to end.", lambda: self.admission.tokens_per_s)
        watch("events_buffered_bytes", "Bytes of bodies being read.", lambda: self._buffered)
        watch("events_ready", "1 while new work is accepted.", lambda: self.lifecycle.state == "ready")
        self.metrics.tell_build(VERSION, self.settings.build_revision)


def _tracing(settings: Settings) -> Tracing | None:
    if not settings.trace_endpoint:
        return None
    from app.serving.tracing import connect

    return connect(settings)


async def _in_daemon_thread(call: Callable[[], T]) -> T:
    """Runs a call that must not hold up the exit of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is on its way out
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="model-loader", daemon=True).start()
    return await future
