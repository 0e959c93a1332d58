"""Many articles of one request: some at a time, their results in the order sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

MOST_AT_ONCE = 64  # articles under way or answered but not yet sent


@dataclass(frozen=True, slots=True)
class Work:
    """``run`` gives the article's result as JSON and raises nothing; ``cost`` is its estimated tokens."""

    cost: int
    run: Callable[[], Awaitable[bytes]]


async def in_order(works: AsyncIterator[Work], emit: Callable[[bytes], Awaitable[None]], *, most_tokens: int) -> None:
    """Runs the works as they come and emits their results in that order.

    The next work is asked for only while those under way are below ``most_tokens`` and results are taken by ``emit``,
    so memory stays flat however many there are; a longer one runs alone. Raises the first that ``works`` or ``emit``
    raised.
    """
    gate = _Gate(most_tokens)
    results: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(MOST_AT_ONCE)

    async def run(work: Work, cost: int) -> bytes:
        try:
            return await work.run()
        finally:
            gate.leave(cost)

    async def start_all() -> None:
        async for work in works:
            cost = min(work.cost, most_tokens)
            await gate.enter(cost)
            await results.put(group.create_task(run(work, cost)))
        await results.put(None)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(start_all())
            while (result := await results.get()) is not None:
                await emit(await result)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class _Gate:
    """A bound on tokens under way, for one that enters and many that leave."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tokens = 0
        self._left = asyncio.Event()

    async def enter(self, tokens: int) -> None:
        while self._tokens and self._tokens + tokens > self._limit:
            self._left.clear()
            await self._left.wait()
        self._tokens += tokens

    def leave(self, tokens: int) -> None:
        self._tokens -= tokens
        self._left.set()
