"""The stages joined, with a small model that reacts to a few words."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import small_extractor, small_model, small_model_with_exit, tokenizer, tokenizer_dir, write

from app.extraction import extractor as module
from app.extraction.extractor import Extractor, ModelInfo
from app.extraction.values import (
    AMOUNT_KINDS,
    DATE_ROLES,
    EVENT_TYPES,
    KINDS,
    ROLES,
    STATUSES,
    Article,
    Event,
    EventType,
    Extraction,
    Location,
    Participant,
    Span,
)

PUBLISHED = date(2024, 5, 8)
STORY = (
    "Mira Kovač met Jonas Lindqvist in Oslo on Tuesday.\r\n\r\n"
    "The ministers visited Vienna, and Finland pledged $20 million for roads yesterday.\nThe talks went on."
)
ARTICLES = [
    Article(STORY, "Kovač met Lindqvist", PUBLISHED),
    Article("Nothing at all happened."),
    Article("Talks in Oslo. " * 400, "A summit", PUBLISHED),
    Article("x"),
    Article(STORY.lower(), None, PUBLISHED),
    Article("They pledged 5 billion euros for schools on Friday. " * 30, None, PUBLISHED),
]


def spans(event: Event) -> list[Span]:
    found = list(event.mentions)
    for participant in event.participants:
        found += participant.mentions
    for location in event.locations:
        found += location.mentions
    found += [Span(d.text, d.start, d.end) for d in event.dates]
    found += [Span(a.text, a.start, a.end) for a in event.amounts]
    return found + ([event.purpose] if event.purpose else [])


def check(article: Article, found: Extraction) -> None:
    """What holds for the answer to any article."""
    text = article.text
    assert found.document.characters == len(text)
    firsts = [e.mentions[0].start for e in found.events]
    assert firsts == sorted(firsts)
    taken: set[tuple[int, int]] = set()
    for event in found.events:
        for span in spans(event):
            assert 0 <= span.start < span.end <= len(text)
            assert text[span.start : span.end] == span.text
        parts: list[Event | Participant | Location] = [event, *event.participants, *event.locations]
        for part in parts:
            starts = [s.start for s in part.mentions]
            assert starts == sorted(set(starts))
        for row in (*parts, *event.dates, *event.amounts):
            assert 0 <= row.confidence <= 1
        assert event.type in EVENT_TYPES
        assert event.status in STATUSES
        assert event.mentions
        for span in event.mentions:
            assert (span.start, span.end) not in taken
            taken.add((span.start, span.end))
        assert all(p.role in ROLES[event.type] and p.kind in KINDS and p.name for p in event.participants)
        assert all(d.role in DATE_ROLES for d in event.dates)
        assert all(a.kind in AMOUNT_KINDS for a in event.amounts)
        if event.type != "budget_commitment":
            assert (event.amounts, event.purpose) == ((), None)
            assert all(d.role == "when" for d in event.dates)


def test_an_article_gives_its_events() -> None:
    found = small_extractor().extract(ARTICLES[0])
    check(ARTICLES[0], found)
    assert [e.type for e in found.events if e.type != "meeting"] == ["visit", "budget_commitment"]
    said = [s.text for e in found.events for s in e.mentions]
    assert sorted(said) == ["met", "pledged", "talks", "visited"]
    first = found.events[0]
    assert [p.name for p in first.participants][:2] == ["Mira Kovač", "Jonas Lindqvist"]
    assert (first.locations[0].name, first.locations[0].country) == ("Oslo", "NO")
    money = found.events[-1] if found.events[-1].amounts else next(e for e in found.events if e.amounts)
    assert [(a.value, a.unit) for a in money.amounts] == [(20e6, "USD")]
    assert money.purpose is not None
    assert money.purpose.text == "roads"
    assert {d.value for d in money.dates} >= {"2024-05-07"}
    assert (found.document.published_at, found.document.published_from) == (PUBLISHED, "request")
    assert found.document.language == "en"


def test_articles_in_one_pass_are_answered_as_alone() -> None:
    extractor = small_extractor()
    segmented = [extractor.segment(a) for a in ARTICLES]
    vectors = extractor.encode([w for s in segmented for w in s.windows])
    at = 0
    for article, one in zip(ARTICLES, segmented, strict=True):
        own = vectors[at : at + len(one.windows)]
        at += len(one.windows)
        found = extractor.finish(one, own)
        assert found == extractor.extract(article)
        check(article, found)


def test_the_same_article_is_answered_the_same() -> None:
    again = Extractor.from_parts(small_model(), small_extractor()._tokenizer)
    for article in ARTICLES:
        assert again.extract(article) == again.extract(article) == small_extractor().extract(article)


def test_only_the_wanted_types_are_told() -> None:
    extractor = small_extractor()
    everything = extractor.extract(ARTICLES[0]).events
    for wanted in EVENT_TYPES:
        only = extractor.extract(ARTICLES[0], frozenset({wanted})).events
        assert only == tuple(e for e in everything if e.type == wanted)
    two: frozenset[EventType] = frozenset({"visit", "meeting"})
    assert extractor.extract(ARTICLES[0], two).events == tuple(e for e in everything if e.type in two)
    assert extractor.extract(ARTICLES[0], frozenset()).events == ()


@pytest.mark.parametrize("least", [0.0, 0.2, 0.9, 0.99999, 1.0])
def test_a_lower_confidence_tells_more(least: float) -> None:
    extractor = small_extractor()
    article = Article(STORY + " A summit was a trip to a budget. " * 3, None, PUBLISHED)
    low, high = (extractor.extract(article, None, least * share) for share in (0.5, 1.0))
    check(article, low)
    assert all(e.confidence >= least for e in high.events)
    covered = {k for e in low.events for s in e.mentions for k in range(s.start, s.end)}
    assert all(k in covered for e in high.events for s in e.mentions for k in range(s.start, s.end))
    assert len(low.events) >= len(high.events)


def test_default_confidence_is_the_model_s() -> None:
    extractor = small_extractor()
    least = small_model().config.thresholds["event"]
    assert extractor.extract(ARTICLES[0]) == extractor.extract(ARTICLES[0], None, least)


def test_windows_are_read_to_the_end_for_events_less_sure_than_usual_or_where_no_exit_is_wanted() -> None:
    article = ARTICLES[0]
    left = Extractor.from_parts(small_model_with_exit(threshold=1.0), tokenizer())
    found = left.extract(article)
    assert found.events == ()
    assert found.document == small_extractor().extract(article).document
    for least in (0.0, 0.3):
        assert left.extract(article, None, least) == small_extractor().extract(article, None, least)
    assert left.extract(article, None, 0.9).events == ()
    never = Extractor(
        small_model_with_exit(threshold=1.0), left._tokenizer, left._gazetteer, left.info, early_exit=False
    )
    assert never.extract(article) == small_extractor().extract(article)


@pytest.mark.parametrize("text", ["met Oslo ", "Mira Kovač met, talks. ", "met ", "$5 pledged Friday "])
def test_a_text_of_trigger_words_stays_bounded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRIGGERS", 60)
    article = Article(text * 1500)
    found = small_extractor().extract(article)
    assert sum(len(e.mentions) for e in found.events) <= 60
    check(article, found)


def test_the_likeliest_triggers_are_kept_of_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    article = Article("Kovač met Lindqvist. The summit was a visit. They pledged it. " * 20)
    scores = sorted((s for e in small_extractor().extract(article).events for s in [e.confidence]), reverse=True)
    monkeypatch.setattr(module, "MAX_TRIGGERS", 7)
    found = small_extractor().extract(article)
    assert sum(len(e.mentions) for e in found.events) <= 7
    assert max(e.confidence for e in found.events) == scores[0]


def test_participants_of_one_event_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MENTIONS", 3)
    article = Article("Kovač, Lindqvist, Brannigan, Haldor, Celestus and Emeric met.")
    [event] = small_extractor().extract(article).events
    assert 1 <= len(event.participants) <= 3
    check(article, small_extractor().extract(article))


WORDS = (
    "met talks visited visit pledged budget summit in Oslo Vienna Lisbon on Tuesday Friday yesterday $5 million euros "
    "billion for roads schools Mira Kovač Jonas the The Finland and said , . ; ( ) “ ” ’s - — \n \r\n \r\n\r\n"
).split(" ")
HOSTILE = [
    "", "\x00", "\u200b", "\u0301", "\u0345",
    "İ", "ﬁ", "ß", "한국", "नमस्ते", "\U0001f600", "\U0001f469‍\U0001f467", "\ufeff",
    "\u202e", "\u2028", "\x85", "\t", "  ", "½", "x" * 120, "cafe\u0301", "Å",
    "$$$", "1" * 30, "2024-99-99", "\ufffd", "Ǆ",
]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS + HOSTILE), max_size=60),
    st.lists(st.sampled_from([" ", " ", " ", ""]), min_size=60, max_size=60),
    st.none() | st.lists(st.sampled_from(WORDS + HOSTILE), max_size=8),
    st.sampled_from([None, 0.0, 0.3]),
)
def test_every_span_is_exact_on_any_text(
    words: list[str], gaps: list[str], title: list[str] | None, least: float | None
) -> None:
    text = "".join(w + g for w, g in zip(words, gaps, strict=False))
    article = Article(text, None if title is None else " ".join(title), PUBLISHED)
    check(article, small_extractor().extract(article, None, least))


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    article = Article(text, text[:50])
    check(article, small_extractor().extract(article, None, 0.0))


def test_loading_and_stages(tmp_path: Path) -> None:
    model = small_model()
    model.config = replace(model.config, model_name="small", model_version="3")
    write(model, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        Extractor.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((tokenizer_dir() / "tokenizer.json").read_bytes())
    seen: list[tuple[str, float]] = []
    loaded = Extractor.load(tmp_path, "float32", lambda stage, seconds: seen.append((stage, seconds)))
    assert loaded.info == ModelInfo("small", "3")
    assert loaded.extract(ARTICLES[0]) == small_extractor().extract(ARTICLES[0])
    assert [stage for stage, _ in seen] == ["segment", "encode", "decode", "link", "normalise"]
    assert all(seconds >= 0 for _, seconds in seen)


def test_a_failing_stage_is_observed_too() -> None:
    seen: list[str] = []
    small = small_extractor()
    extractor = Extractor(
        small._model, small._tokenizer, small._gazetteer, small.info, lambda stage, seconds: seen.append(stage)
    )
    segmented = extractor.segment(ARTICLES[0])
    too_narrow = [torch.zeros(w.tokens, 3) for w in segmented.windows]
    with pytest.raises(RuntimeError):
        extractor.finish(segmented, too_narrow)
    assert seen == ["segment", "decode"]


def test_values_are_frozen_and_plain() -> None:
    found = small_extractor().extract(ARTICLES[0])
    for event in found.events:
        rows: list[Any] = [event, *event.participants, *event.locations, *event.dates, *event.amounts]
        for row in rows:
            for field in fields(row):
                assert type(getattr(row, field.name)).__module__ in ("builtins", "app.extraction.values")
    assert hash(found) == hash(small_extractor().extract(ARTICLES[0]))
