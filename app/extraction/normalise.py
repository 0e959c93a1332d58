"""Linked mentions to the contract's values: fullest names, dates, places and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from app.extraction import date_phrases, dates, money, names
from app.extraction.confidence import UNSCALED, Scale
from app.extraction.decode import Argument, Trigger
from app.extraction.places import ArticleCountries, Gazetteer
from app.extraction.segment import Segmented
from app.extraction.values import (
    AMOUNT_KINDS,
    DATE_ROLES,
    ROLES,
    STATUSES,
    Amount,
    Article,
    Event,
    EventDate,
    EventType,
    Location,
    Participant,
    Span,
    Status,
)


@dataclass(frozen=True, slots=True)
class LinkedEvent:
    """Triggers that name one happening, with their arguments; each participant is a tuple of mentions of it."""

    type: EventType
    triggers: tuple[Trigger, ...]
    statuses: tuple[float, ...]  # probabilities in the order of STATUSES
    participants: tuple[tuple[Argument, ...], ...]
    others: tuple[Argument, ...]  # locations, dates, amounts and purposes


@dataclass(frozen=True, slots=True)
class Context:
    """What the article as a whole says for the reading of its parts."""

    article: Article
    published: date | None
    countries: ArticleCountries
    events: Scale = UNSCALED  # of their confidences ...
    arguments: Scale = UNSCALED  # ... and of those of their parts


def event(linked: LinkedEvent, segmented: Segmented, context: Context, gazetteer: Gazetteer) -> Event:
    """One event in the contract's values."""
    status = STATUSES[max(range(len(STATUSES)), key=lambda i: linked.statuses[i])]
    places = [a for a in linked.others if a.group == "location"]
    in_text = [a for a in linked.others if a.first >= segmented.title_tokens]
    purposes = sorted((a for a in in_text if a.group == "purpose"), key=lambda a: -a.score)
    return Event(
        type=linked.type,
        status=status,
        confidence=context.events.confidence(max(t.score for t in linked.triggers)),
        mentions=tuple(_span(segmented, t.first, t.last) for t in linked.triggers),
        participants=_participants(linked.participants, linked.type, segmented, context, gazetteer),
        locations=_locations(places, segmented, context, gazetteer),
        dates=_dates([a for a in in_text if a.group == "date"], linked.type, status, segmented, context),
        amounts=_amounts([a for a in in_text if a.group == "amount"], segmented, context),
        purpose=_span(segmented, purposes[0].first, purposes[0].last) if purposes else None,
    )


def _span(segmented: Segmented, first: int, last: int) -> Span:
    return Span(segmented.surface(first, last), int(segmented.starts[first]), int(segmented.ends[last]))


def _spans(arguments: Sequence[Argument], segmented: Segmented) -> tuple[Span, ...]:
    """The distinct spans in the text, in order, without those that begin or end inside another; the title has none."""
    inside = sorted({(a.first, a.last) for a in arguments if a.first >= segmented.title_tokens}, key=_longest_first)
    kept: list[tuple[int, int]] = []
    for first, last in inside:
        if all(last < a or b < first for a, b in kept):
            kept.append((first, last))
    return tuple(_span(segmented, first, last) for first, last in sorted(kept))


def _longest_first(span: tuple[int, int]) -> tuple[int, int]:
    return span[0] - span[1], span[0]


_Slot = TypeVar("_Slot", bound=str)


def _best(arguments: Sequence[Argument], allowed: Sequence[_Slot]) -> _Slot:
    """The slot that the arguments fill most probably, all of them together."""
    return max(allowed, key=lambda name: sum(a.scores.get(name, 0.0) for a in arguments))


def _distinct(arguments: Sequence[Argument], allowed: Sequence[_Slot]) -> list[tuple[Argument, _Slot]]:
    """The arguments with the slots that they fill; the likeliest alone of those that are the same span and slot."""
    found: dict[tuple[int, int, _Slot], Argument] = {}
    for argument in arguments:
        slot = _best([argument], allowed)
        key = (argument.first, argument.last, slot)
        if key not in found or found[key].score < argument.score:
            found[key] = argument
    return [(argument, slot) for (_, _, slot), argument in found.items()]


