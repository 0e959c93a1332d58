"""The queue of windows between the requests and the encoder, fair to every request."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.serving.protocols import Window

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


@dataclass(eq=False, slots=True)
class Job:
    """One article's way through the encoder.

    ``source`` is the request it came with, ``deadline`` a time of ``time.monotonic``. ``vectors`` and ``missing``
    belong to the encoder's threads, as do ``passes``, the spans of those it had a part in, where ``span`` is traced;
    ``next``, the window to be taken, ``waiting`` and ``taken``, when the first one was, to the queue.
    """

    windows: Sequence[Window]
    source: Hashable
    deadline: float
    done: Callable[[list[Any]], None]
    failed: Callable[[Exception], None]
    span: SpanContext | None = None
    passes: list[SpanContext] = field(default_factory=list)
    vectors: list[Any] = field(init=False)
    missing: int = field(init=False)
    next: int = 0
    waiting: bool = False
    taken: float | None = None

    def __post_init__(self) -> None:
        self.missing = len(self.windows)
        self.vectors = [None] * self.missing


@dataclass(frozen=True, slots=True)
class Piece:
    """The window ``index`` of a job."""

    job: Job
    index: int

    @property
    def window(self) -> Window:
        return self.job.windows[self.index]


TURN_TOKENS = 1024  # more than most articles have, so that those are through in one turn
NEW_TURNS = 8  # first turns before one of those who had theirs: they wait longer, but not for ever


class WindowQueue:
    """Windows by turns: some of each request, and within a request of each of its articles. Safe across threads.

    A turn is over after ``turn_tokens`` (deficit round robin, Shreedhar 1995, without the deficit), and whose first one
    is not yet over goes before the others (as new flows do in FQ-CoDel, RFC 8290). So a long article or a large batch
    waits for itself, not others for it, and short articles are finished in the order they came in.
    """

    def __init__(self, turn_tokens: int = TURN_TOKENS) -> None:
        self._changed = threading.Condition()
        self._turn_tokens = turn_tokens
        self._jobs: dict[Hashable, deque[Job]] = {}
        self._spent: dict[Hashable, int] = {}  # tokens of each source's present turn
        self._new: deque[Hashable] = deque()  # sources in their first turn, ...
        self._old: deque[Hashable] = deque()  # ... and in later ones
        self._new_turns = 0  # since the last turn of an old source
        self._closed = False
        self.tokens = 0
        self.windows = 0

    def put(self, job: Job) -> None:
        """Lets the job's windows wait for their turns."""
        with self._changed:
            if job.source not in self._jobs:
                self._jobs[job.source] = deque()
                self._spent[job.source] = 0
                self._new.append(job.source)
            self._jobs[job.source].append(job)
            job.waiting = True
            self.tokens += sum(window.tokens for window in job.windows)
            self.windows += len(job.windows)
            self._changed.notify_all()

    def drop(self, job: Job) -> None:
        """Takes back what still waits of a job; nothing happens where none does."""
        with self._changed:
            if job.waiting:
                self._remove(job)

    def take(self, budget: int) -> list[Piece] | None:
        """The next windows, up to ``budget`` tokens but at least one; waits only while there is none.

        Jobs past their deadline lose their place. None once the queue is closed.
        """
        with self._changed:
            while True:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return None
                if pieces := self._next(budget):
                    return pieces

    def close(self) -> None:
        """Wakes the encoder's threads for the last time; what waits stays undone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self, budget: int) -> list[Piece]:
        pieces: list[Piece] = []
        room = budget
        now = time.monotonic()
        while self._jobs:
            line = self._new if self._new and (self._new_turns < NEW_TURNS or not self._old) else self._old
            source = line[0]
            jobs = self._jobs[source]
            job = jobs[0]
            if job.deadline <= now:
                self._remove(job)
                continue
            tokens = job.windows[job.next].tokens
            if pieces and tokens > room:
                break
            if job.next == 0:
                job.taken = now
            pieces.append(Piece(job, job.next))
            room -= tokens
            self.tokens -= tokens
            self.windows -= 1
            job.next += 1
            self._spent[source] += tokens
            over = self._spent[source] >= self._turn_tokens
            if job.next == len(job.windows):
                self._remove(job)
            elif over:
                jobs.rotate(-1)
            if over or source not in self._jobs:
                self._new_turns = self._new_turns + 1 if line is self._new else 0
            if over and source in self._jobs:
                line.popleft()
                self._old.append(source)
                self._spent[source] = 0
        return pieces

    def _remove(self, job: Job) -> None:
        job.waiting = False
        left = job.windows[job.next :]
        self.tokens -= sum(window.tokens for window in left)
        self.windows -= len(left)
        jobs = self._jobs[job.source]
        jobs.remove(job)
        if not jobs:
            del self._jobs[job.source], self._spent[job.source]
            (self._new if job.source in self._new else self._old).remove(job.source)
