"""The encoder's threads at work side by side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from conftest import problem_of, running, wait_for
from fake_extractor import FakeExtractor, FakeSegmented, FakeWindow

from app.extraction.values import EventType, Extraction

pytestmark = pytest.mark.anyio


async def test_windows_of_one_article_are_encoded_side_by_side() -> None:
    async with running(threads=3, batch_tokens=8) as service:
        service.extractor.gate.clear()
        answer = asyncio.create_task(service.extract("word " * 23 + "Rossi met"))
        await asyncio.to_thread(wait_for, lambda: len(service.extractor.passes) == 3)
        service.extractor.gate.set()
        assert len((await answer).json()["events"]) == 1
        assert service.extractor.most_abreast == 3


class Holding(FakeExtractor):
    """Holds up only the windows with "held" in them."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def encode(self, windows: Sequence[FakeWindow]) -> list[list[str]]:
        if any("held" in window.words for window in windows):
            self.release.wait(20)
        return super().encode(windows)


async def test_a_thread_that_is_through_goes_on_while_another_is_not() -> None:
    extractor = Holding()
    async with running(extractor, threads=2, batch_tokens=8) as service:
        waits = asyncio.create_task(service.extract("held " * 5))
        for _ in range(20):
            assert (await service.extract("word " * 20)).status_code == 200
        assert not waits.done()
        extractor.release.set()
        assert (await waits).status_code == 200


async def test_many_threads_give_each_article_its_own_vectors() -> None:
    async with running(threads=4, batch_tokens=8) as service:
        texts = [f"N{number} " + "word " * (number % 50) + f"R{number} met" for number in range(200)]
        answers = await asyncio.gather(*map(service.extract, texts))
        for number, answer in enumerate(answers):  # the fake refuses vectors that are not the article's
            [event] = answer.json()["events"]
            assert event["participants"][0]["name"] == f"R{number}"
        problem_of(await service.extract("word " * 40 + "poison"), 500)
        assert service.service.admission.tokens == 0


class Leaving(FakeExtractor):
    """Leaves the windows with "dull" in them early."""

    def encode(self, windows: Sequence[FakeWindow]) -> list[list[str]]:
        read = super().encode(windows)
        return [[] if "dull" in words else words for words in read]

    def finish(
        self,
        segmented: FakeSegmented,
        vectors: Sequence[list[str]],
        types: frozenset[EventType] | None,
        min_confidence: float | None,
    ) -> Extraction:
        assert [len(words) > 0 for words in vectors] == ["dull" not in w.words for w in segmented.windows]
        return super().finish(segmented, [list(w.words) for w in segmented.windows], types, min_confidence)


async def test_windows_that_were_left_early_are_counted() -> None:
    async with running(Leaving()) as service:
        [event] = (await service.extract("word " * 8 + "dull " * 16 + "Rossi met " + "word " * 6)).json()["events"]
        assert event["participants"][0]["name"] == "Rossi"
        assert (await service.extract("dull")).json()["events"] == []
        metrics = (await service.client.get("/metrics")).text
        assert "\nevents_windows_left_early_total 3.0\n" in metrics