def _participants(
    clusters: Sequence[tuple[Argument, ...]],
    kind: EventType,
    segmented: Segmented,
    context: Context,
    gazetteer: Gazetteer,
) -> tuple[Participant, ...]:
    """One participant for the mentions that come to the same name."""
    named: dict[str, list[Argument]] = {}
    for mentions in clusters:
        named.setdefault(_name(mentions, segmented, context), []).extend(mentions)
    return tuple(
        Participant(
            name=name,
            role=_best(mentions, ROLES[kind]),
            kind=names.kind_of(
                name,
                [segmented.surface(a.first, a.last) for a in mentions],
                gazetteer.is_country(name, cased=context.countries.cased) is not None,
            ),
            confidence=context.arguments.confidence(max(a.score for a in mentions)),
            mentions=_spans(mentions, segmented),
        )
        for name, mentions in named.items()
    )


def _name(mentions: Sequence[Argument], segmented: Segmented, context: Context) -> str:
    """The fullest name that the article has for what is mentioned."""
    text = context.article.text
    surfaces = list(dict.fromkeys(segmented.surface(a.first, a.last) for a in mentions))
    name = names.fullest(surfaces, (context.article.title or "", text))
    if names.is_proper(name):
        return name
    at = min((int(segmented.starts[a.first]) for a in mentions if a.first >= segmented.title_tokens), default=0)
    return names.introduced(name, at, text) or name


def _locations(
    arguments: Sequence[Argument], segmented: Segmented, context: Context, gazetteer: Gazetteer
) -> tuple[Location, ...]:
    """One location for the mentions whose words are the same or part of the longer ones."""
    groups: list[tuple[set[str], list[Argument]]] = []
    for argument, _ in _distinct(sorted(arguments, key=lambda a: a.first - a.last), ("location",)):
        said = set(names.words(segmented.surface(argument.first, argument.last)))
        home = next((group for longest, group in groups if said <= longest), None)
        if home is None:
            groups.append((said, [argument]))
        else:
            home.append(argument)
    found = []
    for _, group in groups:
        name = segmented.surface(group[0].first, group[0].last)
        at = next((int(segmented.starts[a.first]) for a in group if a.first >= segmented.title_tokens), None)
        country = gazetteer.country_of(name, context.article.text, context.countries, at=at)
        confidence = context.arguments.confidence(max(a.score for a in group))
        found.append(Location(name, country, confidence, _spans(group, segmented)))
    return tuple(sorted(found, key=lambda place: place.mentions[0].start if place.mentions else -1))


def _dates(
    arguments: Sequence[Argument], kind: EventType, status: Status, segmented: Segmented, context: Context
) -> tuple[EventDate, ...]:
    text = context.article.text
    found: dict[tuple[str, str], EventDate] = {}
    for argument, role in _distinct(arguments, DATE_ROLES):
        start, end = date_phrases.widen(text, int(segmented.starts[argument.first]), int(segmented.ends[argument.last]))
        phrase = text[start:end]
        value = dates.resolve(phrase, context.published, status, context=text, offset=start, role=role, event_type=kind)
        key = (role, value or phrase.lower())
        this = EventDate(phrase, start, end, value, role, context.arguments.confidence(argument.score))
        if key not in found or found[key].confidence < this.confidence:
            found[key] = this
    return tuple(sorted(found.values(), key=lambda d: d.start))


def _amounts(arguments: Sequence[Argument], segmented: Segmented, context: Context) -> tuple[Amount, ...]:
    text = context.article.text
    found: dict[tuple[float, str], Amount] = {}
    for argument, kind in _distinct(arguments, AMOUNT_KINDS):
        start, end = money.widen(text, int(segmented.starts[argument.first]), int(segmented.ends[argument.last]))
        parsed = money.parse_amount(
            text[start:end],
            context=text,
            start=start,
            end=end,
            countries=context.countries.near(start),
            year=context.published.year if context.published else None,
        )
        if parsed is None:
            continue
        confidence = context.arguments.confidence(argument.score)
        this = Amount(text[start:end], start, end, parsed.value, parsed.unit, kind, confidence)
        key = (parsed.value, parsed.unit)
        if key not in found or found[key].confidence < this.confidence:
            found[key] = this
    return tuple(sorted(found.values(), key=lambda a: a.start))
