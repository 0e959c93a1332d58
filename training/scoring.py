"""Scores predicted events against annotated articles and says at which stage each error arose.

A predicted event can match an annotated one of its type if a mention of the one overlaps a mention of the other, or if
both have a mention in one sentence and share a participant or an amount. The matching is one to one and the best there
is; an event that stays alone is wrong with all that it holds. Numbers are micro sums over the articles.

Errors are finer than the rows: they also tell apart what the rows count alike (a wrong role, a wrong value, a wrong
name), and they name what the rows forgive (a participant known by an alias alone, the kind of an amount). Fields are
compared only inside matched events: what an unmatched event holds is lost by its trigger, type or linking error.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from app.extraction.values import EVENT_TYPES

Json = Mapping[str, Any]
Offsets = tuple[int, int]
Stage = Literal[
    "trigger missed",
    "trigger false",
    "wrong type",
    "events merged wrongly",
    "events split wrongly",
    "wrong status",
    "argument missed",
    "argument false",
    "wrong role",
    "wrong value",
    "wrong name",
]
Field = Literal["mention", "event", "status", "participant", "location", "country", "date", "amount", "purpose"]

STAGES: tuple[Stage, ...] = get_args(Stage)
ROWS = (
    "event",
    *EVENT_TYPES,
    "mention",
    "participant",
    "participant+role",
    "location",
    "country",
    "date",
    "date+role",
    "amount",
    "status",
    "purpose",
)
COMPOSITE = ("event", "participant+role", "location", "date", "amount", "status")

_STOP_WORDS = frozenset("the a an of for to in on and or its their his her".split())
# Words that may stand in one form of a name and not in the other.
_TITLE_WORDS = frozenset(
    """acting affairs ambassador chancellor chief col defence defense deputy dr foreign former gen general king lady
    lord lt minister mr mrs ms president prime prince princess queen rep secretary sen senator sir state uk us vice
    """.split()
)
_MORE_NAMES = 3  # first names and the like that one of two names with the same last word may have
_POSSESSIVE = re.compile(r"['’](?:s\b|$)")
_PUNCTUATION = re.compile(r"[^\w\s&]")
_SENTENCE_END = re.compile(r"[.!?][\"”'’)]*\s+|\n+")
_SAME_EVENT_BONUS = 1e-3  # among equally good pairings of mentions, one inside matched events; far below 1 in sum


# ---- what is compared


@dataclass(frozen=True, slots=True)
class Named:
    """A participant (with a role) or a location (with a country)."""

    name: str
    names: tuple[str, ...]  # all that the article calls it, the name included
    role: str | None
    country: str | None
    spans: tuple[Offsets, ...]
    confidence: float | None

    def describe(self) -> str:
        """In words, for people."""
        return " ".join(filter(None, (self.role, self.name, self.country and f"({self.country})")))


@dataclass(frozen=True, slots=True)
class Dated:
    """A date; without a value it claims nothing and is not counted."""

    text: str
    value: str | None
    role: str | None
    spans: tuple[Offsets, ...]
    confidence: float | None

    def describe(self) -> str:
        """In words, for people."""
        return f"{self.role} {self.value or 'no value'} “{self.text}”"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount."""

    text: str
    value: float | None
    unit: str | None
    kind: str | None
    spans: tuple[Offsets, ...]
    confidence: float | None

    def describe(self) -> str:
        """In words, for people."""
        return f"{self.kind} {self.value} {self.unit} “{self.text}”"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, annotated or predicted, with the offsets of its parts in the text."""

    type: str
    status: str | None
    confidence: float | None
    mentions: tuple[Offsets, ...]
    participants: tuple[Named, ...]
    locations: tuple[Named, ...]
    dates: tuple[Dated, ...]
    amounts: tuple[Money, ...]
    purpose: str | None
    purpose_spans: tuple[Offsets, ...]


def read_event(event: Json, text: str) -> Happening:
    """Reads an event of either form: annotated (quotes, aliases) or predicted (offsets, mentions).

    Raises ValueError where an annotated mention is not found in the text.
    """
    purpose = event.get("purpose")
    phrase = purpose.get("text") if isinstance(purpose, Mapping) else purpose
    return Happening(
        type=event["type"],
        status=event.get("status"),
        confidence=event.get("confidence"),
        mentions=tuple(mention_offsets(m, text) for m in event.get("mentions") or ()),
        participants=tuple(_read_named(p, text) for p in event.get("participants") or ()),
        locations=tuple(_read_named(p, text) for p in event.get("locations") or ()),
        dates=tuple(
            Dated(d.get("text", ""), d.get("value") or None, d.get("role"), _spans(d, text), d.get("confidence"))
            for d in event.get("dates") or ()
        ),
        amounts=tuple(
            Money(a.get("text", ""), a.get("value"), a.get("unit"), a.get("kind"), _spans(a, text), a.get("confidence"))
            for a in event.get("amounts") or ()
        ),
        purpose=phrase or None,
        purpose_spans=_spans(purpose if isinstance(purpose, Mapping) else {"text": purpose}, text) if purpose else (),
    )


def mention_offsets(mention: Json, text: str) -> Offsets:
    """Where a mention stands: given as start and end, or as a trigger in a quote. Raises ValueError if it does not."""
    if "start" in mention:
        return mention["start"], mention["end"]
    start = text.index(mention["quote"]) + mention["quote"].index(mention["trigger"])
    return start, start + len(mention["trigger"])


def occurrences(phrase: str, text: str) -> tuple[Offsets, ...]:
    """Where a phrase stands in a text as whole words, with any white space; in another case only if not in its own."""
    words = phrase.split()
    if not words:
        return ()
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)"
    for flags in (0, re.IGNORECASE):
        found = tuple(m.span() for m in re.finditer(pattern, text, flags))
        if found:
            return found
    return ()


def _read_named(item: Json, text: str) -> Named:
    mentions = item.get("mentions")
    names = (item["name"], *(item.get("aliases") or ()), *(m["text"] for m in mentions or () if "text" in m))
    if mentions is None:
        spans = tuple(sorted({s for n in names for s in occurrences(n, text)}))
    else:
        spans = tuple((m["start"], m["end"]) for m in mentions if "start" in m)
    return Named(item["name"], names, item.get("role"), item.get("country"), spans, item.get("confidence"))


def _spans(item: Json, text: str) -> tuple[Offsets, ...]:
    return ((item["start"], item["end"]),) if "start" in item else occurrences(item.get("text") or "", text)


# ---- what is found out


@dataclass(frozen=True, slots=True)
class Row:
    """How many of the predicted and of the annotated things are right; rates are from 0 to 1, 0 where undefined."""

    name: str
    right: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True, slots=True)
class Linking:
    """How well mentions that were found are gathered into events, whatever else was missed.

    Pairs are pairs of such mentions of one type in one article; right are those that belong together on both sides.
    B-cubed (Bagga and Baldwin 1998) sums, over the mentions, the share of its event that belongs there.
    """

    mentions: int
    pairs: Row
    b_cubed_precision_sum: float
    b_cubed_recall_sum: float
    merged: int  # gold events that were put into another one's
    split: int  # predicted events that are a piece of another one's

    @property
    def b_cubed_precision(self) -> float:
        return self.b_cubed_precision_sum / self.mentions if self.mentions else 0.0

    @property
    def b_cubed_recall(self) -> float:
        return self.b_cubed_recall_sum / self.mentions if self.mentions else 0.0

    @property
    def b_cubed_f1(self) -> float:
        precision, recall = self.b_cubed_precision, self.b_cubed_recall
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True, slots=True)
class Error:
    """One error: its stage, and the places in the two lists of events (and in their fields) that it concerns."""

    article: str
    stage: Stage
    field: Field
    event: int | None  # index of the gold event, None where there is none
    predicted_event: int | None
    item: int | None  # index in the gold event's field
    predicted_item: int | None
    expected: str | None
    got: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """A field's value that is right, by the indices of the events and of the values in them."""

    event: int
    item: int
    predicted_event: int
    predicted_item: int


