from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import Served, served

import app.client
from app.client import AsyncClient, Client, Extraction, FieldError, Model, ServiceError, retry_after_s
from app.extraction.values import Article

Handler = Callable[[httpx.Request], httpx.Response]
Call = Callable[..., Any]

EMPTY = {
    "events": [],
    "document": {"published_at": None, "published_from": None, "language": "en", "characters": 2},
    "model": {"name": "m", "version": "1"},
}
BUSY = {
    "type": "about:blank",
    "title": "Too Many Requests",
    "status": 429,
    "detail": "The queue is full; nothing was started.",
    "request_id": "r1",
}


def texts(results: Iterable[Extraction | ServiceError]) -> list[str | int]:
    """Who met, or the status of a failure."""
    return [
        result.status if isinstance(result, ServiceError) else result.events[0].participants[0].name
        for result in results
    ]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls a method of one client and of the other: ``call(url, handler or None, method, ...)``."""

    def synchronous(url: str, handler: Handler | None, method: str, *args: Any, **named: Any) -> Any:
        options = named.pop("options", {})
        with Client(url, transport=handler and httpx.MockTransport(handler), **options) as client:
            result = getattr(client, method)(*args, **named)
            return list(result) if method == "stream" else result

    def asynchronous(url: str, handler: Handler | None, method: str, *args: Any, **named: Any) -> Any:
        options = named.pop("options", {})

        async def run() -> Any:
            async with AsyncClient(url, transport=handler and httpx.MockTransport(handler), **options) as client:
                result = getattr(client, method)(*args, **named)
                return [item async for item in result] if method == "stream" else await result

        return asyncio.run(run())

    return synchronous if request.param == "sync" else asynchronous


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clients' waits, which take no time here; each is the longest that its jitter allows."""
    found: list[float] = []
    wait_s = app.client._Attempts.wait_s

    def at_once(self: Any, outcome: Any) -> float | None:
        wait = wait_s(self, outcome)
        if wait is not None:
            found.append(wait)
        return wait and 0.0

    monkeypatch.setattr(app.client._Attempts, "wait_s", at_once)
    monkeypatch.setattr(app.client, "random", SimpleNamespace(uniform=lambda least, most: most))
    return found


def answering(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A service that gives these answers one after the other, the last one ever again; and what it was asked."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, asked


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.fixture
def url(service: Served) -> str:
    return f"http://127.0.0.1:{service.port}"


# ------------------------------------------------------------------------------------------------ against the service


def test_article_becomes_typed_events(call: Call, url: str) -> None:
    article = Article("Ana met Tom.", published_at=date(2025, 4, 8))
    answer = call(url, None, "extract", article)
    [event] = answer.events
    assert (event.id, event.type, event.status, event.confidence) == ("e1", "meeting", "occurred", 0.9877)
    assert [who.name for who in event.participants] == ["Ana"]
    assert [(amount.value, amount.unit) for amount in event.amounts] == [(40_000_000, "EUR"), (2.5, "percent")]
    assert (answer.document.published_at, answer.document.published_from) == (date(2025, 4, 8), "request")
    assert answer.model == Model("fake", "1.2.3")


def test_what_is_wanted_reaches_the_service(call: Call, url: str) -> None:
    assert call(url, None, "extract", "Ana met Tom.").events
    assert not call(url, None, "extract", "Ana met Tom.", types=iter(["visit"])).events
    assert not call(url, None, "extract", "Ana met Tom.", min_confidence=1.0).events
    assert not call(url, None, "extract_batch", ["Ana met Tom."], min_confidence=1.0)[0].events
    assert not call(url, None, "stream", ["Ana met Tom."], types=["visit"])[0].events


def test_bad_article_of_a_batch_leaves_its_neighbours_alone(call: Call, url: str) -> None:
    results = call(url, None, "extract_batch", ["Ana met Tom.", " ", Article("Eve met Tom.")])
    assert texts(results) == ["Ana", 422, "Eve"]
    assert results[1].errors == (FieldError(("body", "articles", 1, "text"), "Text must not be blank"),)
    assert results[1].request_id


def test_problem_is_raised_with_all_it_tells(call: Call, url: str) -> None:
    with pytest.raises(ServiceError, match=r"422 Unprocessable Content: .*body.min_confidence") as raised:
        call(url, None, "extract", "Ana met Tom.", min_confidence=2.0, request_id="mine-1")
    error = raised.value
    assert (error.status, error.title, error.request_id) == (422, "Unprocessable Content", "mine-1")
    assert error.detail
    assert [one.loc for one in error.errors] == [("body", "min_confidence")]


def test_lone_surrogate_is_the_service_s_to_refuse(call: Call, url: str) -> None:
    with pytest.raises(ServiceError, match="422") as raised:
        call(url, None, "extract", "Ana \ud800 met")
    assert raised.value.errors[0].loc == ("body", "text")


def test_rest_of_the_contract(call: Call, url: str) -> None:
    assert call(url, None, "ready") is True
    assert call(url, None, "version").model == Model("fake", "1.2.3")
    assert [one["type"] for one in call(url, None, "types")["types"]] == ["meeting", "visit", "budget_commitment"]


def test_not_ready_yet(call: Call) -> None:
    handler, asked = answering(httpx.Response(503, json=BUSY | {"status": 503}))
    assert call("http://s", handler, "ready") is False
    assert len(asked) == 1
    with pytest.raises(ServiceError, match="404"):
        call("http://s", answering(httpx.Response(404))[0], "ready")


# ----------------------------------------------------------------------------------------------- retries and headers


def test_busy_service_is_asked_again_with_growing_waits(call: Call, waits: list[float]) -> None:
    busy = httpx.Response(429, json=BUSY)
    lost = httpx.ConnectError("refused")
    handler, asked = answering(busy, httpx.Response(503), lost, busy, busy, busy, busy, httpx.Response(200, json=EMPTY))
    assert call("http://s", handler, "extract", "hi").events == ()
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0])
    assert len({request.content for request in asked}) == 1


