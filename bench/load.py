"""The load generator: ``python -m bench.load`` reads one plan from standard input and tells what came back.

A process of its own, with a plain HTTP/1.1 client on asyncio streams: a full client library would take a good part of
the cores from the service that it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

LOST = 0  # in the place of a status: the connection ended, or no answer came in time
FILL_S = 120.0  # by then a queue must be full, or the phase goes on without
PATIENCE_S = 90.0  # for an answer; longer than the service's own deadline
LOST_S = 0.1  # that a caller waits when it lost a request, so as not to race against a closed port
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """What to send, and how.

    ``bodies``: a file with one JSON body a line. ``answers``: a file with the answers to them, one a line, to compare
    with; ``keep``: where to write the answers instead, empty where there is none.
    With a ``rate`` (requests a second) arrivals are Poisson and nobody waits for an answer (open loop); without, each
    of ``concurrency`` callers sends its next request when it has its answer (closed loop), or, where it was refused,
    as long after that as ``Retry-After`` says. It ends after ``seconds`` or ``count`` requests. Requests of the first
    ``warm_up_s`` are sent and not counted; with ``fill`` counting begins once the queue is full: at the first refusal.
    """

    port: int
    bodies: Path
    path: str = "/v1/extract"
    concurrency: int = 1
    rate: float | None = None
    seconds: float = 60.0
    count: int | None = None
    warm_up_s: float = 0.0
    fill: bool = False
    answers: Path | None = None
    keep: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What came back. ``started``: of ``time.time``; ``seconds``: for how long was measured.

    ``done``: bodies answered with 200 while measuring, whenever they were sent; ``latencies`` in seconds from when each
    request was due, for those that were due while measuring. ``lags``: how late they were sent.
    """

    started: float
    seconds: float
    cpu_seconds: float  # of this process, while measuring
    done: list[int]
    latencies: list[float]
    refusals: list[float]  # latencies of 429 and 503
    failed: dict[int, int]  # other answers by status
    lost: int
    wrong: int
    lags: list[float]


@dataclass
class _Tally:
    begun: float = 0.0  # of time.monotonic; measuring goes on from here ...
    until: float = float("inf")
    wall: float = 0.0
    cpu: float = 0.0
    done: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    failed: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    wrong: int = 0
    lags: list[float] = field(default_factory=list)

    def begin(self) -> None:
        self.begun, self.wall, self.cpu = time.monotonic(), time.time(), time.process_time()

    def end(self) -> None:
        self.until = time.monotonic()
        self.cpu = time.process_time() - self.cpu