@dataclass(frozen=True, slots=True)
class ArticleScore:
    """All about one article."""

    id: str
    gold: tuple[Happening, ...]
    predicted: tuple[Happening, ...]
    rows: tuple[Row, ...]  # in the order of ROWS
    events: tuple[tuple[int, int], ...]  # matched: (gold, predicted)
    matches: Mapping[str, tuple[Match, ...]]  # by row, for the rows that compare fields one to one
    linking: Linking
    errors: tuple[Error, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The sums over all articles, and the articles."""

    rows: tuple[Row, ...]  # in the order of ROWS
    linking: Linking
    articles: tuple[ArticleScore, ...]

    def row(self, name: str) -> Row:
        """The row of that name; raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def composite(self) -> float:
        """The mean F1 of the COMPOSITE rows in percent, each and the mean rounded to one decimal."""
        return round(sum(round(100 * self.row(name).f1, 1) for name in COMPOSITE) / len(COMPOSITE), 1)

    @property
    def errors(self) -> tuple[Error, ...]:
        return tuple(error for article in self.articles for error in article.errors)

    @property
    def stages(self) -> dict[Stage, int]:
        """The number of errors of each stage."""
        counts = Counter(error.stage for error in self.errors)
        return {stage: counts[stage] for stage in STAGES}

    @property
    def quiet(self) -> tuple[int, int]:
        """(articles without gold events for which none is predicted, articles without gold events)"""
        empty = [article for article in self.articles if not article.gold]
        return sum(not article.predicted for article in empty), len(empty)


def score(gold: Mapping[str, Json], predictions: Mapping[str, Sequence[Json]]) -> Table:
    """Scores predictions (events by article id) against annotated articles (by id); an absent article has no events.

    Raises ValueError where an annotation is not found in its article.
    """
    articles = tuple(_score_article(i, document, predictions.get(i, ())) for i, document in gold.items())
    rows = tuple(_sum_rows(name, [a.rows[k] for a in articles]) for k, name in enumerate(ROWS))
    parts = [a.linking for a in articles]
    linking = Linking(
        mentions=sum(p.mentions for p in parts),
        pairs=_sum_rows("pairs", [p.pairs for p in parts]),
        b_cubed_precision_sum=sum(p.b_cubed_precision_sum for p in parts),
        b_cubed_recall_sum=sum(p.b_cubed_recall_sum for p in parts),
        merged=sum(p.merged for p in parts),
        split=sum(p.split for p in parts),
    )
    return Table(rows, linking, articles)


def _sum_rows(name: str, rows: Sequence[Row]) -> Row:
    return Row(name, sum(r.right for r in rows), sum(r.predicted for r in rows), sum(r.gold for r in rows))


# ---- when two things are the same


@lru_cache(maxsize=65536)
def content_words(phrase: str) -> tuple[str, ...]:
    """The lower-cased words of a phrase without possessives, punctuation, articles and the like."""
    plain = _POSSESSIVE.sub("", phrase.strip().lower())
    return tuple(w for w in _PUNCTUATION.sub("", plain.replace("-", " ")).split() if w not in _STOP_WORDS)


@lru_cache(maxsize=65536)
def same_name(one: str, other: str) -> bool:
    """True if two names can name the same: equal, or one holds the other and adds titles or a few first names."""
    short, long = sorted((content_words(one), content_words(other)), key=len)
    if not short:
        return False
    if short == long:
        return True
    if not set(short) <= set(long):
        return False
    extra = [word for word in long if word not in short]
    if all(word in _TITLE_WORDS for word in extra):
        return True
    return short[-1] == long[-1] and short[-1] not in _TITLE_WORDS and len(extra) <= _MORE_NAMES


def _named_alike(gold: Named, predicted: Named) -> bool:
    return any(same_name(g, p) for g in gold.names for p in predicted.names)


def _same_amount(gold: Money, predicted: Money) -> bool:
    if gold.unit != predicted.unit or predicted.value is None or gold.value is None:
        return False
    return abs(gold.value - predicted.value) <= 0.01 * max(abs(gold.value), 1e-9)


def _overlap(one: Offsets, other: Offsets) -> bool:
    return one[0] < other[1] and other[0] < one[1]


Place = TypeVar("Place", Named, Dated, Money)


def _in_one_place(gold: Place, predicted: Place) -> bool:
    return any(_overlap(g, p) for g in gold.spans for p in predicted.spans)


Item = TypeVar("Item")
Same = Callable[[Item, Item], bool]


def _pair(
    gold: Sequence[Item], predicted: Sequence[Item], weight: Callable[[Item, Item], float]
) -> list[tuple[int, int]]:
    """The one-to-one pairing of greatest weight, as indices; pairs of weight 0 are left out."""
    if not gold or not predicted:
        return []
    weights = np.array([[float(weight(g, p)) for p in predicted] for g in gold])
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if weights[i, j] > 0]


