from __future__ import annotations

import asyncio

import pytest

from app.serving.admission import ASSUMED_TOKENS_PER_S, Admission, estimate_tokens
from app.serving.errors import RefusedError

pytestmark = pytest.mark.anyio


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_all_of_a_request_or_none() -> None:
    admission = Admission(100, 100)
    tickets = admission.admit([40, 40])
    with pytest.raises(RefusedError) as refused:
        admission.admit([10, 11])
    assert refused.value.reason == "queue_full"
    assert admission.tokens == 80
    [more] = admission.admit([20])
    assert admission.full
    for ticket in (*tickets, more):
        ticket.close()
        ticket.close()
    assert admission.tokens == 0
    assert not admission.full


def test_one_larger_than_the_bound_gets_in_alone() -> None:
    admission = Admission(100, 100)
    [ticket] = admission.admit([1000])
    with pytest.raises(RefusedError):
        admission.admit([1])
    ticket.close()
    admission.admit([1])
    with pytest.raises(RefusedError):
        admission.admit([1000])


def test_of_many_articles_only_those_under_way_count() -> None:
    admission = Admission(100, 40)
    tickets = admission.admit([15] * 20)
    assert admission.tokens == 40
    [single] = admission.admit([60])
    with pytest.raises(RefusedError):
        admission.admit([1])
    single.close()
    for ticket in tickets[:17]:
        assert admission.tokens == 40
        ticket.resize(16)
        ticket.close(answered=True)
    assert admission.tokens == 40
    tickets[17].close()
    assert admission.tokens == 30
    for ticket in tickets:
        ticket.close()
    assert admission.tokens == 0
    admission.admit([10, 50, 50])  # long ones, one at a time
    assert admission.tokens == 50
    assert admission.admit([]) == []  # a batch of mistakes


def test_who_would_wait_beyond_the_deadline_is_refused_at_once() -> None:
    clock = Clock()
    admission = Admission(100_000, 1000, clock=clock)
    [ticket] = admission.admit([100])
    clock.now += 1
    ticket.close(answered=True)  # 100 a second
    admission.admit([1000], within_s=0.1)  # nobody is before it
    admission.admit([300], within_s=3.0)
    with pytest.raises(RefusedError) as refused:
        admission.admit([300], within_s=5.9)
    assert refused.value.reason == "queue_full"
    assert refused.value.retry_after == 13
    admission.admit([300], within_s=6.0)
    admission.admit([10], within_s=0.3)  # others are worked on in turn with it
    with pytest.raises(RefusedError):
        admission.admit([10], within_s=0.3)


def test_nobody_is_let_in_to_wait_for_longer_than_the_longest_wait() -> None:
    clock = Clock()
    admission = Admission(100_000, 1000, most_wait_s=5.0, turn_tokens=200, clock=clock)
    [ticket] = admission.admit([100])
    clock.now += 1
    ticket.close(answered=True)  # 100 a second
    for _ in range(5):
        admission.admit([100])
    [last] = admission.admit([100])
    with pytest.raises(RefusedError):
        admission.admit([10])  # six go before it, for a turn is longer than they are
    last.close()
    admission.admit([10])


def test_counted_tokens_take_the_estimates_place() -> None:
    admission = Admission(100, 100)
    [ticket] = admission.admit([10])
    ticket.resize(90)
    with pytest.raises(RefusedError):
        admission.admit([11])
    ticket.close(answered=True)
    assert admission.tokens == 0


def test_retry_after_is_what_waits_at_the_measured_speed() -> None:
    clock = Clock()
    admission = Admission(1000, 1000, clock=clock)
    assert admission.tokens_per_s == ASSUMED_TOKENS_PER_S
    clock.now += 500  # idle time says nothing of the speed
    first, second = admission.admit([400, 101])
    clock.now += 4
    first.close(answered=True)
    assert admission.tokens_per_s == pytest.approx(100)
    assert admission.retry_after() == 2
    clock.now += 1
    second.close(answered=True)
    assert admission.retry_after() == 1
    clock.now += 1000
    [third] = admission.admit([800])
    assert admission.retry_after() == 8
    third.close()  # given up: no measure of speed
    assert admission.tokens_per_s == pytest.approx(100, rel=0.1)


def test_speed_of_late_counts_more() -> None:
    clock = Clock()
    admission = Admission(10_000, 10_000, clock=clock)
    for tokens, times in ((100, 100), (1000, 60)):
        for _ in range(times):
            [ticket] = admission.admit([tokens])
            clock.now += 1
            ticket.close(answered=True)
    assert 900 < admission.tokens_per_s < 1000


async def test_who_waits_gets_in_when_there_is_room() -> None:
    admission = Admission(100, 100)
    [held] = admission.admit([90])
    waiting = [asyncio.create_task(admission.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    held.close()
    await asyncio.sleep(0.001)
    assert [task.done() for task in waiting] == [True, True, False]
    (await waiting[1]).close()
    (await waiting[2]).close()
    assert admission.tokens == 0


def test_estimate_is_never_nothing() -> None:
    assert estimate_tokens("a") == 1
    assert estimate_tokens("word" * 1000) == 1001
    for sign in ("$", "\u4e2d", "\U0001f642", "\u0416"):  # a token each, or less
        assert estimate_tokens(sign * 1000) == 1001
