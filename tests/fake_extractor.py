"""A small stand-in for the model: tokens are words, and every "met" is a meeting. Run as a script, it is served."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from app.extraction.values import (
    Amount,
    Article,
    Document,
    Event,
    EventDate,
    EventType,
    Extraction,
    Location,
    Participant,
    Span,
)
from app.main import serve
from app.serving.protocols import Observe
from app.settings import Settings


@dataclass(frozen=True)
class FakeInfo:
    name: str = "fake"
    version: str = "1.2.3"


@dataclass(frozen=True)
class FakeWindow:
    words: tuple[str, ...]

    @property
    def tokens(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class FakeSegmented:
    article: Article
    windows: tuple[FakeWindow, ...]


class FakeExtractor:
    """``gate`` holds the encoder up while it is cleared; "poison" breaks a pass, "unfinishable" the finish."""

    def __init__(self, window: int = 8, load_error: Exception | None = None) -> None:
        self.window = window
        self.load_error = load_error
        self.info = FakeInfo()
        self.gate = threading.Event()
        self.gate.set()
        self.loading = threading.Event()
        self.loading.set()
        self.entered = threading.Semaphore(0)
        self.passes: list[list[FakeWindow]] = []
        self.observe: Observe = lambda stage, seconds: None
        self.most_abreast = 0  # passes at one time
        self._abreast = 0
        self._counting = threading.Lock()

    def load(self, settings: Settings, observe: Observe) -> FakeExtractor:
        self.loading.wait()
        if self.load_error is not None:
            raise self.load_error
        self.observe = observe
        return self

    def segment(self, article: Article, min_confidence: float | None = None) -> FakeSegmented:
        self.observe("segment", 0.001)
        words = article.text.split()
        cut = range(0, len(words), self.window)
        return FakeSegmented(article, tuple(FakeWindow(tuple(words[at : at + self.window])) for at in cut))

    def encode(self, windows: Sequence[FakeWindow]) -> list[list[str]]:
        with self._counting:
            self._abreast += 1
            self.most_abreast = max(self.most_abreast, self._abreast)
            self.passes.append(list(windows))
        try:
            self.entered.release()
            self.gate.wait()
            for window in windows:
                if "poison" in window.words:
                    raise ValueError(" ".join(window.words))
            self.observe("encode", 0.002)
            return [list(window.words) for window in windows]
        finally:
            with self._counting:
                self._abreast -= 1

    def finish(
        self,
        segmented: FakeSegmented,
        vectors: Sequence[list[str]],
        types: frozenset[EventType] | None,
        min_confidence: float | None,
    ) -> Extraction:
        article = segmented.article
        words = [word for vector in vectors for word in vector]
        assert words == article.text.split(), "the vectors are not the article's"
        if "unfinishable" in words:
            raise KeyError("unfinishable")
        wanted = (types is None or "meeting" in types) and (min_confidence or 0) <= 0.987654321
        events = [self._event(article, match) for match in re.finditer(r"(\w+) met", article.text)] if wanted else []
        document = Document(article.published_at, "request" if article.published_at else None, "en", len(article.text))
        return Extraction(tuple(events), document)

    def _event(self, article: Article, match: re.Match[str]) -> Event:
        who = Span(match[1], match.start(1), match.end(1))
        met = Span("met", match.end() - 3, match.end())
        return Event(
            type="meeting",
            status="occurred",
            confidence=0.987654321,
            mentions=(met,),
            participants=(Participant(who.text, "participant", "person", 0.5, (who,)),),
            locations=(Location(who.text, None, 0.25, (who,)),),
            dates=(EventDate(met.text, met.start, met.end, None, "when", 1.0),),
            amounts=(
                Amount(met.text, met.start, met.end, 40_000_000.0, "EUR", "total", 0.9),
                Amount(met.text, met.start, met.end, 2.5, "percent", "increase", 0.9),
            ),
            purpose=who,
        )


def answer_of(text: str, published_at: date | None = None) -> Extraction:
    """What the fake finds in a text."""
    extractor = FakeExtractor()
    segmented = extractor.segment(Article(text, published_at=published_at))
    return extractor.finish(segmented, extractor.encode(segmented.windows), None, None)


class SlowExtractor(FakeExtractor):
    """Takes its time over an article with "slow" in it, and says on stdout that it has begun."""

    def encode(self, windows: Sequence[FakeWindow]) -> list[list[str]]:
        if any("slow" in window.words for window in windows):
            sys.stdout.write("encoding\n")
            sys.stdout.flush()
            time.sleep(1.5)
        return super().encode(windows)


def main(argument: str) -> int:
    """Serves on EVENTS_PORT, else on a free one that the log tells; ``argument`` is ``serve`` or ``broken``."""
    error = OSError("no such folder") if argument == "broken" else None
    load: Callable[[Settings, Observe], FakeExtractor] = SlowExtractor(load_error=error).load
    return serve(Settings() if "EVENTS_PORT" in os.environ else Settings(port=0), load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
