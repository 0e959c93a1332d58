"""The contract's values: what a caller sends, validated, and what it gets, as documented and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import orjson
from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.extraction.values import (
    AmountKind,
    Article,
    DateRole,
    Event,
    EventType,
    Extraction,
    Kind,
    PublishedFrom,
    Role,
    Span,
    Status,
)
from app.serving.protocols import ModelInfo
from app.serving.service import Query

LONGEST_TEXT = 200_000
LONGEST_TITLE = 10_000
LONGEST_URL = 8_192

_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d))?",
    re.ASCII,
)


def _not_blank(text: str) -> str:
    if text.isspace():
        raise PydanticCustomError("blank", "Text must not be blank")
    return text


def _calendar_date(value: object) -> date | None:
    """The day as written, of a date or of an RFC 3339 date-time in its own offset."""
    if value is None:
        return None
    try:
        if isinstance(value, str) and (match := _DATE_TIME.fullmatch(value)):
            return date.fromisoformat(match[1])
    except ValueError:  # such as 30 February
        pass
    raise PydanticCustomError("published_at", "Input should be YYYY-MM-DD or an RFC 3339 date-time with an offset")


def _unique(types: list[EventType]) -> list[EventType]:
    return list(dict.fromkeys(types))


# ------------------------------------------------------------------------------------------------------ requests


class ArticleRequest(BaseModel):
    """An article and what is wanted of it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    text: Annotated[
        str,
        Field(
            min_length=1,
            max_length=LONGEST_TEXT,
            description="The article's text, not blank. All offsets of the answer count its Unicode code points.",
            # Not beside maxLength: tools that make up texts multiply the two out, and give up.
            json_schema_extra={"allOf": [{"pattern": r"\S"}]},
        ),
        AfterValidator(_not_blank),
    ]
    title: Annotated[str, Field(max_length=LONGEST_TITLE)] | None = Field(
        None, description="The headline, if it is not part of the text."
    )
    published_at: Annotated[
        date | None,
        BeforeValidator(_calendar_date),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "format": "date"},
                    {"type": "string", "format": "date-time"},
                    {"type": "null"},
                ]
            }
        ),
    ] = Field(
        None,
        description="When the article was published, as a date or an RFC 3339 date-time, of which the date in its own "
        "offset counts. Relative dates such as “Tuesday” are read against it.",
    )
    source_url: Annotated[str, Field(max_length=LONGEST_URL, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/]")] | None = (
        Field(None, description="Where the article stands. A date in it serves when `published_at` is missing.")
    )
    types: Annotated[list[EventType], AfterValidator(_unique)] | None = Field(
        None, description="The event types wanted; null for all."
    )
    min_confidence: Annotated[float, Ge(0), Le(1)] | None = Field(
        None, description="Events below it are left out; null for the model's own threshold."
    )

    def query(self) -> Query:
        """As the serving side wants it."""
        return Query(
            Article(self.text, self.title, self.published_at, self.source_url),
            None if self.types is None else frozenset(self.types),
            self.min_confidence,
        )


# ----------------------------------------------------------------------------------------------------- responses

