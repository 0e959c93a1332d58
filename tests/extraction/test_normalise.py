"""Linked mentions to the contract's values."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest
from small_model import special, tokenizer

from app.extraction import normalise
from app.extraction.decode import Argument, Trigger
from app.extraction.normalise import Context, LinkedEvent
from app.extraction.places import Gazetteer
from app.extraction.segment import Segmented, segment
from app.extraction.values import Article, Event, EventType, Span

PUBLISHED = date(2024, 5, 8)  # a Wednesday


@cache
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


class Story:
    """An article of which the test says what its phrases are."""

    def __init__(self, text: str, title: str | None = None) -> None:
        self.article = Article(text, title, PUBLISHED)
        self.segmented: Segmented = segment(self.article, tokenizer(), special())

    def tokens(self, phrase: str, nth: int = 0, title: bool = False) -> tuple[int, int]:
        source = (self.article.title or "") if title else self.article.text
        start = -1
        for _ in range(nth + 1):
            start = source.index(phrase, start + 1)
        border = self.segmented.title_tokens
        inside = [
            k
            for k in (range(border) if title else range(border, len(self.segmented.ids)))
            if start <= self.segmented.starts[k] < start + len(phrase)
        ]
        return inside[0], inside[-1]

    def says(
        self, group: str, phrase: str, nth: int = 0, title: bool = False, trigger: int = 0, **scores: float
    ) -> Argument:
        return Argument(trigger, *self.tokens(phrase, nth, title), group, scores)

    def event(
        self,
        trigger: str,
        kind: EventType = "meeting",
        participants: tuple[tuple[Argument, ...], ...] = (),
        others: tuple[Argument, ...] = (),
        statuses: tuple[float, ...] = (0.9, 0.1, 0.0, 0.0, 0.0),
    ) -> Event:
        linked = LinkedEvent(kind, (Trigger(*self.tokens(trigger), kind, 0.8),), statuses, participants, others)
        context = Context(self.article, PUBLISHED, gazetteer().article_countries(self.article.text))
        found = normalise.event(linked, self.segmented, context, gazetteer())
        spans = list(found.mentions)
        for part in found.participants:
            spans += part.mentions
        for place in found.locations:
            spans += place.mentions
        everything: list[Any] = [*spans, *found.dates, *found.amounts, *([found.purpose] if found.purpose else [])]
        for s in everything:
            assert self.article.text[s.start : s.end] == s.text
        return found


def test_status_and_confidence() -> None:
    story = Story("They met and will hold talks.")
    linked = LinkedEvent(
        "meeting",
        (Trigger(*story.tokens("met"), "meeting", 0.6), Trigger(*story.tokens("talks"), "meeting", 0.9)),
        (0.1, 0.1, 0.5, 0.3, 0.0),
        (),
        (),
    )
    context = Context(story.article, PUBLISHED, gazetteer().article_countries(story.article.text))
    found = normalise.event(linked, story.segmented, context, gazetteer())
    assert found.status == "planned"
    assert found.confidence == pytest.approx(0.9)
    assert found.mentions == (Span("met", 5, 8), Span("talks", 23, 28))
    assert (found.participants, found.locations, found.dates, found.amounts, found.purpose) == ((), (), (), (), None)


def test_the_role_is_the_sum_over_all_mentions() -> None:
    story = Story("Mira Kovač met Jonas Lind. Kovač said. Kovač left.")
    mentions = (
        story.says("participant", "Mira Kovač", host=0.6, participant=0.2),
        story.says("participant", "Kovač", 1, host=0.2, participant=0.4),
        story.says("participant", "Kovač", 2, host=0.2, participant=0.5),
    )
    [found] = story.event("met", participants=(mentions,)).participants
    assert (found.name, found.role, found.kind) == ("Mira Kovač", "participant", "person")
    assert found.confidence == pytest.approx(0.8)
    assert [s.text for s in found.mentions] == ["Mira Kovač", "Kovač", "Kovač"]


def test_mentions_stand_in_order_and_once_even_where_several_triggers_name_them() -> None:
    story = Story("Kovač met Lind. Later Kovač spoke.")
    mentions = (
        story.says("participant", "Kovač", 1, participant=0.9),
        story.says("participant", "Kovač", 0, participant=0.5),
        story.says("participant", "Kovač", 1, trigger=1, participant=0.6),
    )
    [found] = story.event("met", participants=(mentions,)).participants
    assert [(s.text, s.start) for s in found.mentions] == [("Kovač", 0), ("Kovač", 22)]


def test_of_mentions_within_one_another_the_longest_stands() -> None:
    story = Story("Kovač met Mira Lind in Oslo. Lind spoke.")
    mentions = (
        story.says("participant", "Lind", 0, participant=0.9),
        story.says("participant", "Mira Lind", participant=0.5),
        story.says("participant", "Mira", trigger=1, participant=0.6),
        story.says("participant", "Lind", 1, participant=0.6),
    )
    [found] = story.event("met", participants=(mentions,)).participants
    assert [(s.text, s.start) for s in found.mentions] == [("Mira Lind", 10), ("Lind", 29)]


def test_a_name_in_the_title_alone_has_no_mentions() -> None:
    story = Story("The two met.", "Mira Kovač and Oslo")
    found = story.event(
        "met",
        participants=((story.says("participant", "Mira Kovač", title=True, participant=0.9),),),
        others=(story.says("location", "Oslo", title=True, location=0.9),),
    )
    assert [(p.name, p.mentions) for p in found.participants] == [("Mira Kovač", ())]
    assert [(p.name, p.country, p.mentions) for p in found.locations] == [("Oslo", "NO", ())]


def test_dates_amounts_and_purposes_are_not_read_from_the_title() -> None:
    story = Story("The government pledged money.", "$5 million for roads on Friday")
    others = (
        story.says("date", "Friday", title=True, when=0.9),
        story.says("amount", "$5 million", title=True, total=0.9),
        story.says("purpose", "roads", title=True, purpose=0.9),
    )
    found = story.event("pledged", "budget_commitment", others=others)
    assert (found.dates, found.amounts, found.purpose) == ((), (), None)


def test_a_country_is_told_as_one() -> None:
    story = Story("Norway met Kovač.")
    parts = tuple((story.says("participant", n, participant=0.9),) for n in ("Norway", "Kovač"))
    assert [p.kind for p in story.event("met", participants=parts).participants] == ["country", "person"]


def test_places_merge_where_the_words_of_one_are_in_the_other() -> None:
    story = Story("They met in Oslo. The hall in central Oslo, near Bergen, was full. Oslo!")
    others = (
        story.says("location", "Oslo", 0, location=0.9),
        story.says("location", "Bergen", location=0.7),
        story.says("location", "central Oslo", location=0.6),
        story.says("location", "Oslo", 2, location=0.5),
        story.says("location", "Oslo", 0, trigger=1, location=0.3),
    )
    found = story.event("met", others=others).locations
    assert [(p.name, [s.start for s in p.mentions]) for p in found] == [
        ("central Oslo", [12, 30, 67]),
        ("Bergen", [49]),
    ]
    assert [p.country for p in found] == ["NO", "NO"]
    assert [p.confidence for p in found] == pytest.approx([0.9, 0.7])


def test_dates_of_one_value_and_role_are_one() -> None:
    story = Story("They met on Tuesday. The talks on Tuesday, May 7, went on until Wednesday.")
    others = (
        story.says("date", "Tuesday", 0, when=0.5),
        story.says("date", "Tuesday, May 7", when=0.8, target=0.1),
        story.says("date", "Wednesday", when=0.6),
    )
    found = story.event("met", others=others).dates
    assert [(d.text, d.value, d.role) for d in found] == [
        ("Tuesday, May 7", "2024-05-07", "when"), ("Wednesday", "2024-05-08", "when"),
    ]  # fmt: skip
    assert found[0].confidence == pytest.approx(0.9)


def test_one_date_in_two_roles_stays_two() -> None:
    story = Story("In 2023 they pledged money for 2023.")
    others = (story.says("date", "2023", 0, when=0.9), story.says("date", "2023", 1, target=0.9, when=0.05))
    found = story.event("pledged", "budget_commitment", others=others).dates
    assert [(d.start, d.value, d.role) for d in found] == [(3, "2023", "when"), (31, "2023", "target")]


def test_dates_without_a_value_are_told_apart_by_their_words() -> None:
    story = Story("They met at some point. At Some Point it was, or at a time.")
    others = tuple(
        story.says("date", phrase, when=score)
        for phrase, score in (("at some point", 0.6), ("At Some Point", 0.7), ("at a time", 0.5))
    )
    found = story.event("met", others=others).dates
    assert [(d.text, d.value) for d in found] == [("At Some Point", None), ("at a time", None)]


def test_the_same_span_counts_once_with_its_highest_score() -> None:
    story = Story("They met on Tuesday.")
    others = tuple(story.says("date", "Tuesday", trigger=k, when=s) for k, s in enumerate((0.4, 0.9, 0.6)))
    assert [d.confidence for d in story.event("met", others=others).dates] == [pytest.approx(0.9)]


def test_amounts_of_one_value_are_one() -> None:
    story = Story("Norway pledged $20 million for roads. The 20 million dollars and another €3 million help.")
    others = (
        story.says("amount", "$20 million", total=0.6),
        story.says("amount", "20 million dollars", increase=0.9),
        story.says("amount", "€3 million", total=0.7, target=0.1),
    )
    found = story.event("pledged", "budget_commitment", others=others).amounts
    assert [(a.text, a.value, a.unit, a.kind) for a in found] == [
        ("20 million dollars", 20e6, "USD", "increase"), ("€3 million", 3e6, "EUR", "total"),
    ]  # fmt: skip


def test_what_is_no_money_is_left_out() -> None:
    story = Story("Norway pledged a lot for roads.")
    others = (story.says("amount", "a lot", total=0.9),)
    assert story.event("pledged", "budget_commitment", others=others).amounts == ()


def test_the_likeliest_purpose_is_told() -> None:
    story = Story("Norway pledged money for roads and bridges.")
    others = (story.says("purpose", "roads", purpose=0.6), story.says("purpose", "bridges", purpose=0.7))
    assert story.event("pledged", "budget_commitment", others=others).purpose == Span("bridges", 35, 42)


def test_without_publication_only_full_dates_have_a_value() -> None:
    story = Story("They met on Tuesday, after 3 March 2022.")
    others = (story.says("date", "Tuesday", when=0.9), story.says("date", "3 March 2022", when=0.9))
    linked = LinkedEvent(
        "meeting", (Trigger(*story.tokens("met"), "meeting", 0.8),), (1.0, 0.0, 0.0, 0.0, 0.0), (), others
    )
    article = replace(story.article, published_at=None)
    context = Context(article, None, gazetteer().article_countries(article.text))
    found = normalise.event(linked, story.segmented, context, gazetteer())
    assert [d.value for d in found.dates] == [None, "2022-03-03"]
