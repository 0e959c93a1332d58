"""What every request goes through: its id and trace, the access log, the metrics, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import as_problem
from app.serving.errors import RefusedError
from app.serving.lifecycle import RETRY_DRAINING_S
from app.serving.logs import RequestInfo, current_request
from app.serving.service import Service

if TYPE_CHECKING:  # imported only where there is tracing
    from opentelemetry.trace import Span

logger = logging.getLogger("app.access")

CLIENT_GONE = 499  # never sent; in logs and metrics only
LINGER_S = 5.0
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class RequestContext:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; raises only where an answer broke off in its middle."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _set_prefix(scope, self._service.settings.root_path)
        headers = Headers(scope=scope)
        started = time.monotonic()
        caller = _caller(headers.getlist("traceparent"))
        with self._traced(scope, headers, caller) as span:
            if span is not None:
                here = span.get_span_context()
                trace_id, span_id, sampled = f"{here.trace_id:032x}", f"{here.span_id:016x}", here.trace_flags.sampled
            else:
                trace_id, sampled = (caller[0], caller[2]) if caller else (secrets.token_hex(16), False)
                span_id = secrets.token_hex(8)
            info = RequestInfo(_request_id(headers), trace_id, span_id, started)
            exchange = _Exchange(receive, send, headers, info, "01" if sampled else "00", self._service)
            token = current_request.set(info)
            self._service.metrics.in_flight.inc()
            try:
                with self._service.lifecycle.request():
                    await self._answer(scope, exchange)
            finally:
                self._service.metrics.in_flight.dec()
                self._tell(scope, exchange, span)
                current_request.reset(token)

    def _traced(
        self, scope: Scope, headers: Headers, caller: tuple[str, str, bool] | None
    ) -> AbstractContextManager[Span | None]:
        tracing = self._service.tracing
        if tracing is None or scope["path"].removeprefix(self._service.settings.root_path) in PROBES:
            return nullcontext()
        return tracing.request(caller, headers.getlist("tracestate"))

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_GONE
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._service.lifecycle.aborted or exchange.started or task is None:
                raise
            task.uncancel()
            refused = as_problem(RefusedError("draining", RETRY_DRAINING_S))
            await refused.response()(scope, exchange.receive, exchange.send)
        except Exception as error:
            logger.exception("a request failed")
            if exchange.started:
                raise  # the server breaks the connection off, which is how the caller learns of it
            await as_problem(error).response()(scope, exchange.receive, exchange.send)

    def _tell(self, scope: Scope, exchange: _Exchange, span: Span | None) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "other"
        seconds = time.monotonic() - exchange.info.started
        metrics = self._service.metrics
        metrics.requests.labels(method, route, str(exchange.status)).inc()
        metrics.request_seconds.labels(method, route).observe(seconds)
        if span is not None and self._service.tracing is not None:
            attributes = {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": exchange.status,
                "events.request_id": exchange.info.request_id,
                "events.articles": exchange.info.articles,
                "events.found": exchange.info.events,
            }
            self._service.tracing.finish(span, f"{method} {route}", attributes, failed=exchange.status >= 500)
        client = scope.get("client")
        logger.log(
            logging.DEBUG if route in PROBES else logging.INFO,
            "request",
            extra={
                "method": method,
                "route": route,
                "status": exchange.status,
                "duration_s": round(seconds, 6),
                "articles": exchange.info.articles,
                "characters": exchange.info.characters,
                "events": exchange.info.events,
                "client": client[0] if client else None,
            },
        )


class _Exchange:
    """One request's two channels: watches how much of the body has come, and dresses the answer."""

    def __init__(
        self, receive: Receive, send: Send, headers: Headers, info: RequestInfo, flags: str, service: Service
    ) -> None:
        self.info = info
        self.status = 500
        self.started = False
        self._receive = receive
        self._send = send
        self._flags = flags
        self._service = service
        self._body_ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        # Who waits for "100 Continue" sends no body after an error.
        self._body_follows = "expect" not in headers
        self._linger = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            self._dress(MutableHeaders(scope=message))
            await self._send(message)
        elif self._linger and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._read_on()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    def _dress(self, headers: MutableHeaders) -> None:
        headers["X-Request-ID"] = self.info.request_id
        headers["traceparent"] = f"00-{self.info.trace_id}-{self.info.span_id}-{self._flags}"
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        if self.status >= 400 and not self._body_ended:
            # The answer is out before the body is in. The connection is of no more use, yet closing it on bytes in
            # flight would reset it and could cost the caller the answer: so read on for a while.
            headers["Connection"] = "close"
            self._linger = self._body_follows
        elif self._service.lifecycle.state == "draining":
            headers["Connection"] = "close"

    async def _read_on(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                while not self._body_ended:
                    await self.receive()
        except TimeoutError:
            pass


def _set_prefix(scope: Scope, root_path: str) -> None:
    """Puts the gateway's prefix before the path, as ASGI wants it, where the gateway has stripped it."""
    if root_path:
        scope["root_path"] = root_path
        if scope["path"] != root_path and not scope["path"].startswith(root_path + "/"):
            scope["path"] = root_path + scope["path"]


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())


def _caller(sent: list[str]) -> tuple[str, str, bool] | None:
    """The ids of trace and span and whether they are sampled, where the caller sent one valid ``traceparent``."""
    match = _TRACEPARENT.fullmatch(sent[0]) if len(sent) == 1 else None
    if match is not None:
        version, trace_id, parent_id, flags, more = match.groups()
        known = version != "ff" and not (version == "00" and more)
        if known and int(trace_id, 16) and int(parent_id, 16):
            return trace_id, parent_id, bool(int(flags, 16) & 1)
    return None