Confidence = Annotated[float, Ge(0), Le(1), Field(description="The model's probability, to four digits.")]
Offset = Annotated[int, Ge(0)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class SpanAnswer(_Answer):
    """A stretch of the text: `text[start:end]` of the article is `text`."""

    text: str = Field(description="The stretch, as it stands in the article.")
    start: Offset = Field(description="Code point at which it begins.")
    end: Offset = Field(description="Code point before which it ends.")


class ParticipantAnswer(_Answer):
    """Who takes part in an event, once each."""

    name: str = Field(description="The fullest name that the article gives.")
    role: Role = Field(description="What it does in the event; each type has its own roles.")
    kind: Kind
    confidence: Confidence
    mentions: list[SpanAnswer] = Field(description="Where it is named; empty when that is in the title only.")


class LocationAnswer(_Answer):
    """Where an event takes place."""

    name: str = Field(description="The fullest name that the article gives.")
    country: str | None = Field(description="ISO 3166-1 alpha-2 code.")
    confidence: Confidence
    mentions: list[SpanAnswer]


class DateAnswer(SpanAnswer):
    """When an event takes place, or the period or deadline that money is for."""

    value: str | None = Field(
        description="YYYY, YYYY-MM, YYYY-MM-DD or start/end in those; null where nothing tells the year."
    )
    role: DateRole = Field(
        description="`when`: it takes place or is decided; `target`: the period or deadline of the goal."
    )
    confidence: Confidence


class AmountAnswer(SpanAnswer):
    """Money, a share or a change."""

    value: float = Field(description="As a plain number: 500000000 for “half a billion”.")
    unit: str = Field(description="ISO 4217 code, `percent`, `percent_of_gdp`, `percent_of_budget` or `factor`.")
    kind: AmountKind
    confidence: Confidence


class EventAnswer(_Answer):
    """One happening, with all that the article tells of it."""

    id: str = Field(description="Unique in the response, and the same for the same request.")
    type: EventType
    status: Status = Field(description="As of the article's date.")
    confidence: Confidence
    mentions: list[SpanAnswer] = Field(description="The words that name the happening.")
    participants: list[ParticipantAnswer]
    locations: list[LocationAnswer]
    dates: list[DateAnswer]
    amounts: list[AmountAnswer] = Field(description="Of a budget commitment; empty for other types.")
    purpose: SpanAnswer | None = Field(description="What the money of a budget commitment is for.")


class DocumentAnswer(_Answer):
    """What was found out about the article as a whole."""

    published_at: date | None = Field(description="The date that relative dates were read against.")
    published_from: PublishedFrom | None = Field(description="Where that date was found.")
    language: str = Field(description="ISO 639-1 code.")
    characters: int = Field(description="Code points of the text.")


class ModelAnswer(_Answer):
    """Which model answered."""

    name: str
    version: str


class ExtractionAnswer(_Answer):
    """The events of one article, in the order of their first mention."""

    events: list[EventAnswer]
    document: DocumentAnswer
    model: ModelAnswer


class FieldErrorAnswer(_Answer):
    """One bad field."""

    loc: list[str | int] = Field(description="The way to it, from `body` or `header`.")
    msg: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error, after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = Field(description="As in the header `X-Request-ID`.")
    errors: list[FieldErrorAnswer] = Field([], description="The bad fields of a 422.")


class FailedAnswer(_Answer):
    """An article that got no events; its neighbours are answered all the same."""

    error: Problem


class BatchAnswer(_Answer):
    """One result an article, in the order sent."""

    results: list[ExtractionAnswer | FailedAnswer]


class VersionAnswer(_Answer):
    """What is running."""

    version: str = Field(description="The service's version.")
    model: ModelAnswer | None = Field(description="Null until the model is loaded.")
    build: str = Field(description="Revision of the source.")
    weights_sha256: str | None = Field(
        description="Hash of the model's weights; of several files, that of their `sha256sum` listing. Null until the "
        "model is loaded."
    )


class HealthAnswer(_Answer):
    """A probe's good answer."""

    status: Literal["alive", "ready"]


# ------------------------------------------------------------------------------------------------------- to JSON


@dataclass(frozen=True, slots=True)
class Rendered:
    """An article's result as JSON, and how many events are in it."""

    json: bytes
    events: int


def render(extraction: Extraction, model: ModelInfo) -> Rendered:
    """The answer's bytes, the same for the same extraction."""
    document = extraction.document
    answer = {
        "events": [_event(event, f"e{number}") for number, event in enumerate(extraction.events, 1)],
        "document": {
            "published_at": document.published_at.isoformat() if document.published_at else None,
            "published_from": document.published_from,
            "language": document.language,
            "characters": document.characters,
        },
        "model": {"name": model.name, "version": model.version},
    }
    return Rendered(orjson.dumps(answer), len(extraction.events))


def _event(event: Event, event_id: str) -> Mapping[str, Any]:
    return {
        "id": event_id,
        "type": event.type,
        "status": event.status,
        "confidence": _rounded(event.confidence),
        "mentions": _spans(event.mentions),
        "participants": [
            {
                "name": who.name,
                "role": who.role,
                "kind": who.kind,
                "confidence": _rounded(who.confidence),
                "mentions": _spans(who.mentions),
            }
            for who in event.participants
        ],
        "locations": [
            {
                "name": where.name,
                "country": where.country,
                "confidence": _rounded(where.confidence),
                "mentions": _spans(where.mentions),
            }
            for where in event.locations
        ],
        "dates": [
            {
                "text": when.text,
                "start": when.start,
                "end": when.end,
                "value": when.value,
                "role": when.role,
                "confidence": _rounded(when.confidence),
            }
            for when in event.dates
        ],
        "amounts": [
            {
                "text": amount.text,
                "start": amount.start,
                "end": amount.end,
                "value": _plain(amount.value),
                "unit": amount.unit,
                "kind": amount.kind,
                "confidence": _rounded(amount.confidence),
            }
            for amount in event.amounts
        ],
        "purpose": _span(event.purpose) if event.purpose else None,
    }


def _span(span: Span) -> Mapping[str, Any]:
    return {"text": span.text, "start": span.start, "end": span.end}


def _spans(spans: tuple[Span, ...]) -> list[Mapping[str, Any]]:
    return [_span(span) for span in spans]


def _rounded(confidence: float) -> float:
    return round(float(confidence), 4)


def _plain(value: float) -> int | float:
    """A whole number without its ".0", as far as JSON numbers are exact."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
