"""The load generator, against the service over the fake extractor."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Served, served, wait_for

from bench.load import Answer, Plan, generate, read_answer, run
from bench.processes import free_port

ARTICLES = ["Ann met Bob in Oslo.", "Nobody came.", "Carla met Dan, then Eve met Finn."]


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    return write(tmp_path / "bodies.jsonl", ARTICLES)


def write(file: Path, texts: list[str]) -> Path:
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


@contextmanager
def under_way(server: Served, requests: int) -> Iterator[list[int]]:
    """Holds the encoder up until so many requests are under way; a little later their number is put into the list."""
    seen: list[int] = []

    def watch() -> None:
        wait_for(lambda: server.service.lifecycle.in_flight >= requests)
        time.sleep(0.2)
        seen.append(server.service.lifecycle.in_flight)
        server.extractor.gate.set()

    server.extractor.gate.clear()
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    watcher.join()


def test_answers_are_kept_in_the_order_of_the_bodies(server: Served, bodies: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    outcome = asyncio.run(run(Plan(server.port, bodies, concurrency=3, count=3, keep=kept)))
    assert sorted(outcome.done) == [0, 1, 2]
    assert len(outcome.latencies) == 3
    found = [[who["name"] for event in json.loads(line)["events"] for who in event["participants"]]
             for line in kept.read_bytes().splitlines()]  # fmt: skip
    assert found == [["Ann"], [], ["Carla", "Eve"]]


def test_a_closed_loop_has_so_many_requests_under_way(server: Served, bodies: Path) -> None:
    with under_way(server, 2) as seen:
        outcome = asyncio.run(run(Plan(server.port, bodies, concurrency=2, count=10)))
    assert len(outcome.done) == 10
    assert seen == [2]


def test_an_answer_unlike_the_one_given_alone_is_wrong(server: Served, bodies: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    asyncio.run(run(Plan(server.port, bodies, count=3, keep=kept)))
    right = asyncio.run(run(Plan(server.port, bodies, count=6, concurrency=6, answers=kept)))
    assert (len(right.done), right.wrong) == (6, 0)
    kept.write_bytes(kept.read_bytes().replace(b"Carla", b"Clara"))
    assert asyncio.run(run(Plan(server.port, bodies, count=6, answers=kept))).wrong == 2


def test_an_open_loop_waits_for_no_answer(server: Served, bodies: Path) -> None:
    with under_way(server, 20) as seen:
        outcome = asyncio.run(run(Plan(server.port, bodies, rate=200.0, count=20)))
    assert seen == [20]
    assert len(outcome.latencies) == 20
    assert len(outcome.lags) == 20


def test_refusals_are_told_apart_and_begin_the_count(bodies: Path) -> None:
    with served(max_queued_tokens=12) as server:
        server.extractor.gate.clear()
        timer = threading.Timer(1.5, server.extractor.gate.set)
        timer.start()
        outcome = asyncio.run(run(Plan(server.port, bodies, rate=100.0, seconds=0.5, fill=True)))
        timer.join()
    assert outcome.refusals
    assert not outcome.done  # the encoder was held up
    assert len(outcome.lags) == len(outcome.refusals) + len(outcome.latencies)
    assert outcome.lost == 0


def test_other_answers_count_as_failed(server: Served, tmp_path: Path) -> None:
    bodies = write(tmp_path / "bad.jsonl", ["unfinishable", " ", "Ann met Bob."])
    outcome = asyncio.run(run(Plan(server.port, bodies, count=3)))
    assert outcome.failed == {500: 1, 422: 1}
    assert outcome.done == [2]


def test_requests_without_an_answer_are_lost(bodies: Path) -> None:
    outcome = asyncio.run(run(Plan(free_port(), bodies, count=2)))
    assert outcome.lost == 2
    assert not outcome.latencies


def test_the_warm_up_is_not_counted(server: Served, bodies: Path) -> None:
    outcome = asyncio.run(run(Plan(server.port, bodies, count=5, warm_up_s=20.0)))
    assert not outcome.done
    assert not outcome.latencies


def test_a_process_of_its_own_tells_the_same(server: Served, bodies: Path) -> None:
    outcome = generate(Plan(server.port, bodies, count=4, concurrency=2))
    assert sorted(outcome.done) == [0, 0, 1, 2]
    assert outcome.cpu_seconds > 0
    assert outcome.failed == {}


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_read_answer(connection: str) -> None:
    async def read() -> Answer:
        reader = asyncio.StreamReader()
        reader.feed_data(f"HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\nConnection: {connection}\r\n".encode())
        reader.feed_data(b"Retry-After: 7\r\n\r\na\r\n\r\nHTTP/1.1 200 OK")
        return await read_answer(reader)

    assert asyncio.run(read()) == Answer(429, b"a\r\n\r\n", keep=connection == "keep-alive", retry_after_s=7.0)


def test_a_refused_caller_comes_back_when_it_was_told_to(bodies: Path) -> None:
    with served(max_queued_tokens=1) as server:
        server.extractor.gate.clear()
        threading.Timer(2.5, server.extractor.gate.set).start()
        outcome = asyncio.run(run(Plan(server.port, bodies, concurrency=5, seconds=1.5)))
    # One is let in and held up, the others are refused and told 1 s: at 0 s, and once more.
    assert len(outcome.refusals) == 8
