"""Many articles in one request, as a JSON batch or as lines (NDJSON); none of them fails another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.incoming import NDJSON, body_lines, disconnected, parse_json, request_info, to_query, while_connected
from app.api.problems import ProblemError, as_problem
from app.api.schemas import render
from app.serving.admission import Ticket
from app.serving.errors import DeadlineExceededError, ExtractionFailedError
from app.serving.ordered import Work, in_order
from app.serving.service import Query, Service


async def extract(service: Service, query: Query, ticket: Ticket, *, source: Hashable, deadline: float) -> bytes:
    """One article's result as JSON; raises as Service.extract."""
    model = service.model
    assert model is not None  # noqa: S101 - set before the service is ready
    rendered = await service.extract(
        query, ticket, source=source, deadline=deadline, render=lambda extraction: render(extraction, model)
    )
    request_info().events += rendered.events
    return rendered.json


async def extract_all(service: Service, items: Sequence[Any], deadline: float) -> bytes:
    """The answer to a JSON batch.

    Raises RefusedError where its articles do not fit, and DeadlineExceededError where none was ready in time.
    """
    queries: list[Query | ProblemError] = []
    for index, item in enumerate(items):
        try:
            queries.append(to_query(item, ("body", "articles", index)))
        except ProblemError as problem:
            queries.append(problem)
    source = object()
    missed = 0

    async def one(query: Query, ticket: Ticket) -> bytes:
        nonlocal missed
        try:
            return await extract(service, query, ticket, source=source, deadline=deadline)
        except (DeadlineExceededError, ExtractionFailedError) as error:
            missed += isinstance(error, DeadlineExceededError)
            return as_problem(error).item()

    with service.admitted([query for query in queries if isinstance(query, Query)], deadline) as tickets:
        waiting = iter(tickets)

        async def works() -> AsyncIterator[Work]:
            for query in queries:
                if isinstance(query, ProblemError):
                    yield _refused(service, query)
                else:
                    ticket = next(waiting)
                    yield Work(query.cost, lambda query=query, ticket=ticket: one(query, ticket))  # type: ignore[misc]

        results: list[bytes] = []

        async def keep(result: bytes) -> None:
            results.append(result)

        await in_order(works(), keep, most_tokens=service.most_tokens_under_way)
    if missed == len(items):
        raise DeadlineExceededError
    return b'{"results":[' + b",".join(results) + b"]}"


class LineStream(Response):
    """The answer to lines: reads the request and answers it at one time.

    ``timeout_s`` holds for each article from when the queue has room for it. A full queue holds up the reading, and so
    does a caller that does not read its results; that one is given up on after the longest timeout.
    """

    def __init__(self, service: Service, timeout_s: float) -> None:
        super().__init__()
        self._service = service
        self._timeout_s = timeout_s
        self._head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", NDJSON.encode())]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ClientDisconnect where the caller goes before the end."""
        started = False
        body_ended = asyncio.Event()

        async def emit(line: bytes) -> None:
            nonlocal started
            try:
                async with asyncio.timeout(self._service.settings.max_request_timeout_s):
                    if not started:
                        started = True
                        await send(self._head)
                    await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
            except TimeoutError:
                raise ClientDisconnect from None

        async def chunks() -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                more = message.get("more_body", False)
                yield message.get("body", b"")
            body_ended.set()

        async def gone() -> None:
            await body_ended.wait()  # until then `chunks` notices
            await disconnected(receive)

        answer = in_order(self._works(chunks()), emit, most_tokens=self._service.most_tokens_under_way)
        await while_connected(answer, gone())
        if not started:
            await send(self._head)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _works(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[Work]:
        limit = self._service.settings.max_body_bytes
        async for line in body_lines(chunks, limit):
            if line is None:
                yield _refused(self._service, ProblemError(413, f"The line is larger than {limit} bytes."))
            elif line.strip():
                try:
                    query = to_query(parse_json(line))
                except ProblemError as problem:
                    yield _refused(self._service, problem)
                else:
                    yield Work(query.cost, lambda query=query: self._one(query))  # type: ignore[misc]

    async def _one(self, query: Query) -> bytes:
        began = time.monotonic()
        ticket = await self._service.admission.wait(query.cost)
        try:
            self._service.tell_admitted(began)
            deadline = time.monotonic() + self._timeout_s
            return await extract(self._service, query, ticket, source=self, deadline=deadline)
        except (DeadlineExceededError, ExtractionFailedError) as error:
            return as_problem(error).item()
        finally:
            ticket.close()


def _refused(service: Service, problem: ProblemError) -> Work:
    service.metrics.articles.labels("invalid").inc()

    async def run() -> bytes:
        return problem.item()

    return Work(0, run)
