"""Errors as problems (RFC 9457), with nothing in them of the code or of what the caller sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.serving.errors import DeadlineExceededError, ExtractionFailedError, RefusedError
from app.serving.lifecycle import REASONS
from app.serving.logs import current_request

PROBLEM_JSON = "application/problem+json"
MOST_ERRORS = 20
LONGEST_NAME = 100

# The names of RFC 9110; the standard library's depend on its version.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

_REFUSALS = {
    "queue_full": (429, "The queue is full; nothing was started."),
    "buffers_full": (429, "Too many bodies are being read; nothing was started."),
    "draining": (503, REASONS["draining"]),
    "not_ready": (503, "The model is not loaded."),
}

_ROUTING = {404: "There is no such path.", 405: "The path does not have this method."}


class FieldError(TypedDict):
    """One bad field: the way to it from ``body`` or ``header``, and what is wrong."""

    loc: list[str | int]
    msg: str


class ProblemError(Exception):
    """A request, or one article of it, that gets a problem for an answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The problem, of the request being answered."""
        info = current_request.get()
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": info.request_id if info else None,
        }
        if self.errors:
            problem["errors"] = self.errors
        return problem

    def item(self) -> bytes:
        """The problem as an article's result."""
        return orjson.dumps({"error": self.body()})

    def response(self) -> Response:
        """The problem as the whole answer."""
        return Response(
            orjson.dumps(self.body()), status_code=self.status, headers=self.headers, media_type=PROBLEM_JSON
        )


def invalid(error: ValidationError, at: Sequence[str | int]) -> ProblemError:
    """A 422 that names the bad fields; ``at`` leads to what was validated."""
    errors: list[FieldError] = [
        {
            "loc": [*at, *(part[:LONGEST_NAME] if isinstance(part, str) else part for part in found["loc"])],
            "msg": found["msg"],
        }
        for found in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_ERRORS]
    ]
    return ProblemError(422, "The request has bad fields.", errors=errors)


def as_problem(error: Exception) -> ProblemError:
    """The problem that tells the caller of an exception."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RefusedError):
        status, detail = _REFUSALS[error.reason]
        return ProblemError(status, detail, headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, DeadlineExceededError):
        return ProblemError(504, "The deadline passed before the answer was ready.")
    if isinstance(error, ExtractionFailedError):
        return ProblemError(500, "The article could not be processed.")
    if isinstance(error, HTTPException):
        detail = _ROUTING.get(error.status_code, "The request failed.")
        return ProblemError(error.status_code, detail, headers=dict(error.headers or {}))
    return ProblemError(500, "The service failed.")


async def _answer(_: Request, error: Exception) -> Response:
    return as_problem(error).response()


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = dict.fromkeys(
    (ProblemError, RefusedError, DeadlineExceededError, ExtractionFailedError, HTTPException), _answer
)