def test_retry_after_is_waited_for_before_the_jitter(call: Call, waits: list[float]) -> None:
    busy = httpx.Response(429, json=BUSY, headers={"Retry-After": "7"})
    handler, _ = answering(busy, httpx.Response(200, json=EMPTY))
    call("http://s", handler, "extract", "hi")
    assert waits == pytest.approx([7.2])


def test_waits_end_with_the_total_time(call: Call, waits: list[float]) -> None:
    handler, asked = answering(httpx.Response(429, json=BUSY, headers={"Retry-After": "7"}))
    with pytest.raises(ServiceError, match="429 Too Many Requests: The queue is full"):
        call("http://s", handler, "extract", "hi", options={"timeout_s": 5})
    assert waits == []
    assert len(asked) == 1


@pytest.mark.parametrize("status", [422, 500, 504, None])
def test_what_another_try_would_not_mend_is_final(call: Call, waits: list[float], status: int | None) -> None:
    answer = httpx.Response(status) if status else httpx.ReadTimeout("slow")
    handler, asked = answering(answer, httpx.Response(200, json=EMPTY))
    with pytest.raises((ServiceError, httpx.ReadTimeout)):
        call("http://s", handler, "extract", "hi")
    assert len(asked) == 1


def test_retries_can_be_turned_off(call: Call, waits: list[float]) -> None:
    handler, asked = answering(httpx.ConnectError("refused"), httpx.Response(200, json=EMPTY))
    with pytest.raises(httpx.ConnectError):
        call("http://s", handler, "extract", "hi", options={"retry": False})
    assert len(asked) == 1


def test_each_try_tells_the_time_that_is_left(call: Call, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    now = 1000.0

    def monotonic() -> float:
        return now

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal now
        now += 20
        told.append((request.headers["X-Request-Timeout"], request.extensions["timeout"]["read"]))
        return httpx.Response(200, json=EMPTY) if len(told) == 2 else httpx.Response(503)

    told: list[tuple[str, float]] = []
    monkeypatch.setattr(app.client, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))
    call("http://s", handler, "extract", "hi", options={"timeout_s": 50})
    assert told == [("50.000", 52), ("30.000", 32)]


def test_headers_and_prefix_of_a_gateway(call: Call) -> None:
    handler, asked = answering(httpx.Response(200, json=EMPTY))
    call("http://s/events/", handler, "extract", "hi", request_id="mine", options={"headers": {"X-Api-Key": "k"}})
    [request] = asked
    assert request.url == "http://s/events/v1/extract"
    assert (request.headers["X-Api-Key"], request.headers["X-Request-ID"]) == ("k", "mine")
    assert json.loads(request.content) == {"text": "hi"}