# Rows that compare the values of one field: name, field, and when two values are the same.
_FIELD_ROWS: tuple[tuple[str, str, Same[Any]], ...] = (
    ("participant", "participants", _named_alike),
    ("participant+role", "participants", lambda g, p: g.role == p.role and _named_alike(g, p)),
    ("location", "locations", _named_alike),
    ("date", "dates", lambda g, p: g.value == p.value),
    ("date+role", "dates", lambda g, p: g.value == p.value and g.role == p.role),
    ("amount", "amounts", _same_amount),
)


def _counted(event: Happening, field: str) -> list[tuple[int, Any]]:
    """The values of a field that are counted, with their indices."""
    return [(k, v) for k, v in enumerate(getattr(event, field)) if not isinstance(v, Dated) or v.value]


# ---- one article


def _score_article(article: str, document: Json, predictions: Sequence[Json]) -> ArticleScore:
    text = document["text"]
    gold = tuple(read_event(e, text) for e in document["events"])
    predicted = tuple(read_event(e, text) for e in predictions)
    events = _match_events(text, gold, predicted)
    counts: dict[str, tuple[int, int, int]] = {"event": (len(events), len(predicted), len(gold))}
    for kind in EVENT_TYPES:
        counts[kind] = (
            sum(gold[g].type == kind for g, _ in events),
            sum(e.type == kind for e in predicted),
            sum(e.type == kind for e in gold),
        )
    matches: dict[str, tuple[Match, ...]] = {}
    for name, field, same in _FIELD_ROWS:
        matches[name] = tuple(_match_field(gold, predicted, events, field, same))
        sides = [sum(len(_counted(e, field)) for e in side) for side in (predicted, gold)]
        counts[name] = (len(matches[name]), sides[0], sides[1])
    gold_countries, predicted_countries = (
        [{x.country for x in e.locations} - {None, ""} for e in s] for s in (gold, predicted)
    )
    counts["country"] = (
        sum(len(gold_countries[g] & predicted_countries[p]) for g, p in events),
        sum(map(len, predicted_countries)),
        sum(map(len, gold_countries)),
    )
    right_status = sum(gold[g].status == predicted[p].status for g, p in events)
    counts["status"] = (right_status, len(predicted), len(gold))
    counts["purpose"] = (
        sum(_purposes_agree(gold[g], predicted[p]) for g, p in events),
        sum(e.purpose is not None for e in predicted),
        sum(e.purpose is not None for e in gold),
    )
    mentions = _Mentions(article, text, gold, predicted, events)
    counts["mention"] = (len(mentions.paired), len(mentions.predicted), len(mentions.gold))
    errors = list(mentions.errors())
    for g, p in events:
        errors += _field_errors(article, g, gold[g], p, predicted[p])
    stages = Counter(e.stage for e in errors)
    return ArticleScore(
        id=article,
        gold=gold,
        predicted=predicted,
        rows=tuple(Row(name, *counts[name]) for name in ROWS),
        events=tuple(events),
        matches=matches,
        linking=mentions.linking(stages["events merged wrongly"], stages["events split wrongly"]),
        errors=tuple(errors),
    )


