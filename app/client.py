"""The caller's side: a client of the service and its asynchronous twin, with retries, timeouts and typed answers.

with Client("http://127.0.0.1:8000") as client:
    for event in client.extract("The ministers met in Oslo on Monday.").events:
        print(event.type, event.status, [who.name for who in event.participants])
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar

import anyio
import h11
import httpx
from anyio.abc import ByteStream
from anyio.from_thread import start_blocking_portal
from pydantic import TypeAdapter, ValidationError

from app.extraction import values
from app.extraction.values import Article, EventType

T = TypeVar("T")

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
ANSWER_MARGIN_S = 2.0  # past the deadline that the service was told, so that its 504 still arrives

_BUSY = (429, 503)
# Extraction changes nothing, so a request whose answer was lost may be sent again. Not so a read that timed out: the
# service may still be at work on it.
_LOST = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
_EXTRACT, _BATCH, _TYPES, _READYZ, _VERSION = "/v1/extract", "/v1/extract/batch", "/v1/types", "/readyz", "/version"
_END = object()


# ------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Event(values.Event):
    """One happening; ``id`` is unique in the answer."""

    id: str


@dataclass(frozen=True, slots=True)
class Model:
    """Which model answered."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Extraction(values.Extraction):
    """The answer for one article; events stand in the order of their first mention."""

    events: tuple[Event, ...]
    model: Model


@dataclass(frozen=True, slots=True)
class Version:
    """What is running; ``model`` and the hash of its weights are None until it is loaded."""

    version: str
    model: Model | None
    build: str
    weights_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: the way to it from ``body`` or ``header``, and what is wrong."""

    loc: tuple[str | int, ...]
    msg: str


@dataclass(frozen=True, slots=True)
class _Problem:
    status: int
    title: str
    detail: str = ""
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()


class ServiceError(Exception):
    """The service, or a gateway before it, refused or failed; one article's problem in a batch's results."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        request_id: str | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        fields = "".join(f"; {'.'.join(map(str, error.loc))}: {error.msg}" for error in errors)
        super().__init__(f"{status} {title}{': ' if detail else ''}{detail}{fields}")
        self.status = status
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.errors = errors


@dataclass(frozen=True, slots=True)
class _Failed:
    error: _Problem


@dataclass(frozen=True, slots=True)
class _Batch:
    results: tuple[Extraction | _Failed, ...]


_EXTRACTION: TypeAdapter[Extraction] = TypeAdapter(Extraction)
_RESULT: TypeAdapter[Extraction | _Failed] = TypeAdapter(Extraction | _Failed)
_RESULTS: TypeAdapter[_Batch] = TypeAdapter(_Batch)
_DATA: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_VERSION_ANSWER: TypeAdapter[Version] = TypeAdapter(Version)
_PROBLEM: TypeAdapter[_Problem] = TypeAdapter(_Problem)


def _as_error(problem: _Problem) -> ServiceError:
    return ServiceError(problem.status, problem.title, problem.detail, problem.request_id, problem.errors)


def _error_of(response: httpx.Response) -> ServiceError:
    try:
        return _as_error(_PROBLEM.validate_json(response.content))
    except ValidationError:  # of a gateway, most likely
        title = response.reason_phrase or "Error"
        return ServiceError(response.status_code, title, request_id=response.headers.get("x-request-id"))


def _parse(adapter: TypeAdapter[T], response: httpx.Response, content: bytes) -> T:
    try:
        return adapter.validate_json(content)
    except ValidationError:
        detail = "The answer is not one of this service."
        request_id = response.headers.get("x-request-id")
        raise ServiceError(response.status_code, "Unexpected answer", detail, request_id) from None


def _result(result: Extraction | _Failed) -> Extraction | ServiceError:
    return _as_error(result.error) if isinstance(result, _Failed) else result