def test_gateway_s_own_errors_and_foreign_answers(call: Call) -> None:
    page = httpx.Response(502, html="<h1>Bad gateway</h1>", headers={"X-Request-ID": "g1"})
    with pytest.raises(ServiceError) as raised:
        call("http://s", answering(page)[0], "extract", "hi")
    assert (raised.value.status, raised.value.title, raised.value.request_id) == (502, "Bad Gateway", "g1")
    with pytest.raises(ServiceError, match="200 Unexpected answer"):
        call("http://s", answering(httpx.Response(200, html="<h1>Hello</h1>"))[0], "extract", "hi")


def test_fields_added_to_the_contract_do_no_harm(call: Call) -> None:
    handler, _ = answering(httpx.Response(200, json=EMPTY | {"new": 1}))
    assert call("http://s", handler, "extract", "hi").model == Model("m", "1")


def test_retry_after_in_both_forms() -> None:
    assert retry_after_s({"Retry-After": "12"}) == 12
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after_s({"Retry-After": then}) <= 100
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"}) == 0
    assert retry_after_s({"Retry-After": "soon"}) == 0
    assert retry_after_s({"Retry-After": "-3"}) == 0
    assert retry_after_s({}) == 0


# ---------------------------------------------------------------------------------------------------------- streams


def test_stream_answers_in_order_with_errors_in_place(call: Call, url: str) -> None:
    articles: list[Article | str] = ["Ana met Tom.", " ", Article("Eve met Tom."), "poison met Tom."]
    names = [f"Name{number}" for number in range(200)]
    results = call(url, None, "stream", articles + [f"{name} met Tom." for name in names])
    assert texts(results) == ["Ana", 422, "Eve", 500, *names]


def test_stream_of_nothing(call: Call, url: str) -> None:
    assert call(url, None, "stream", []) == []


def test_results_come_while_articles_are_still_being_read(url: str) -> None:
    taken = threading.Event()

    def articles() -> Iterator[str]:
        yield "Ana met Tom."
        assert taken.wait(20), "the first result did not come before the second article"
        yield "Eve met Tom."

    with Client(url) as client:
        results = client.stream(articles())
        assert texts([next(results)]) == ["Ana"]
        taken.set()
        assert texts(results) == ["Eve"]


def test_asynchronous_articles_are_read_on_the_loop(url: str) -> None:
    async def run() -> None:
        taken = asyncio.Event()

        async def articles() -> Any:
            yield "Ana met Tom."
            await taken.wait()
            yield "Eve met Tom."

        async with AsyncClient(url) as client:
            found = []
            async for result in client.stream(articles()):
                found.append(result)
                taken.set()
            assert texts(found) == ["Ana", "Eve"]

    asyncio.run(asyncio.wait_for(run(), 20))


def test_endless_articles_are_read_only_a_little_ahead(url: str) -> None:
    read = 0

    def articles() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"Name{read} met Tom. {'word ' * 10_000}"

    with Client(url) as client:
        results = client.stream(articles())
        assert texts([next(results), next(results)]) == ["Name1", "Name2"]
        results.close()  # type: ignore[attr-defined]
        assert client.ready()
    assert read < 1000


def test_failing_articles_are_raised_after_the_results_before_them(call: Call, url: str) -> None:
    def articles() -> Iterator[str]:
        yield "Ana met Tom."
        raise KeyError("no more")

    with Client(url) as client:
        results = client.stream(articles())
        assert texts([next(results)]) == ["Ana"]
        with pytest.raises(KeyError, match="no more"):
            next(results)
    with pytest.raises(KeyError, match="no more"):
        call(url, None, "stream", articles())


class Scripted:
    """A service of lines, one script a connection, that keeps what it was sent."""

    def __init__(self, *scripts: Callable[[Scripted, Any], None]) -> None:
        self.lines: list[list[str]] = []
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._scripts = scripts
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rwb", buffering=0) as file:
                self.lines.append([])
                self.heads.append("")
                while (line := file.readline().decode()).strip():
                    self.heads[-1] += line
                script(self, file)
                # Closing with unread data would reset the connection, and what was sent could be lost.
                connection.shutdown(socket.SHUT_WR)
                while file.read(1 << 16):
                    pass

    def line(self, file: Any) -> str | None:
        """The next article's text, of a request with one line a chunk; None at the end."""
        size = int(file.readline(), 16)
        data = file.read(size)
        file.readline()
        if not size:
            return None
        self.lines[-1].append(json.loads(data)["text"])
        return self.lines[-1][-1]

    def close(self) -> None:
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive(), "a connection was left open"