def _match_events(text: str, gold: Sequence[Happening], predicted: Sequence[Happening]) -> list[tuple[int, int]]:
    ends = [m.end() for m in _SENTENCE_END.finditer(text)]

    def sentences(event: Happening) -> set[int]:
        return {bisect_right(ends, start) for start, _ in event.mentions}

    def weight(g: Happening, p: Happening) -> float:
        if g.type != p.type:
            return 0.0
        touching = sum(any(_overlap(x, y) for y in p.mentions) for x in g.mentions)
        shared = len(_pair(g.participants, p.participants, _named_alike))
        money = len(_pair(g.amounts, p.amounts, _same_amount))
        if not touching and not ((shared or money) and sentences(g) & sentences(p)):
            return 0.0
        return (1.5 if touching else 1.0) + 0.1 * touching + 0.1 * shared + 0.1 * money

    return _pair(gold, predicted, weight)


def _match_field(
    gold: Sequence[Happening],
    predicted: Sequence[Happening],
    events: Sequence[tuple[int, int]],
    field: str,
    same: Same[Any],
) -> Iterator[Match]:
    for g, p in events:
        ours, theirs = _counted(gold[g], field), _counted(predicted[p], field)
        for i, j in _pair([v for _, v in ours], [v for _, v in theirs], same):
            yield Match(g, ours[i][0], p, theirs[j][0])


def _purposes_agree(gold: Happening, predicted: Happening) -> bool:
    return bool(set(content_words(gold.purpose or "")) & set(content_words(predicted.purpose or "")))


