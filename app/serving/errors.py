"""Why the serving side gives no result; the API turns each into a problem."""

from __future__ import annotations

from typing import Literal

Refusal = Literal["queue_full", "buffers_full", "draining", "not_ready"]


class RefusedError(Exception):
    """Nothing was started; worth another try after ``retry_after`` whole seconds."""

    def __init__(self, reason: Refusal, retry_after: int) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason
        self.retry_after = retry_after


class DeadlineExceededError(Exception):
    """The caller's deadline passed; what was left of the work is dropped."""


class ExtractionFailedError(Exception):
    """A stage raised; the cause is chained."""