# ------------------------------------------------------------------------------------------- requests and retries


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked of every article of a call."""

    types: list[EventType] | None
    min_confidence: float | None

    def of(self, article: Article | str) -> dict[str, Any]:
        """The article as the service wants it."""
        if isinstance(article, str):
            article = Article(article)
        body = {
            "text": article.text,
            "title": article.title,
            "published_at": article.published_at.isoformat() if article.published_at else None,
            "source_url": article.source_url,
            "types": self.types,
            "min_confidence": self.min_confidence,
        }
        return {name: value for name, value in body.items() if value is not None}


def _wanted(types: Iterable[EventType] | None, min_confidence: float | None) -> _Wanted:
    return _Wanted(None if types is None else list(types), min_confidence)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks to wait, given as seconds or as a date; 0 where it is missing or no such."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if until.tzinfo is None:  # "-0000"
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


class _Attempts:
    """The tries of one call: exponential backoff with full jitter, all of it within ``total_s``."""

    def __init__(self, total_s: float, *, retry: bool) -> None:
        self._deadline = time.monotonic() + total_s
        self._retry = retry
        self._longest_s = FIRST_WAIT_S

    @property
    def left_s(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)

    def wait_s(self, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds until the next try; None where the outcome is final."""
        response = outcome if isinstance(outcome, httpx.Response) else None
        again = isinstance(outcome, _LOST) if response is None else response.status_code in _BUSY
        if not (again and self._retry):
            return None
        asked = 0.0 if response is None else retry_after_s(response.headers)
        wait = asked + random.uniform(0, self._longest_s)
        self._longest_s = min(2 * self._longest_s, LONGEST_WAIT_S)
        return wait if wait < self.left_s else None


def _settled(outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    if outcome.status_code != httpx.codes.OK:
        raise _error_of(outcome)
    return outcome


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, however often it is tried."""

    method: str
    path: str
    body: object = None
    request_id: str | None = None

    def arguments(self, left_s: float, connect_timeout_s: float) -> dict[str, Any]:
        """For httpx's ``request``."""
        timeout = httpx.Timeout(left_s + ANSWER_MARGIN_S, connect=min(left_s, connect_timeout_s))
        arguments: dict[str, Any] = {"method": self.method, "url": self.path, "timeout": timeout}
        headers = {} if self.request_id is None else {"X-Request-ID": self.request_id}
        if self.method == "POST":
            headers |= {"Content-Type": "application/json", "X-Request-Timeout": f"{left_s:.3f}"}
            # Escapes keep a lone surrogate sendable: the service tells what is wrong with it.
            arguments["content"] = json.dumps(self.body, separators=(",", ":")).encode()
        return arguments | {"headers": headers}


def _extract_call(article: Article | str, wanted: _Wanted, request_id: str | None) -> _Call:
    return _Call("POST", _EXTRACT, wanted.of(article), request_id)


def _batch_call(articles: Iterable[Article | str], wanted: _Wanted, request_id: str | None) -> _Call:
    return _Call("POST", _BATCH, {"articles": [wanted.of(article) for article in articles]}, request_id)


@dataclass(frozen=True, slots=True)
class _Options:
    """Of both clients."""

    base_url: str
    timeout_s: float
    connect_timeout_s: float
    retry: bool
    headers: Mapping[str, str] = field(repr=False)
    ssl_context: ssl.SSLContext | None

    def for_httpx(self) -> dict[str, Any]:
        """For the constructors of httpx's clients."""
        return {
            "base_url": self.base_url,
            "headers": {"User-Agent": "event-extraction-client", **self.headers},
            "verify": self.ssl_context or True,
        }


def _headers(api_key: str | None, more: Mapping[str, str] | None) -> Mapping[str, str]:
    return ({} if api_key is None else {"Authorization": f"Bearer {api_key}"}) | dict(more or {})


# --------------------------------------------------------------------------------------------------- the stream


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer on a connection of their own."""

    def __init__(self, request: httpx.Request, stream: ByteStream) -> None:
        self._request = request
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        with suppress(anyio.BrokenResourceError):  # reading tells, after an answer that may still stand
            headers = self._request.headers.raw
            await self._put(
                h11.Request(method=self._request.method, target=self._request.url.raw_path, headers=headers)
            )
            assert isinstance(self._request.stream, httpx.AsyncByteStream)  # noqa: S101
            async for chunk in self._request.stream:
                await self._put(h11.Data(data=chunk))
            await self._put(h11.EndOfMessage())

    async def _put(self, event: h11.Event) -> None:
        await self._stream.send(self._http.send(event) or b"")

    async def _event(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._received())
        except anyio.BrokenResourceError as error:
            raise httpx.ReadError(str(error), request=self._request) from error
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error), request=self._request) from error
        if isinstance(event, h11.ConnectionClosed):
            raise httpx.RemoteProtocolError("the connection was closed before an answer", request=self._request)
        return event

    async def _received(self) -> bytes:
        try:
            return await self._stream.receive()
        except anyio.EndOfStream:
            return b""  # as h11 wants to be told

    async def head(self) -> h11.Response:
        """The beginning of the answer."""
        while not isinstance(event := await self._event(), h11.Response):
            pass
        return event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    async def aclose(self) -> None:
        self._sending.cancel()
        await asyncio.wait({self._sending})
        await anyio.aclose_forcefully(self._stream)


async def _connect(host: str, port: int, context: ssl.SSLContext | None) -> ByteStream:
    if context is None:
        return await anyio.connect_tcp(host, port)
    return await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False)


class _Duplex(httpx.AsyncBaseTransport):
    """HTTP/1.1 whose answer can be read while the request is still being sent, which httpx's own transport cannot."""

    def __init__(self, ssl_context: ssl.SSLContext | None) -> None:
        self._ssl_context = ssl_context

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        context = (self._ssl_context or httpx.create_ssl_context()) if url.scheme == "https" else None
        port = url.port or (443 if context else 80)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["connect"]):
                stream = await _connect(url.host, port, context)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the connection took too long", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        exchange = _Exchange(request, stream)
        try:
            head = await exchange.head()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=exchange)


