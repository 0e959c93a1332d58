"""How much work the service takes on, and when a refused caller may come back. Lives on the event loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from app.serving.errors import RefusedError

CHARS_PER_TOKEN = 4  # of words in plain letters: a guess that holds until the article is tokenised
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 \t\r\n"
HALF_LIFE_S = 10.0  # of busy time, over which the measured speed forgets
ASSUMED_TOKENS_PER_S = 1000.0  # until something was measured


class Ticket:
    """An admitted article's share of the bound, in tokens; an estimate until :meth:`resize`."""

    def __init__(self, admission: Admission, tokens: int) -> None:
        self._admission = admission
        self.tokens = tokens

    def resize(self, tokens: int) -> None:
        """Puts the counted tokens in place of the estimate."""
        self._admission.change(tokens - self.tokens)
        self.tokens = tokens

    def close(self, *, answered: bool = False) -> None:
        """Gives the share back; ``answered`` where its tokens were worked through to the end."""
        if answered:
            self._admission.measure(self.tokens)
        self.resize(0)


class Admission:
    """A bound on the tokens of accepted, unanswered articles, and the speed at which they are answered."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._mark = 0.0  # busy time is measured up to here
        self._done_tokens = 0.0
        self._busy_s = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self.tokens = 0

    def admit(self, costs: Sequence[int]) -> list[Ticket]:
        """A ticket for each estimate, for all or none; one that exceeds the bound by itself gets in when none waits.

        Raises RefusedError where the bound is reached.
        """
        if not self._has_room(sum(costs)):
            raise self.refusal()
        return self._issue(costs)

    async def wait(self, cost: int) -> Ticket:
        """A ticket as soon as there is room, for a caller that can be held back instead of refused."""
        while not self._has_room(cost):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self._issue([cost])[0]

    @property
    def full(self) -> bool:
        """Whether even one more token would be refused."""
        return not self._has_room(1)

    def refusal(self) -> RefusedError:
        """What to raise for a full queue."""
        return RefusedError("queue_full", self.retry_after())

    def retry_after(self) -> int:
        """Whole seconds, at least 1, until what was admitted is done at the measured speed."""
        return max(1, math.ceil(self.tokens / self.tokens_per_s))

    @property
    def tokens_per_s(self) -> float:
        """The speed of late, end to end, over the time in which there was work."""
        return self._done_tokens / self._busy_s if self._busy_s > 0 and self._done_tokens > 0 else ASSUMED_TOKENS_PER_S

    def measure(self, tokens: int) -> None:
        """Counts tokens as answered now."""
        now = self._clock()
        elapsed = now - self._mark
        self._mark = now
        fade = 0.5 ** (elapsed / HALF_LIFE_S)
        self._busy_s = self._busy_s * fade + elapsed
        self._done_tokens = self._done_tokens * fade + tokens

    def change(self, tokens: int) -> None:
        """Moves the count by so many tokens."""
        if self.tokens == 0 and tokens > 0:
            self._mark = self._clock()
        self.tokens += tokens
        if tokens < 0:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _has_room(self, cost: int) -> bool:
        return self.tokens == 0 or self.tokens + cost <= self._limit

    def _issue(self, costs: Sequence[int]) -> list[Ticket]:
        tickets = []
        for cost in costs:
            self.change(cost)
            tickets.append(Ticket(self, cost))
        return tickets


def estimate_tokens(text: str) -> int:
    """Tokens of a text that is not tokenised yet.

    A sign, or a letter of another script, may be a token by itself, so that a text of those is no cheap one.
    """
    encoded = text.encode(errors="replace")
    plain = len(encoded) - len(encoded.translate(None, _PLAIN))
    return plain // CHARS_PER_TOKEN + len(text) - plain + 1
