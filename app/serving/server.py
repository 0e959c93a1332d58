"""uvicorn, with a drain: on SIGTERM what was accepted is answered before the process ends."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from http import HTTPStatus
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.serving.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

HEAD_TIMEOUT_S = 20  # for the head of a request; its body has the request's deadline
LAST_ANSWERS_S = 5  # after the grace, for the 503s of what was left


class Server(uvicorn.Server):
    """Listens on while it drains, so that probes and new callers get their 503 instead of a refused connection."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, grace_s: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._grace_s = grace_s
        self._drain_until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to drain; a second signal ends the grace. Not captured: the process ends with 0, not by the signal."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + self._grace_s
            self._lifecycle.drain()
        else:
            self._drain_until = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; True ends the server."""
        if self._lifecycle.state == "failed":
            return True
        if self._drain_until is not None:
            if self._lifecycle.in_flight == 0:
                return True
            if time.monotonic() >= self._drain_until:
                logger.warning("%d requests are left at the end of the grace", self._lifecycle.in_flight)
                self._lifecycle.abort()
                return True
        return await super().on_tick(counter)


class ProblemProtocol(HttpToolsProtocol):
    """Tells what no application sees, as every other error: what is not HTTP, and heads that never end."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller must begin at once, or its connection would be held for nothing."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._end_wait()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The next head begins on a connection that was kept; uvicorn has ended its own wait."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """From here on the request's deadline counts."""
        self._end_wait()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Writes the answer and closes the connection."""
        self._refuse(400, "The request is not valid HTTP.")

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _end_wait(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(408, "The head of the request did not come in time.")
        else:  # nothing may get into the answer before, for which reading may even be paused
            self._await_head()

    def _refuse(self, status: int, detail: str) -> None:
        request_id = str(uuid.uuid4())
        phrase = HTTPStatus(status).phrase
        problem = {
            "type": "about:blank",
            "title": phrase,
            "status": status,
            "detail": detail,
            "request_id": request_id,
        }
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nx-content-type-options: nosniff\r\n"
            "cache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
