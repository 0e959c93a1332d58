from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.serving.ordered import MOST_AT_ONCE, Work, in_order

pytestmark = pytest.mark.anyio


async def test_results_keep_their_order_whichever_is_ready_first() -> None:
    gates = [asyncio.Event() for _ in range(4)]
    results: list[bytes] = []

    async def works() -> AsyncIterator[Work]:
        for number, gate in enumerate(gates):

            async def run(number: int = number, gate: asyncio.Event = gate) -> bytes:
                await gate.wait()
                return b"%d" % number

            yield Work(1, run)

    async def emit(result: bytes) -> None:
        results.append(result)

    task = asyncio.create_task(in_order(works(), emit, most_tokens=100))
    for gate in reversed(gates):
        assert results == []
        gate.set()
        await asyncio.sleep(0.001)
    await task
    assert results == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("cost", "most"),
    [
        (10, 4),  # by tokens: 40 of them
        (1000, 1),  # a long one runs alone
        (0, MOST_AT_ONCE + 2),  # by number: those queued, one in the writer's hand, one in the reader's
    ],
)
async def test_look_ahead_is_bounded(cost: int, most: int) -> None:
    asked = 0
    gate = asyncio.Event()

    async def works() -> AsyncIterator[Work]:
        nonlocal asked
        for _ in range(500):
            asked += 1

            async def run() -> bytes:
                await gate.wait()
                return b""

            yield Work(cost, run)

    async def emit(_: bytes) -> None: ...

    task = asyncio.create_task(in_order(works(), emit, most_tokens=40))
    await asyncio.sleep(0.01)
    assert asked <= most + 1
    gate.set()
    await task
    assert asked == 500


async def test_what_the_source_or_the_sink_raises_ends_it() -> None:
    cancelled = 0

    async def works(error: Exception | None) -> AsyncIterator[Work]:
        async def run() -> bytes:
            nonlocal cancelled
            try:
                await asyncio.sleep(30 if error else 0)
            except asyncio.CancelledError:
                cancelled += 1
                raise
            return b""

        yield Work(1, run)
        await asyncio.sleep(0)
        if error:
            raise error

    async def broken(_: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(ConnectionResetError):
        await in_order(works(ConnectionResetError()), broken, most_tokens=10)
    assert cancelled == 1
    with pytest.raises(BrokenPipeError):
        await in_order(works(None), broken, most_tokens=10)