@contextmanager
def scripted(*scripts: Callable[[Scripted, Any], None]) -> Iterator[Scripted]:
    it = Scripted(*scripts)
    yield it
    it.close()


def answer_lines(count: int | None) -> Callable[[Scripted, Any], None]:
    """Answers so many lines one by one and reads one more, then breaks off; None: to the proper end."""

    def script(self: Scripted, file: Any) -> None:
        file.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        answered = 0
        while (text := self.line(file)) is not None and answered != count:
            result = EMPTY | {"model": {"name": text, "version": "1"}}
            data = json.dumps(result, ensure_ascii=False).encode() + b"\n"
            # In two parts, as a network may cut it.
            for part in (data[:30], data[30:]):
                file.write(b"%x\r\n%s\r\n" % (len(part), part))
            answered += 1
        if text is None:
            file.write(b"0\r\n\r\n")

    return script


def refuse(self: Scripted, file: Any) -> None:
    body = json.dumps(BUSY).encode()
    file.write(b"HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def names(results: Iterable[Extraction | ServiceError]) -> list[str]:
    return [result.model.name for result in results if isinstance(result, Extraction)]


def test_unanswered_articles_are_sent_again_on_a_new_connection(call: Call, waits: list[float]) -> None:
    articles = [f"a{number}" for number in range(10)]
    with scripted(answer_lines(3), refuse, answer_lines(0), answer_lines(None)) as it:
        results = call(it.url, None, "stream", iter(articles), request_id="mine", options={"headers": {"X-Key": "k"}})
    assert names(results) == articles
    assert it.lines == [articles[:4], [], ["a3"], articles[3:]]
    assert len(waits) == 3
    assert all("x-request-id: mine" in head.lower() and "x-key: k" in head.lower() for head in it.heads)


def test_refused_stream_ends_with_the_problem(call: Call, waits: list[float]) -> None:
    with (
        scripted(refuse) as it,
        pytest.raises(ServiceError, match="429"),
    ):
        call(it.url, None, "stream", ["a"], options={"retry": False})


def test_stream_to_nobody(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(httpx.ConnectError):
        call(url, None, "stream", ["a"], options={"retry": False})


def test_stream_whose_results_stop_is_given_up_on(call: Call) -> None:
    over = threading.Event()

    def silent(self: Scripted, file: Any) -> None:
        file.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        over.wait(20)

    with scripted(silent) as it:
        with pytest.raises(httpx.ReadTimeout):
            call(it.url, None, "stream", ["a"], options={"timeout_s": 0.05})
        over.set()


def test_line_separators_inside_json_do_not_split_a_result(call: Call) -> None:
    text = "a\u2028b\x85c\x0bd"
    with scripted(answer_lines(None)) as it:
        assert names(call(it.url, None, "stream", [text])) == [text]


def test_foreign_answer_to_a_stream(call: Call) -> None:
    def page(self: Scripted, file: Any) -> None:
        file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")

    with scripted(page) as it, pytest.raises(ServiceError, match="200 Unexpected answer"):
        call(it.url, None, "stream", ["a"])
    with scripted(lambda self, file: file.write(b"SSH-2.0\r\n")) as it, pytest.raises(httpx.RemoteProtocolError):
        call(it.url, None, "stream", ["a"], options={"retry": False})


def test_client_needs_no_model_and_no_server() -> None:
    code = (
        "import sys, app.client;"
        "print(*(name for name in ('torch', 'transformers', 'fastapi', 'starlette', 'uvicorn') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_waits_are_spread_over_their_whole_range() -> None:
    attempts = [app.client._Attempts(1000, retry=True) for _ in range(200)]
    waits = [one.wait_s(httpx.ConnectError("refused")) for one in attempts]
    assert all(wait is not None and 0 <= wait <= 0.2 for wait in waits)
    assert min(w for w in waits if w is not None) < 0.05
    assert max(w for w in waits if w is not None) > 0.15
