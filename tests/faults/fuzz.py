"""Made-up articles over the stages beside the encoder, with vectors that are noise: no crash, every span exact.

``python -m tests.faults.fuzz --examples 50000``; hypothesis shrinks what it finds and prints it.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from datetime import date
from typing import Any

import orjson
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_model import small_config, small_extractor

from app.api.schemas import ExtractionAnswer, render
from app.extraction import date_phrases, dates, money
from app.extraction.places import Gazetteer
from app.extraction.values import EVENT_TYPES, STATUSES, Article

from .harness import Report

PIECES = tuple(
    "met|visited|pledged|talks|summit|will meet|cancelled|Ana Duarte|Foreign Minister|Mr. O’Neill|the two|he|EU|U.S.|"
    "Oslo|Paris, Texas|Georgia|Congo|New York|北京|Москва|القاهرة|near the Gulf of|the Hague|Monday|last Tuesday|"
    "next week|30 February|29 Feb 2100|2025-04-08|08/04/25|Q3 2026|the 1990s|from 3 to 5 May|until 2030|yesterday|"
    "at midnight|Ramadan|Christmas|the first half of 9999|year 0|31.12.9999|1 January 0001|May|$5 million|€1,000.50|"
    "1.2.3 billion|half a billion|9e999|999999999999999999999999 trillion dollars|2% of GDP|doubled|-5 percent|"
    "a quarter of its budget|Rs 5 crore|¥|US$|$$$|²³ euros|١٢ million pounds|twenty-twenty|for roads|and|, |. |.\n|"
    "\n\n|\r\n|\t| |—|Source: https://news.example/2025/04/07/a|(Reuters) - |“|”|'|…|\u200b|\u200d|\u202e|\ufeff|\x00|"
    "\x85|\u2028|\u0301|ﬁ|İ|ß|ǅ|\U0001f469\u200d\U0001f467|\U0010ffff|e\u0301|-|/|:|1|20".split("|")
)
texts = st.one_of(
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), min_size=1, max_size=60).map(" ".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join),
    st.text(min_size=1, max_size=200),
).filter(lambda text: text != "" and not text.isspace())
days = st.none() | st.dates()
articles = st.builds(
    Article,
    texts,
    st.none() | texts,
    days,
    st.none()
    | st.sampled_from(["https://a.example/2025/04/08/x", "http://a/99/99/9999/", "https://a.example/0000-00-00"]),
)
VALUE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?(/\d{4}(-\d\d(-\d\d)?)?)?")
HIDDEN = small_config().hidden_size
LEFT = 0.1  # of the windows
GAZETTEER = Gazetteer.load()


def vectors_of(segmented: Any, seed: int, scale: float) -> list[torch.Tensor]:
    """Noise in the place of what the encoder gives, so that any token may be anything; some windows are left early."""
    noise = torch.Generator().manual_seed(seed)
    left = random.Random(seed)
    return [
        scale * torch.randn(window.tokens * (left.random() > LEFT), HIDDEN, generator=noise)
        for window in segmented.windows
    ]


def check_spans(value: Any, text: str) -> int:
    """How many spans there are; fails where one is not the text's."""
    if isinstance(value, list):
        return sum(check_spans(part, text) for part in value)
    if not isinstance(value, dict):
        return 0
    if "start" in value:
        assert 0 <= value["start"] < value["end"] <= len(text)
        assert text[value["start"] : value["end"]] == value["text"]
    return ("start" in value) + sum(check_spans(part, text) for part in value.values())


class Counts:
    """How much came out: a fuzz that finds no events tests nothing."""

    def __init__(self) -> None:
        self.articles = self.events = self.spans = self.phrases = 0


def pipeline(counts: Counts, article: Article, seed: int, scale: float, types: Any, least: float | None) -> None:
    """Segment, decode, link and normalise one article, and render it."""
    extractor = small_extractor()
    segmented = extractor.segment(article)
    extraction = extractor.finish(segmented, vectors_of(segmented, seed, scale), types, least)
    answer = orjson.loads(render(extraction, extractor.info).json)
    ExtractionAnswer.model_validate(answer)
    counts.articles += 1
    counts.events += len(answer["events"])
    counts.spans += check_spans(answer["events"], article.text)
    assert [event["id"] for event in answer["events"]] == [f"e{n + 1}" for n in range(len(answer["events"]))]
    for event in answer["events"]:
        assert types is None or event["type"] in types
        assert event["mentions"]
        assert all(when["value"] is None or VALUE.fullmatch(when["value"]) for when in event["dates"])
        assert all(
            where["country"] is None or re.fullmatch("[A-Z]{2}", where["country"]) for where in event["locations"]
        )


def phrases(counts: Counts, text: str, start: int, length: int, day: date | None, status: Any) -> None:
    """The readers of dates, money and places on any stretch of a text."""
    start = min(start, len(text) - 1)
    end = min(len(text), start + length)
    found = date_phrases.find_dates(text, start, end)
    assert all(text[span.start : span.end] == span.text for span in found)
    stretches = [(start, end), *((span.start, span.end) for span in found), *money.find_amounts(text, start, end)]
    for low, high in stretches:
        assert 0 <= low < high <= len(text)
        for widen in (date_phrases.widen, money.widen):
            left, right = widen(text, low, high)
            assert 0 <= left <= low < high <= right <= len(text)
        value = dates.resolve(text[low:high], day, status, context=text, offset=low)
        assert value is None or VALUE.fullmatch(value)
        money.parse_amount(text[low:high], context=text, start=low, end=high)
        country = GAZETTEER.country_of(text[low:high], text, GAZETTEER.article_countries(text), at=low)
        assert country is None or re.fullmatch("[A-Z]{2}", country)
        GAZETTEER.is_place(text[low:high])
        counts.phrases += 1


def run(examples: int) -> Counts:
    """Half of the examples over the pipeline, half over the readers of phrases; raises what it finds."""
    counts = Counts()
    options = settings(
        max_examples=(examples + 1) // 2,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    chosen = st.none() | st.frozensets(st.sampled_from(EVENT_TYPES))
    least = st.none() | st.floats(0, 1)

    @options
    @given(articles, st.integers(0, 2**32), st.sampled_from([0.5, 2.0, 6.0]), chosen, least)
    def over_pipeline(article: Article, seed: int, scale: float, types: Any, least: float | None) -> None:
        pipeline(counts, article, seed, scale, types, least)

    @options
    @given(texts, st.integers(0, 400), st.integers(1, 120), days, st.sampled_from(STATUSES))
    def over_phrases(text: str, start: int, length: int, day: date | None, status: Any) -> None:
        phrases(counts, text, start, length, day, status)

    over_pipeline()
    over_phrases()
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50_000)
    examples = parser.parse_args().examples
    torch.set_num_threads(1)  # the tensors are tiny
    report = Report(f"fuzz: {examples} inputs over the stages beside the encoder")
    started = time.monotonic()
    counts = run(examples)
    report.check(
        "no crash, every span exact",
        counts.events > examples / 10,
        f"{counts.articles} articles with {counts.events} events and {counts.spans} spans, {counts.phrases} phrases in "
        f"{time.monotonic() - started:.0f} s",
    )
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
