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
    """An admitted article, in tokens; an estimate until :meth:`resize`."""

    def __init__(self, request: _Request, tokens: int) -> None:
        self._request = request
        self.tokens = tokens

    def resize(self, tokens: int) -> None:
        """Puts the counted tokens in place of the estimate."""
        self._request.change(tokens - self.tokens)
        self.tokens = tokens

    def close(self, *, answered: bool = False) -> None:
        """Gives the tokens back; ``answered`` where they were worked through to the end."""
        if answered:
            self._request.admission.measure(self.tokens)
        self.resize(0)


class _Request:
    """The unanswered tokens of one request, of which at most ``most`` are under way and count against the bound."""

    def __init__(self, admission: Admission, most: float) -> None:
        self.admission = admission
        self.tokens = 0
        self._most = most
        self._counted = 0

    def change(self, tokens: int) -> None:
        """Moves the unanswered tokens by so many."""
        self.tokens += tokens
        counted = int(min(self.tokens, self._most))
        moved, self._counted = counted - self._counted, counted
        self.admission.change(self, moved)


class Admission:
    """A bound on the tokens of accepted, unanswered articles, and the speed at which they are answered.

    ``most_of_one``: tokens that a request of many articles has under way at a time, or its longest article. What it has
    beyond that waits for itself alone and keeps nobody out. ``most_wait_s``: for which others may hold one up;
    ``turn_tokens``: that the encoder takes of a request at a time.
    """

    def __init__(
        self,
        limit: int,
        most_of_one: int,
        most_wait_s: float = math.inf,
        turn_tokens: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._most_of_one = most_of_one
        self._most_wait_s = most_wait_s
        self._turn_tokens = turn_tokens
        self._clock = clock
        self._requests: set[_Request] = set()
        self._mark = 0.0  # busy time is measured up to here
        self._done_tokens = 0.0
        self._busy_s = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self.tokens = 0

    def admit(self, costs: Sequence[int], within_s: float = math.inf) -> list[Ticket]:
        """A ticket for each estimate of a request, for all or none; what exceeds the bound by itself gets in alone.

        Raises RefusedError where the bound is reached, and where others would hold the request up for longer than
        ``within_s`` or the longest wait.
        """
        total = sum(costs)
        most = math.inf if len(costs) == 1 else max([self._most_of_one, *costs])
        within_s = min(within_s, self._most_wait_s)
        if not self._has_room(int(min(total, most))) or self._held_up_s(total) > within_s:
            raise self.refusal()
        return self._issue(costs, most)

    async def wait(self, cost: int) -> Ticket:
        """A ticket as soon as there is room, for a caller that can be held back instead of refused."""
        while not self._has_room(cost):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self._issue([cost], math.inf)[0]

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

    def change(self, request: _Request, tokens: int) -> None:
        """Moves the count by so many tokens of a request."""
        if request.tokens:
            self._requests.add(request)
        else:
            self._requests.discard(request)
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

    def _held_up_s(self, cost: int) -> float:
        """Seconds that the encoder spends on other requests before it is done with one of this cost.

        It takes from all requests in turn: at worst each goes first with as much as this one brings, at least a turn.
        """
        ahead = max(cost, self._turn_tokens)
        return sum(min(request.tokens, ahead) for request in self._requests) / self.tokens_per_s

    def _issue(self, costs: Sequence[int], most: float) -> list[Ticket]:
        request = _Request(self, most)
        request.change(sum(costs))
        return [Ticket(request, cost) for cost in costs]


def estimate_tokens(text: str) -> int:
    """Tokens of a text that is not tokenised yet.

    A sign, or a letter of another script, may be a token by itself, so that a text of those is no cheap one.
    """
    encoded = text.encode(errors="replace")
    plain = len(encoded) - len(encoded.translate(None, _PLAIN))
    return plain // CHARS_PER_TOKEN + len(text) - plain + 1