@dataclass(frozen=True, slots=True)
class _Mention:
    event: int
    item: int
    type: str
    span: Offsets


class _Mentions:
    """The mentions of one article on both sides, which of them are the same, and what went wrong with them."""

    def __init__(
        self,
        article: str,
        text: str,
        gold: Sequence[Happening],
        predicted: Sequence[Happening],
        events: Sequence[tuple[int, int]],
    ) -> None:
        self.article, self.text = article, text
        self.gold = _mentions(gold)
        self.predicted = _mentions(predicted)
        self.gold_of = {p: g for g, p in events}
        self.predicted_of = dict(events)
        matched = set(events)

        def weight(g: _Mention, p: _Mention) -> float:
            if g.type != p.type or not _overlap(g.span, p.span):
                return 0.0
            return 1 + _SAME_EVENT_BONUS * ((g.event, p.event) in matched)

        self.paired = [(self.gold[i], self.predicted[j]) for i, j in _pair(self.gold, self.predicted, weight)]

    def linking(self, merged: int, split: int) -> Linking:
        """Compares the events as sets of the paired mentions."""
        together = Counter((g.event, p.event) for g, p in self.paired)
        gold_sizes = Counter(g.event for g, _ in self.paired)
        predicted_sizes = Counter(p.event for _, p in self.paired)
        pairs = [
            (g.event == h.event, p.event == q.event)
            for (g, p), (h, q) in combinations(self.paired, 2)
            if g.type == h.type
        ]
        return Linking(
            mentions=len(self.paired),
            pairs=Row("pairs", sum(g and p for g, p in pairs), sum(p for _, p in pairs), sum(g for g, _ in pairs)),
            b_cubed_precision_sum=sum(n * n / predicted_sizes[p] for (_, p), n in together.items()),
            b_cubed_recall_sum=sum(n * n / gold_sizes[g] for (g, _), n in together.items()),
            merged=merged,
            split=split,
        )

    def errors(self) -> Iterator[Error]:
        """What was missed, invented, given the wrong type, merged or split."""
        gold = [g for g in self.gold if all(g is not x for x, _ in self.paired)]
        predicted = [p for p in self.predicted if all(p is not y for _, y in self.paired)]
        mistyped = [(gold[i], predicted[j]) for i, j in _pair(gold, predicted, lambda g, p: _overlap(g.span, p.span))]
        for g, p in mistyped:
            yield self._error("wrong type", "mention", g, p, g.type, p.type)
        gold = [g for g in gold if all(g is not x for x, _ in mistyped)]
        predicted = [p for p in predicted if all(p is not y for _, y in mistyped)]

        # Which events share mentions; a trigger of two events that was found for one of them merges the two.
        together = [*self.paired]
        for g in gold:
            shared = [p for x, p in self.paired if x.event != g.event and x.type == g.type and _overlap(g.span, p.span)]
            if shared:
                together.append((g, shared[0]))
            else:
                yield self._error("trigger missed", "mention", g, None, self._words(g), None)
        for p in predicted:
            shared = [g for g, y in self.paired if y.event != p.event and y.type == p.type and _overlap(g.span, p.span)]
            if shared:
                together.append((shared[0], p))
            else:
                yield self._error("trigger false", "mention", None, p, None, self._words(p))
        yield from self._wrongly_linked(together)

    def _wrongly_linked(self, together: Sequence[tuple[_Mention, _Mention]]) -> Iterator[Error]:
        by_predicted: dict[int, dict[int, tuple[_Mention, _Mention]]] = defaultdict(dict)
        by_gold: dict[int, dict[int, tuple[_Mention, _Mention]]] = defaultdict(dict)
        for g, p in together:
            by_predicted[p.event].setdefault(g.event, (g, p))
            by_gold[g.event].setdefault(p.event, (g, p))
        for event, parts in by_predicted.items():
            main = self.gold_of.get(event)
            for g, p in _others(parts, main):
                yield self._error("events merged wrongly", "event", g, p, self._words(g), self._words(p))
        for event, parts in by_gold.items():
            main = self.predicted_of.get(event)
            for g, p in _others(parts, main):
                yield self._error("events split wrongly", "event", g, p, self._words(g), self._words(p))

    def _words(self, mention: _Mention) -> str:
        return f"{mention.type}: {self.text[slice(*mention.span)]}"

    def _error(
        self, stage: Stage, field: Field, g: _Mention | None, p: _Mention | None, expected: str | None, got: str | None
    ) -> Error:
        return Error(
            self.article,
            stage,
            field,
            event=g.event if g else None,
            predicted_event=p.event if p else None,
            item=g.item if g else None,
            predicted_item=p.item if p else None,
            expected=expected,
            got=got,
        )


