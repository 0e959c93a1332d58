"""The engine: small threads that segment and finish, and a thread to each core that encodes.

The event loop hands an article in and gets a result back; between them its windows take turns with those of every
other request. A thread of the encoder that is through with a pass takes the next windows at once: no core waits for
another, and a new article for no longer than one pass.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from app.extraction.values import Article, EventType, Extraction
from app.serving.errors import DeadlineExceededError, ExtractionFailedError
from app.serving.memory import give_back
from app.serving.protocols import Extractor, Segmented
from app.serving.queue import Job, Piece, WindowQueue

if TYPE_CHECKING:  # imported only where there is tracing
    from opentelemetry.trace import SpanContext

    from app.serving.tracing import Tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_TIMEOUT_S = 10.0
GIVE_BACK_TOKENS = 32_768  # seconds of a thread's work, after which it gives memory back: what lies free would add up


class Engine:
    """Runs one extractor for all requests.

    ``on_batch`` is told the windows and tokens of every pass, from the encoder's threads, ``on_left`` how many windows
    of it were left early, and ``on_wait`` the seconds that each article waited for its first.
    """

    def __init__(
        self,
        extractor: Extractor,
        *,
        batch_tokens: int,
        encoder_threads: int,
        pool_threads: int,
        on_batch: Callable[[int, int], None],
        on_left: Callable[[int], None],
        on_wait: Callable[[float], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._extractor = extractor
        self._batch_tokens = batch_tokens
        self._on_batch = on_batch
        self._on_left = on_left
        self._on_wait = on_wait
        self._tracing = tracing
        self.queue = WindowQueue()
        self._pool = ThreadPoolExecutor(pool_threads, thread_name_prefix="articles")
        self._settling = threading.Lock()
        self._encoders = [
            threading.Thread(target=self._encode_forever, name=f"encoder-{number}", daemon=True)
            for number in range(encoder_threads)
        ]
        for encoder in self._encoders:
            encoder.start()

    async def extract(
        self,
        article: Article,
        *,
        source: Hashable,
        deadline: float,
        types: frozenset[EventType] | None,
        min_confidence: float | None,
        counted: Callable[[int], None],
        render: Callable[[Extraction], T],
    ) -> T:
        """What ``render`` makes of the article's events, in a thread of the pool.

        ``counted`` is told the article's tokens once they are known. Requests with one ``source`` share one turn at
        the encoder. Raises DeadlineExceededError at ``deadline`` (of ``time.monotonic``) and ExtractionFailedError
        where a stage raised. Whenever this ends early, the windows that still wait are dropped.
        """
        loop = asyncio.get_running_loop()
        timeout = asyncio.timeout(deadline - time.monotonic())
        try:
            async with timeout:
                # The context goes along, so that what a stage logs or traces is known to be of this request.
                segmented = await loop.run_in_executor(
                    self._pool, copy_context().run, self._extractor.segment, article, min_confidence
                )
                counted(sum(window.tokens for window in segmented.windows))
                vectors = await self._encode(segmented, source, deadline)
                return await loop.run_in_executor(
                    self._pool,
                    copy_context().run,
                    self._finish,
                    segmented,
                    vectors,
                    types,
                    min_confidence,
                    render,
                )
        except Exception as error:
            if timeout.expired():
                raise DeadlineExceededError from None
            raise ExtractionFailedError from error

    def close(self) -> None:
        """Stops the threads; call it when no request is left."""
        self.queue.close()
        end = time.monotonic() + CLOSE_TIMEOUT_S
        for encoder in self._encoders:
            encoder.join(max(0.0, end - time.monotonic()))
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _encode(self, segmented: Segmented, source: Hashable, deadline: float) -> list[Any]:
        windows = segmented.windows
        if not windows:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()

        def hand_over(settle: Callable[[Any], None], value: object) -> None:
            try:
                loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))
            except RuntimeError:  # the loop is closed: nobody waits any more
                logger.debug("result of an article came after the loop had closed")

        job = Job(
            windows=windows,
            source=source,
            deadline=deadline,
            done=lambda vectors: hand_over(future.set_result, vectors),
            failed=lambda error: hand_over(future.set_exception, error),
            span=self._tracing.current() if self._tracing is not None else None,
        )
        entered = time.monotonic()
        self.queue.put(job)
        try:
            return await future
        finally:
            self.queue.drop(job)
            taken, now = job.taken, time.monotonic()
            self._on_wait((taken or now) - entered)
            if self._tracing is not None:
                self._tracing.record("queue", entered, taken or now)
                if taken is not None:
                    self._tracing.record("encode", taken, now, job.passes)

    def _finish(
        self,
        segmented: Any,
        vectors: list[Any],
        types: frozenset[EventType] | None,
        min_confidence: float | None,
        render: Callable[[Extraction], T],
    ) -> T:
        return render(self._extractor.finish(segmented, vectors, types, min_confidence))

    def _encode_forever(self) -> None:
        worked = 0  # tokens
        while (pieces := self.queue.take(self._batch_tokens)) is not None:
            tokens = sum(piece.window.tokens for piece in pieces)
            worked += tokens
            if worked >= GIVE_BACK_TOKENS:
                give_back()
                worked = 0
            self._on_batch(len(pieces), tokens)
            try:
                self._encode_pieces(pieces)
            except Exception:
                # One article's window must not fail its neighbours: find it by going one by one.
                logger.exception("a pass over %d windows failed, they are tried one by one", len(pieces))
                for piece in pieces:
                    try:
                        self._encode_pieces([piece])
                    except Exception as error:
                        self.queue.drop(piece.job)
                        piece.job.failed(error)
            del pieces  # or the last batch's articles would live until the next one

    def _encode_pieces(self, pieces: Sequence[Piece]) -> None:
        with self._traced(pieces) as span:
            vectors = self._extractor.encode([piece.window for piece in pieces])
            if len(vectors) != len(pieces):
                raise ValueError("the encoder must give one tensor a window")
        self._on_left(sum(not len(rows) for rows in vectors))
        if span is not None:
            for job in {piece.job for piece in pieces}:
                job.passes.append(span)
        for piece, vector in zip(pieces, vectors, strict=True):
            job = piece.job
            with self._settling:
                job.vectors[piece.index] = vector
                job.missing -= 1
                whole = job.missing == 0
            if whole:
                job.done(job.vectors)

    def _traced(self, pieces: Sequence[Piece]) -> AbstractContextManager[SpanContext | None]:
        if self._tracing is None:
            return nullcontext()
        tokens = sum(piece.window.tokens for piece in pieces)
        return self._tracing.batch([piece.job.span for piece in pieces], len(pieces), tokens)
