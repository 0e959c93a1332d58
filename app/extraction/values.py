"""The frozen values that the stages of the pipeline hand to one another, and the ontology's closed sets.

Every offset is a Unicode code point into ``Article.text`` exactly as it was sent, ``end`` exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

EventType = Literal["meeting", "visit", "budget_commitment"]
Status = Literal["occurred", "ongoing", "planned", "proposed", "cancelled"]
Role = Literal["participant", "host", "visitor", "funder", "recipient", "requester"]
Kind = Literal["person", "organization", "country", "group"]
DateRole = Literal["when", "target"]
AmountKind = Literal["total", "increase", "decrease", "target"]
PublishedFrom = Literal["request", "source_url", "text"]

EVENT_TYPES: tuple[EventType, ...] = ("meeting", "visit", "budget_commitment")
STATUSES: tuple[Status, ...] = ("occurred", "ongoing", "planned", "proposed", "cancelled")
ROLES: dict[EventType, tuple[Role, ...]] = {
    "meeting": ("participant", "host"),
    "visit": ("visitor", "host"),
    "budget_commitment": ("funder", "recipient", "requester"),
}
KINDS: tuple[Kind, ...] = ("person", "organization", "country", "group")
DATE_ROLES: tuple[DateRole, ...] = ("when", "target")
AMOUNT_KINDS: tuple[AmountKind, ...] = ("total", "increase", "decrease", "target")


@dataclass(frozen=True, slots=True)
class Article:
    """What a caller sends: the text to read and what is known about it."""

    text: str
    title: str | None = None
    published_at: date | None = None
    source_url: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the article: ``article.text[start:end] == text``."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Participant:
    """Who takes part; ``mentions`` is empty when the name stands in the title alone."""

    name: str
    role: Role
    kind: Kind
    confidence: float
    mentions: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """Where it takes place; ``country`` is ISO 3166-1 alpha-2."""

    name: str
    country: str | None
    confidence: float
    mentions: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class EventDate:
    """``value`` is YYYY, YYYY-MM, YYYY-MM-DD or start/end in those; None where nothing anchors it."""

    text: str
    start: int
    end: int
    value: str | None
    role: DateRole
    confidence: float


@dataclass(frozen=True, slots=True)
class Amount:
    """``unit`` is an ISO 4217 code, percent, percent_of_gdp, percent_of_budget or factor."""

    text: str
    start: int
    end: int
    value: float
    unit: str
    kind: AmountKind
    confidence: float


@dataclass(frozen=True, slots=True)
class Event:
    """One happening of one type, with all its mentions (triggers) in the article."""

    type: EventType
    status: Status
    confidence: float
    mentions: tuple[Span, ...]
    participants: tuple[Participant, ...]
    locations: tuple[Location, ...]
    dates: tuple[EventDate, ...]
    amounts: tuple[Amount, ...]
    purpose: Span | None


@dataclass(frozen=True, slots=True)
class Document:
    """What was found out about the article as a whole."""

    published_at: date | None
    published_from: PublishedFrom | None
    language: str
    characters: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """The answer for one article; events stand in the order of their first mention."""

    events: tuple[Event, ...]
    document: Document
