"""uvicorn, with a drain: on SIGTERM what was accepted is answered before the process ends."""

from __future__ import annotations

import json
import logging
import time
import uuid
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.serving.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

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
    """Answers what is not HTTP at all, which no application sees, in the form of every other error."""

    def send_400_response(self, msg: str) -> None:
        """Writes the answer and closes the connection."""
        request_id = str(uuid.uuid4())
        problem = {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "The request is not valid HTTP.",
            "request_id": request_id,
        }
        body = json.dumps(problem).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
