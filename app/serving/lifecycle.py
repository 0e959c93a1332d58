"""Where the process stands between start and exit, and which requests it still owes an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from app.serving.errors import RefusedError

State = Literal["loading", "ready", "draining", "failed"]

REASONS: dict[State, str] = {
    "loading": "The model is being loaded.",
    "ready": "The service takes work.",
    "draining": "The service is shutting down.",
    "failed": "The model could not be loaded.",
}
RETRY_LOADING_S = 5
RETRY_DRAINING_S = 1  # another instance can answer at once


class Lifecycle:
    """Loading, ready, draining or failed; there is no way back.

    All but :meth:`drain` belong to the event loop; that one only sets a flag, so that a signal handler may call it.
    """

    def __init__(self) -> None:
        self.state: State = "loading"
        self.aborted = False
        self._open: set[asyncio.Task[object]] = set()

    def ready(self) -> None:
        """The model is loaded and warm."""
        if self.state == "loading":
            self.state = "ready"

    def fail(self) -> None:
        """The model cannot be loaded."""
        if self.state == "loading":
            self.state = "failed"

    def drain(self) -> None:
        """From now on no work is accepted."""
        self.state = "draining"

    def check(self) -> None:
        """Raises RefusedError unless ready."""
        if self.state == "draining":
            raise RefusedError("draining", RETRY_DRAINING_S)
        if self.state != "ready":
            raise RefusedError("not_ready", RETRY_LOADING_S)

    @property
    def in_flight(self) -> int:
        """Requests not yet answered to the end."""
        return len(self._open)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Marks the running task as one that owes an answer."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every request runs in a task
        self._open.add(task)
        try:
            yield
        finally:
            self._open.discard(task)

    def abort(self) -> None:
        """The grace is over: cancels the requests that are left, whose tasks answer 503."""
        self.aborted = True
        for task in self._open:
            task.cancel()