class _Feed:
    """The lines of a stream's request: pulled in one by one, and kept until they are answered, to be sent again.

    A failure of the articles ends the request; ``failure`` is to be raised after the results of those before it.
    """

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self.unanswered: deque[bytes] = deque()
        self.failure: Exception | None = None
        self._ended = False
        self._next: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._pulling = asyncio.create_task(self._pull(lines))

    async def _pull(self, lines: AsyncIterator[bytes]) -> None:
        try:
            async for line in lines:
                await self._next.put(line)
        except Exception as error:
            self.failure = error
        await self._next.put(None)

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body, of one try."""
        for line in tuple(self.unanswered):
            yield line
        while not self._ended:
            line_or_end = await self._next.get()
            if line_or_end is None:
                self._ended = True
            else:
                self.unanswered.append(line_or_end)
                yield line_or_end

    @property
    def done(self) -> bool:
        return self._ended and not self.unanswered

    async def aclose(self) -> None:
        self._pulling.cancel()
        await asyncio.wait({self._pulling})


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """The answer's whole lines. Not httpx's own, which also end at separators that stand inside JSON strings."""
    rest = bytearray()
    async for chunk in response.aiter_bytes():
        *ended, last = chunk.split(b"\n")
        for part in ended:
            yield bytes(rest + part)
            rest.clear()
        rest += last


async def _not_stalled(lines: AsyncIterator[bytes], feed: _Feed, stall_s: float) -> AsyncIterator[bytes]:
    """The lines; ReadTimeout when none comes for ``stall_s`` or more while articles are unanswered."""
    while True:
        reading = asyncio.ensure_future(anext(lines, None))
        try:
            while True:
                owed = bool(feed.unanswered)
                if (await asyncio.wait({reading}, timeout=stall_s))[0]:
                    break
                if owed:
                    raise httpx.ReadTimeout("no result came in time")
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
        if (line := reading.result()) is None:
            return
        yield line


async def _stream(
    options: _Options, articles: AsyncIterator[Article | str], wanted: _Wanted, request_id: str | None
) -> AsyncGenerator[Extraction | ServiceError]:
    async def lines() -> AsyncIterator[bytes]:
        async for article in articles:
            yield json.dumps(wanted.of(article), separators=(",", ":")).encode() + b"\n"

    headers = {"Content-Type": "application/x-ndjson", "X-Request-Timeout": f"{options.timeout_s:.3f}"}
    if request_id is not None:
        headers["X-Request-ID"] = request_id
    timeout = httpx.Timeout(None, connect=options.connect_timeout_s)
    feed = _Feed(lines())
    attempts = _Attempts(options.timeout_s, retry=options.retry)
    try:
        async with httpx.AsyncClient(**options.for_httpx(), transport=_Duplex(options.ssl_context)) as http:
            while not feed.done:
                outcome: httpx.Response | httpx.TransportError
                try:
                    async with http.stream(
                        "POST", _BATCH, content=feed.body(), headers=headers, timeout=timeout
                    ) as response:
                        if response.status_code == httpx.codes.OK:
                            async for line in _not_stalled(_lines(response), feed, 2 * options.timeout_s):
                                result = _result(_parse(_RESULT, response, line))
                                feed.unanswered.popleft()
                                attempts = _Attempts(options.timeout_s, retry=options.retry)
                                yield result
                            if feed.done:
                                break
                            raise httpx.RemoteProtocolError("the answer ended early")
                        await response.aread()
                        outcome = response
                except httpx.TransportError as error:
                    outcome = error
                if (wait := attempts.wait_s(outcome)) is None:
                    _settled(outcome)
                else:
                    await asyncio.sleep(wait)
        if feed.failure is not None:
            raise feed.failure
    finally:
        await feed.aclose()


async def _from_thread(articles: Iterable[T]) -> AsyncIterator[T]:
    """The articles of an iterable that may block."""
    iterator = iter(articles)
    while (article := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield article  # type: ignore[misc]


# -------------------------------------------------------------------------------------------------- the clients


class Client:
    """A client of the service at ``base_url``; may be shared by threads. Use it as a context manager, or close it.

    ``timeout_s`` bounds each call as a whole, tries and waits between them together, and is told to the service as
    its deadline. 429, 503 and broken connections are tried again, as Retry-After asks and with a random backoff,
    unless ``retry`` is False.
    ``api_key`` goes with every request as a bearer token, and so do ``headers``. ``ssl_context`` instead of the
    public authorities.

    All calls take ``request_id``, sent as X-Request-ID, and raise ServiceError for what the service refused or failed
    at, httpx.TransportError (httpx.TimeoutException among it) where no answer came.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        retry: bool = True,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._options = _Options(
            base_url=base_url,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            retry=retry,
            headers=_headers(api_key, headers),
            ssl_context=ssl_context,
        )
        self._http = httpx.Client(**self._options.for_httpx(), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def extract(
        self,
        article: Article | str,
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> Extraction:
        """The events of one article, or of a bare text."""
        response = self._send(_extract_call(article, _wanted(types, min_confidence), request_id))
        return _parse(_EXTRACTION, response, response.content)

    def extract_batch(
        self,
        articles: Iterable[Article | str],
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> list[Extraction | ServiceError]:
        """One result for each of 1 to 256 articles, in order; a ServiceError stands in the place of a bad one."""
        response = self._send(_batch_call(articles, _wanted(types, min_confidence), request_id))
        return [_result(result) for result in _parse(_RESULTS, response, response.content).results]

    def stream(
        self,
        articles: Iterable[Article | str],
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[Extraction | ServiceError]:
        """One result for each of any number of articles, in order, while they are still being read.

        Both are lazy: articles are read, from another thread, only a little ahead of the results that were taken.
        After a lost connection the unanswered ones are sent again. ``timeout_s`` is each article's deadline; a call
        fails after as long without a connection, or twice as long without any result. An exception of ``articles``
        is raised after the results of those before it.
        """
        wanted = _wanted(types, min_confidence)
        results = _stream(self._options, _from_thread(articles), wanted, request_id)
        with start_blocking_portal() as portal:
            try:
                while (result := portal.call(anext, results, None)) is not None:
                    yield result
            finally:
                portal.call(results.aclose)

    def types(self, *, request_id: str | None = None) -> dict[str, Any]:
        """The event types with their roles, statuses and fields, as data."""
        response = self._send(_Call("GET", _TYPES, request_id=request_id))
        return _parse(_DATA, response, response.content)

    def ready(self, *, request_id: str | None = None) -> bool:
        """Whether the service takes work; not tried again."""
        try:
            self._send(_Call("GET", _READYZ, request_id=request_id), retry=False)
        except ServiceError as error:
            if error.status != httpx.codes.SERVICE_UNAVAILABLE:
                raise
            return False
        return True

    def version(self, *, request_id: str | None = None) -> Version:
        """What is running."""
        response = self._send(_Call("GET", _VERSION, request_id=request_id))
        return _parse(_VERSION_ANSWER, response, response.content)

    def _send(self, call: _Call, *, retry: bool = True) -> httpx.Response:
        attempts = _Attempts(self._options.timeout_s, retry=self._options.retry and retry)
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**call.arguments(attempts.left_s, self._options.connect_timeout_s))
            except httpx.TransportError as error:
                outcome = error
            if (wait := attempts.wait_s(outcome)) is None:
                return _settled(outcome)
            time.sleep(wait)


class AsyncClient:
    """As Client, for asyncio."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        retry: bool = True,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._options = _Options(
            base_url=base_url,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            retry=retry,
            headers=_headers(api_key, headers),
            ssl_context=ssl_context,
        )
        self._http = httpx.AsyncClient(**self._options.for_httpx(), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def extract(
        self,
        article: Article | str,
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> Extraction:
        """As Client.extract."""
        response = await self._send(_extract_call(article, _wanted(types, min_confidence), request_id))
        return _parse(_EXTRACTION, response, response.content)

    async def extract_batch(
        self,
        articles: Iterable[Article | str],
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> list[Extraction | ServiceError]:
        """As Client.extract_batch."""
        response = await self._send(_batch_call(articles, _wanted(types, min_confidence), request_id))
        return [_result(result) for result in _parse(_RESULTS, response, response.content).results]

    async def stream(
        self,
        articles: AsyncIterable[Article | str] | Iterable[Article | str],
        *,
        types: Iterable[EventType] | None = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
    ) -> AsyncIterator[Extraction | ServiceError]:
        """As Client.stream; an asynchronous iterable is read on the event loop, another in a thread."""
        source = aiter(articles) if isinstance(articles, AsyncIterable) else _from_thread(articles)
        results = _stream(self._options, source, _wanted(types, min_confidence), request_id)
        try:
            async for result in results:
                yield result
        finally:
            await results.aclose()

    async def types(self, *, request_id: str | None = None) -> dict[str, Any]:
        """As Client.types."""
        response = await self._send(_Call("GET", _TYPES, request_id=request_id))
        return _parse(_DATA, response, response.content)

    async def ready(self, *, request_id: str | None = None) -> bool:
        """As Client.ready."""
        try:
            await self._send(_Call("GET", _READYZ, request_id=request_id), retry=False)
        except ServiceError as error:
            if error.status != httpx.codes.SERVICE_UNAVAILABLE:
                raise
            return False
        return True

    async def version(self, *, request_id: str | None = None) -> Version:
        """As Client.version."""
        response = await self._send(_Call("GET", _VERSION, request_id=request_id))
        return _parse(_VERSION_ANSWER, response, response.content)

    async def _send(self, call: _Call, *, retry: bool = True) -> httpx.Response:
        attempts = _Attempts(self._options.timeout_s, retry=self._options.retry and retry)
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**call.arguments(attempts.left_s, self._options.connect_timeout_s))
            except httpx.TransportError as error:
                outcome = error
            if (wait := attempts.wait_s(outcome)) is None:
                return _settled(outcome)
            await asyncio.sleep(wait)
