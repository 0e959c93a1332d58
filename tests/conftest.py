"""What the tests of the service share: an application over the fake extractor, and a client of it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from fake_extractor import FakeExtractor
from fastapi import FastAPI

from app.api.schemas import Problem
from app.main import create_app, create_server
from app.serving.server import Server
from app.serving.service import Service
from app.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("EVENTS_"):
            monkeypatch.delenv(name)


class Running:
    """A running application: its client, service and extractor."""

    def __init__(self, client: httpx.AsyncClient, app: FastAPI, extractor: FakeExtractor) -> None:
        self.client = client
        self.app = app
        self.service: Service = app.state.service
        self.extractor = extractor

    async def extract(self, text: str, **more: Any) -> httpx.Response:
        return await self.client.post("/v1/extract", json={"text": text}, **more)


@asynccontextmanager
async def running(
    extractor: FakeExtractor | None = None, *, ready: bool = True, **settings: Any
) -> AsyncIterator[Running]:
    """The application, without a socket."""
    extractor = extractor or FakeExtractor()
    app = create_app(Settings(**{"threads": 1} | settings), extractor.load)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        try:
            if ready:
                await asyncio.to_thread(wait_for, lambda: app.state.service.lifecycle.state == "ready")
            extractor.passes.clear()
            while extractor.entered.acquire(blocking=False):
                pass
            yield Running(client, app, extractor)
        finally:
            extractor.gate.set()
            extractor.loading.set()


def problem_of(response: httpx.Response, status: int) -> Problem:
    """The problem that an answer is; fails where it is none."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == status
    assert problem.request_id == response.headers["x-request-id"]
    return problem


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running() as it:
        yield it


class Served(Running):
    """A running application behind a real socket, in a thread."""

    server: Server
    port: int
    result: list[object]


@contextmanager
def served(extractor: FakeExtractor | None = None, **settings: Any) -> Iterator[Served]:
    """The application behind uvicorn, until the block ends or the server drains."""
    extractor = extractor or FakeExtractor()
    options = Settings(port=0, **{"threads": 1} | settings)
    app = create_app(options, extractor.load)
    server = create_server(app, options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started and app.state.service.lifecycle.state != "loading")
        it = Served.__new__(Served)
        it.app, it.service, it.extractor, it.server = app, app.state.service, extractor, server
        it.port = server.servers[0].sockets[0].getsockname()[1]
        yield it
    finally:
        extractor.gate.set()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"


def wait_for(true: Callable[[], object], seconds: float = 20) -> None:
    """Waits until something is so; fails when it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)