def _mentions(events: Sequence[Happening]) -> list[_Mention]:
    return [_Mention(k, i, e.type, span) for k, e in enumerate(events) for i, span in enumerate(e.mentions)]


def _others(parts: Mapping[int, tuple[_Mention, _Mention]], main: int | None) -> list[tuple[_Mention, _Mention]]:
    """All but the part that belongs there: the matched one, else the first."""
    keep = main if main in parts else next(iter(parts))
    return [pair for event, pair in parts.items() if event != keep]


# ---- errors inside matched events


def _field_errors(article: str, g: int, gold: Happening, p: int, predicted: Happening) -> Iterator[Error]:
    def error(
        stage: Stage,
        field: Field,
        expected: str | None,
        got: str | None,
        item: int | None = None,
        other: int | None = None,
    ) -> Error:
        return Error(article, stage, field, g, p, item, other, expected, got)

    if gold.status != predicted.status:
        yield error("wrong status", "status", gold.status, predicted.status)
    if not _purposes_agree(gold, predicted):  # also where neither has one
        if gold.purpose:
            yield error("argument missed", "purpose", gold.purpose, None)
        if predicted.purpose:
            yield error("argument false", "purpose", None, predicted.purpose)

    cascades: tuple[tuple[Field, Sequence[Any], Sequence[Any], _Tests], ...] = (
        ("participant", gold.participants, predicted.participants, _PARTICIPANT_TESTS),
        ("location", gold.locations, predicted.locations, _LOCATION_TESTS),
        ("date", gold.dates, predicted.dates, _DATE_TESTS),
        ("amount", gold.amounts, predicted.amounts, _AMOUNT_TESTS),
    )
    for field, ours, theirs, tests in cascades:
        for stage, i, j in _sift(ours, theirs, tests):
            one, other = (None if i is None else ours[i]), (None if j is None else theirs[j])
            expected, got = one and one.describe(), other and other.describe()
            if stage is None:
                if isinstance(one, Named) and isinstance(other, Named) and one.country != other.country:
                    yield error("wrong value", "country", one.country, other.country, i, j)
                if isinstance(one, Money) and isinstance(other, Money) and one.kind != other.kind:
                    yield error("wrong role", field, expected, got, i, j)
            elif not (stage == "argument false" and isinstance(other, Dated) and not other.value):
                yield error(stage, field, expected, got, i, j)
            if (
                stage in (None, "wrong role")
                and isinstance(one, Named)
                and isinstance(other, Named)
                and not same_name(one.name, other.name)
            ):
                yield error("wrong name", field, one.name, other.name, i, j)


# In order: values that pass a test are taken together, with what is still wrong then; None is nothing.
_Tests = Sequence[tuple[Stage | None, Same[Any]]]
_PARTICIPANT_TESTS: _Tests = (
    (None, lambda g, p: g.role == p.role and _named_alike(g, p)),
    ("wrong role", _named_alike),
    ("wrong name", _in_one_place),
)
_LOCATION_TESTS: _Tests = (
    (None, _named_alike),
    ("wrong name", _in_one_place),
)
_DATE_TESTS: _Tests = (
    (None, lambda g, p: g.value == p.value and g.role == p.role),
    ("wrong role", lambda g, p: g.value == p.value),
    ("wrong value", _in_one_place),
)
_AMOUNT_TESTS: _Tests = (
    (None, _same_amount),
    ("wrong value", _in_one_place),
)


def _sift(
    gold: Sequence[Any], predicted: Sequence[Any], tests: _Tests
) -> Iterator[tuple[Stage | None, int | None, int | None]]:
    """Pairs values by each test in turn; what no test pairs is missed or false."""
    left, right = list(range(len(gold))), list(range(len(predicted)))
    for stage, same in tests:
        pairs = [(left[i], right[j]) for i, j in _pair([gold[i] for i in left], [predicted[j] for j in right], same)]
        left = [i for i in left if all(i != x for x, _ in pairs)]
        right = [j for j in right if all(j != y for _, y in pairs)]
        yield from ((stage, i, j) for i, j in pairs)
    yield from (("argument missed", i, None) for i in left)
    yield from (("argument false", None, j) for j in right)
