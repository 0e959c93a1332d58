"""Logs as one JSON object a line. What an article says never gets into them: exceptions are logged by class and
place, without their message, since that may quote the input."""

from __future__ import annotations

import logging
import logging.config
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


@dataclass(slots=True)
class RequestInfo:
    """What the logs tell of the request being answered; the endpoints add what they learn."""

    request_id: str
    trace_id: str
    span_id: str
    started: float
    articles: int = 0
    characters: int = 0
    events: int = 0


current_request: ContextVar[RequestInfo | None] = ContextVar("current_request", default=None)


class _AddRequest(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if (info := current_request.get()) is not None:
            record.request_id, record.trace_id, record.span_id = info.request_id, info.trace_id, info.span_id
        return True


class DiscreetJsonFormatter(JsonFormatter):
    """JSON whose tracebacks carry classes and places only."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802
        error: BaseException | None = ei[1]
        parts: list[str] = []
        while error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{frames}{type(error).__module__}.{type(error).__qualname__}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\ncaused by\n\n".join(parts)


def log_config(level: str) -> dict[str, Any]:
    """For ``logging.config.dictConfig``: everything, uvicorn's own too, through one JSON handler on stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": _AddRequest}},
        "formatters": {
            "json": {
                "()": DiscreetJsonFormatter,
                "fmt": "%(levelname)s %(name)s %(message)s",
                "timestamp": True,
                "rename_fields": {"levelname": "level", "name": "logger"},
                "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request"]}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            "uvicorn": {"handlers": [], "propagate": True, "level": level.upper()},
            "uvicorn.access": {"handlers": [], "propagate": False},  # the access log is our own
        },
    }


def configure_logging(level: str) -> None:
    """Sets the process up to log in JSON."""
    logging.config.dictConfig(log_config(level))
