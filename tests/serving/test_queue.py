from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from app.serving.queue import Job, Piece, WindowQueue


@dataclass(frozen=True)
class Window:
    tokens: int


def job(source: object, *tokens: int, deadline: float = float("inf")) -> Job:
    def ignore(_: Any) -> None: ...

    return Job([Window(count) for count in tokens], source, deadline, ignore, ignore)


def taken(pieces: list[Piece] | None, **names: Job) -> list[str]:
    assert pieces is not None
    name_of = {id(value): name for name, value in names.items()}
    return [f"{name_of[id(piece.job)]}{piece.index}" for piece in pieces]


def test_requests_take_turns_then_their_articles() -> None:
    queue = WindowQueue(turn_tokens=1)
    long, a, b, lone = job("one", *[10] * 5), job("two", 10, 10), job("two", 10, 10), job("three", 10)
    for each in (long, a, b, lone):
        queue.put(each)
    assert (queue.tokens, queue.windows) == (100, 10)
    order = taken(queue.take(1000), long=long, a=a, b=b, lone=lone)
    assert order == ["long0", "a0", "lone0", "long1", "b0", "long2", "a1", "long3", "b1", "long4"]
    assert (queue.tokens, queue.windows) == (0, 0)


def test_a_turn_is_long_enough_for_a_short_article() -> None:
    queue = WindowQueue(turn_tokens=25)
    long, a, b, lone = job("one", *[10] * 7), job("two", 10, 10), job("two", 10, 10), job("three", 10)
    for each in (long, a, b, lone):
        queue.put(each)
    order = taken(queue.take(1000), long=long, a=a, b=b, lone=lone)
    assert order[:3] == ["long0", "long1", "long2"]
    assert order[3:6] == ["a0", "a1", "b0"]
    assert order[6:] == ["lone0", "long3", "long4", "long5", "b1", "long6"]


def test_a_turn_that_was_dropped_is_not_the_next_ones() -> None:
    queue = WindowQueue(turn_tokens=25)
    dropped, kept, last = job("one", 10, 10, 10), job("two", *[10] * 4), job("three", 10)
    for each in (dropped, kept, last):
        queue.put(each)
    assert taken(queue.take(20), dropped=dropped) == ["dropped0", "dropped1"]
    queue.drop(dropped)
    assert taken(queue.take(99), kept=kept, last=last) == ["kept0", "kept1", "kept2", "last0", "kept3"]


def test_a_newcomer_waits_for_a_turn_at_most() -> None:
    queue = WindowQueue(turn_tokens=30)
    long, lone = job(1, *[10] * 50), job(2, 10)
    queue.put(long)
    assert taken(queue.take(20), long=long) == ["long0", "long1"]
    queue.put(lone)
    assert taken(queue.take(20), long=long, lone=lone) == ["long2", "lone0"]


def test_a_newcomer_goes_before_those_who_had_a_turn() -> None:
    queue = WindowQueue(turn_tokens=30)
    long, lone, other = job(1, *[10] * 50), job(2, 10), job(3, *[10] * 4)
    queue.put(long)
    assert taken(queue.take(40), long=long) == ["long0", "long1", "long2", "long3"]
    queue.put(lone)
    queue.put(other)
    order = taken(queue.take(80), long=long, lone=lone, other=other)
    assert order == ["lone0", "other0", "other1", "other2", "long4", "long5", "other3", "long6"]


def test_newcomers_do_not_starve_a_long_article() -> None:
    queue = WindowQueue(turn_tokens=20)
    long = job("long", *[10] * 9)
    queue.put(long)
    queue.take(20)
    order = []
    for number in range(60):  # there is always another one
        queue.put(job(f"{number}", 10))
        queue.put(job(f"{number}+", 10))
        [piece] = queue.take(10) or []
        order.append(piece.job is long)
    assert [k for k, is_long in enumerate(order) if is_long] == [7, 8, 17, 18, 27, 28, 37]
    assert queue.tokens == 10 * (120 - 60 + 7)


def test_a_pass_keeps_to_its_budget_but_is_never_empty() -> None:
    queue = WindowQueue(turn_tokens=1)
    first, second = job(1, 30, 30), job(2, 50)
    queue.put(first)
    queue.put(second)
    assert taken(queue.take(79), first=first, second=second) == ["first0"]
    assert taken(queue.take(80), first=first, second=second) == ["second0", "first1"]
    queue.put(second_try := job(3, 512))
    assert taken(queue.take(100), second_try=second_try) == ["second_try0"]


def test_dropped_jobs_give_up_what_waits() -> None:
    queue = WindowQueue()
    dropped, kept = job(1, 10, 10, 10), job(1, 10)
    queue.put(dropped)
    queue.put(kept)
    assert taken(queue.take(10), dropped=dropped) == ["dropped0"]
    queue.drop(dropped)
    queue.drop(dropped)
    assert (queue.tokens, queue.windows) == (10, 1)
    assert taken(queue.take(100), kept=kept) == ["kept0"]
    queue.drop(kept)
    assert (queue.tokens, queue.windows) == (0, 0)


def test_jobs_past_their_deadline_are_skipped() -> None:
    queue = WindowQueue()
    late, kept = job(1, 10, 10, deadline=time.monotonic() - 1), job(2, 10)
    queue.put(late)
    queue.put(kept)
    assert taken(queue.take(100), kept=kept) == ["kept0"]
    assert (queue.tokens, queue.windows) == (0, 0)
    queue.drop(late)
    assert queue.tokens == 0


def test_take_waits_for_work_and_ends_with_the_queue() -> None:
    queue = WindowQueue()
    passes: list[list[Piece] | None] = []

    def encode() -> None:
        while (pieces := queue.take(100)) is not None:
            passes.append(pieces)
        passes.append(None)

    thread = threading.Thread(target=encode)
    thread.start()
    # What is late only when its turn comes leaves the thread waiting, not ended.
    queue.put(job(1, 10, deadline=0))
    only = job(2, 10)
    queue.put(only)
    while not passes:
        time.sleep(0.001)
    queue.close()
    thread.join(10)
    assert not thread.is_alive()
    assert taken(passes[0], only=only) == ["only0"]
    assert passes[1:] == [None]