class _Connections:
    """Idle connections to the service, the last used first; a new one where none is idle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Answer:
        """The answer; raises OSError and EOFError where the connection ends first."""
        while self._idle and (self._idle[-1][0].at_eof() or self._idle[-1][1].is_closing()):
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(HOST, self._port)
        keep = False
        try:
            writer.write(request)
            answer = await read_answer(reader)
            keep = answer.keep
        finally:
            if keep:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


@dataclass(frozen=True)
class Answer:
    """``keep``: the connection stays open; ``retry_after_s``: 0 where the answer does not tell."""

    status: int
    body: bytes
    keep: bool = True
    retry_after_s: float = 0.0


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads an answer; ValueError where it has no length."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, *lines = head[:-4].split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    if b"content-length" not in headers:
        raise ValueError("the answer tells no length")
    body = await reader.readexactly(int(headers[b"content-length"]))
    retry_after_s = float(headers.get(b"retry-after", b"0"))
    return Answer(int(status.split(b" ", 2)[1]), body, headers.get(b"connection") != b"close", retry_after_s)


def request_bytes(path: str, body: bytes) -> bytes:
    """The whole request, as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def run(plan: Plan) -> Outcome:
    """Carries the plan out."""
    bodies = plan.bodies.read_bytes().splitlines()
    requests = [request_bytes(plan.path, body) for body in bodies]
    expected = plan.answers.read_bytes().splitlines() if plan.answers else None
    kept: dict[int, bytes] = {}
    tally = _Tally()
    connections = _Connections(plan.port)
    full = asyncio.Event()

    async def send(index: int, due: float) -> float:
        """The seconds after which its caller may come back."""
        lag = time.monotonic() - due
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await connections.ask(requests[index])
        except (OSError, EOFError, TimeoutError):
            answer = Answer(LOST, b"")
            await asyncio.sleep(LOST_S)
        now = time.monotonic()
        status = answer.status
        if status in (429, 503):
            full.set()
        if status == 200:
            # Wrong is wrong, also where nothing is counted.
            tally.wrong += expected is not None and answer.body != expected[index]
            if plan.keep:
                kept[index] = answer.body
            if tally.begun and tally.begun <= now <= tally.until:
                tally.done.append(index)
        elif status == LOST:
            tally.lost += 1
        if not (tally.begun and tally.begun <= due <= tally.until):
            return answer.retry_after_s
        tally.lags.append(lag)
        if status == 200:
            tally.latencies.append(now - due)
        elif status in (429, 503):
            tally.refusals.append(now - due)
        elif status != LOST:
            tally.failed[status] = tally.failed.get(status, 0) + 1
        return answer.retry_after_s

    order = itertools.islice(itertools.cycle(range(len(requests))), plan.count)
    stop = asyncio.Event()
    work = asyncio.create_task(
        _arrivals(plan.rate, order, send, stop) if plan.rate else _callers(plan, order, send, stop)
    )
    if plan.warm_up_s:
        await asyncio.wait([work], timeout=plan.warm_up_s)
    if plan.fill:
        filled = asyncio.create_task(full.wait())
        await asyncio.wait([work, filled], timeout=FILL_S, return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
    tally.begin()  # before the first request is due, where nothing was waited for
    await asyncio.wait([work], timeout=plan.seconds)
    tally.end()
    stop.set()
    await work
    connections.close()
    if plan.keep:
        plan.keep.write_bytes(b"\n".join(kept.get(index, b"") for index in range(len(requests))) + b"\n")
    return Outcome(
        started=tally.wall,
        seconds=tally.until - tally.begun,
        cpu_seconds=tally.cpu,
        done=tally.done,
        latencies=tally.latencies,
        refusals=tally.refusals,
        failed=tally.failed,
        lost=tally.lost,
        wrong=tally.wrong,
        lags=tally.lags,
    )


Send = Callable[[int, float], Coroutine[Any, Any, float]]


async def _callers(plan: Plan, order: Iterator[int], send: Send, stop: asyncio.Event) -> None:
    """Closed loop: each caller sends when it has its answer."""

    async def caller() -> None:
        for index in order:  # shared by all callers
            if stop.is_set():
                return
            retry_after_s = await send(index, time.monotonic())
            if retry_after_s:
                await asyncio.wait([stopped], timeout=retry_after_s)

    stopped = asyncio.create_task(stop.wait())
    async with asyncio.TaskGroup() as group:
        for _ in range(plan.concurrency):
            group.create_task(caller())
    stopped.cancel()


async def _arrivals(rate: float, order: Iterator[int], send: Send, stop: asyncio.Event) -> None:
    """Open loop: requests are due at times that no answer has a say in."""
    chance = random.Random(0)
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for index in order:
            due += chance.expovariate(rate)
            await asyncio.sleep(due - time.monotonic())
            if stop.is_set():
                return
            group.create_task(send(index, due))


def generate(plan: Plan) -> Outcome:
    """Carries the plan out in a process of its own; raises CalledProcessError and TimeoutExpired."""
    longest = plan.warm_up_s + plan.seconds + 2 * PATIENCE_S + (FILL_S if plan.fill else 0)
    told = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan), default=str).encode(),
        stdout=subprocess.PIPE,
        timeout=longest,
        check=True,
    )
    outcome = json.loads(told.stdout)
    outcome["failed"] = {int(status): count for status, count in outcome["failed"].items()}
    return Outcome(**outcome)


def main() -> None:
    """The process's own end."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # an open loop may wait on thousands of connections
    fields = json.load(sys.stdin)
    paths = {name: Path(fields[name]) for name in ("bodies", "answers", "keep") if fields[name]}
    print(json.dumps(asdict(uvloop.run(run(Plan(**{**fields, **paths}))))))


if __name__ == "__main__":
    main()
