"""What arrives: its content type, deadline and body, from bytes to validated articles."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from app.api.problems import LONGEST_NAME, MOST_ERRORS, FieldError, ProblemError, invalid
from app.api.schemas import ArticleRequest
from app.serving.errors import DeadlineExceededError
from app.serving.logs import RequestInfo, current_request
from app.serving.service import Query, Service
from app.settings import Settings

T = TypeVar("T")

JSON = "application/json"
NDJSON = "application/x-ndjson"
TIMEOUT_HEADER = "X-Request-Timeout"

_FIELDS = frozenset(ArticleRequest.model_fields)


def request_info() -> RequestInfo:
    """The record of the request being answered."""
    info = current_request.get()
    assert info is not None  # noqa: S101 - the middleware set it
    return info


def media_type(headers: Headers, allowed: Sequence[str]) -> str:
    """Which of the allowed types the body has; a 415 problem where it has another, another charset or coding."""
    essence, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    charset_ok = all(
        p.partition("=")[2].strip('" ') in ("utf-8", "utf8") for p in parameters if p.startswith("charset")
    )
    coding_ok = headers.get("content-encoding", "identity").strip().lower() == "identity"
    if essence not in allowed or not charset_ok or not coding_ok:
        raise ProblemError(415, f"The body must be {' or '.join(allowed)}, in UTF-8 and not compressed.")
    return essence


def timeout_s(headers: Headers, settings: Settings) -> float:
    """Seconds that the caller will wait, or the default; a 422 problem where they make no sense."""
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return settings.request_timeout_s
    try:
        seconds = float(value) if "_" not in value else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= settings.max_request_timeout_s:  # false for NaN too
        wanted = f"Input should be seconds, above 0 and at most {settings.max_request_timeout_s:g}"
        error: FieldError = {"loc": ["header", TIMEOUT_HEADER], "msg": wanted}
        raise ProblemError(422, "The request has bad fields.", errors=[error])
    return seconds


async def read_json(request: Request, service: Service, deadline: float) -> Any:
    """The body as a Python value.

    Raises problems (400, 413, 422), RefusedError where too much is being read already, DeadlineExceededError and
    ClientDisconnect. No more than the limit is ever held.
    """
    limit = service.settings.max_body_bytes
    too_large = ProblemError(413, f"The body is larger than {limit} bytes.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large
    body = bytearray()
    with service.buffering() as grow:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > limit:
                        raise too_large
                    grow(len(chunk))
                    body += chunk
        except TimeoutError:
            service.metrics.deadline_misses.inc()
            raise DeadlineExceededError from None
        return parse_json(body)


def parse_json(body: bytes | bytearray) -> Any:
    """The value; a 400 problem where it is none, 422 where a string in it holds half of a surrogate pair."""
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        message = str(error)
        if "recursion" in message:
            raise ProblemError(400, "The JSON is nested too deep.") from None
        if "escape" in message:  # maybe JSON all the same, whose string is no Unicode text
            _raise_for_surrogates(body)
        try:
            body.decode()
        except UnicodeDecodeError:
            raise ProblemError(400, "The body is not UTF-8.") from None
        raise ProblemError(400, "The body is not JSON.") from None


def _raise_for_surrogates(body: bytes | bytearray) -> None:
    def refuse(_: str) -> NoReturn:
        raise ValueError

    try:
        found = _surrogate_locs(json.loads(body.decode(), parse_constant=refuse), [])
    except (ValueError, RecursionError):
        return
    errors: list[FieldError] = [
        {"loc": ["body", *loc], "msg": "String should not contain half of a surrogate pair"}
        for loc in found[:MOST_ERRORS]
    ]
    if errors:
        raise ProblemError(422, "The request has bad fields.", errors=errors)


def _surrogate_locs(value: object, at: list[str | int]) -> list[list[str | int]]:
    if isinstance(value, str):
        return [at] if _is_broken(value) else []
    found = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += _surrogate_locs(item, [*at, index])
    elif isinstance(value, dict):
        for key, item in value.items():
            if _is_broken(key):
                found.append(at)
            else:
                found += _surrogate_locs(item, [*at, key[:LONGEST_NAME]])
    return found


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def to_query(value: Any, at: Sequence[str | int] = ("body",)) -> Query:
    """One article, validated; a 422 problem whose fields' locations begin with ``at``."""
    if isinstance(value, dict) and len(value) > len(_FIELDS) + MOST_ERRORS:
        # Each of a million unknown fields would cost an error's memory; a few tell the caller enough.
        unknown = itertools.islice((name for name in value if name not in _FIELDS), MOST_ERRORS)
        told = _FIELDS.union(unknown)
        value = {name: item for name, item in value.items() if name in told}
    try:
        query = ArticleRequest.model_validate(value).query()
    except ValidationError as error:
        raise invalid(error, at) from None
    info = request_info()
    info.articles += 1
    info.characters += len(query.article.text)
    return query


def batch_items(value: Any, most: int) -> list[Any]:
    """The values of ``articles``, each still to be validated; a 422 problem where the batch itself is wrong."""

    def wrong(loc: list[str | int], msg: str) -> ProblemError:
        return ProblemError(422, "The request has bad fields.", errors=[{"loc": ["body", *loc], "msg": msg}])

    if not isinstance(value, dict):
        raise wrong([], "Input should be an object")
    for name in value:
        if name != "articles":
            raise wrong([name[:LONGEST_NAME]], "Extra inputs are not permitted")
    if "articles" not in value:
        raise wrong(["articles"], "Field required")
    items = value["articles"]
    if not isinstance(items, list):
        raise wrong(["articles"], "Input should be an array")
    if not 1 <= len(items) <= most:
        raise wrong(["articles"], f"Array should have 1 to {most} items")
    return items


async def body_lines(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes | None]:
    """The lines of a body that may be endless, without their ends; None for one of more than ``limit`` bytes."""
    line = bytearray()
    too_long = False
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            if too_long or len(line) + len(part) > limit:
                yield None
            else:
                line += part
                yield bytes(line)
            line.clear()
            too_long = False
        if too_long or len(line) + len(rest) > limit:
            line.clear()
            too_long = True
        else:
            line += rest
    if too_long:
        yield None
    elif line:
        yield bytes(line)


async def disconnected(receive: Receive) -> None:
    """Returns once the caller has gone; for when its body was read to the end."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(work: Coroutine[Any, Any, T], gone: Coroutine[Any, Any, None]) -> T:
    """The work's result; cancels it and raises ClientDisconnect when ``gone`` returns first."""
    working, watching = asyncio.create_task(work), asyncio.create_task(gone)
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
