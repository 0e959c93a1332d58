"""The event types with their roles, statuses and fields, as data for `/v1/types`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.extraction.values import (
    AMOUNT_KINDS,
    DATE_ROLES,
    EVENT_TYPES,
    KINDS,
    ROLES,
    STATUSES,
    AmountKind,
    DateRole,
    EventType,
    Kind,
    Role,
    Status,
)

_TYPES: dict[EventType, str] = {
    "meeting": "Two or more people, delegations or bodies come together to talk, in person or by phone or video.",
    "visit": "A person or delegation goes to, is received in, or tours a place or a host with a purpose.",
    "budget_commitment": "A government, body, company or person sets, pledges, approves, allocates, plans, is asked "
    "for or withdraws money, or a share of GDP, for a purpose.",
}
_ROLES: dict[Role, str] = {
    "participant": "Takes part in the meeting.",
    "host": "Convenes or receives.",
    "visitor": "Goes there.",
    "funder": "Whose money it is.",
    "recipient": "Who gets the money.",
    "requester": "Who asks for the money or urges it.",
}
_STATUSES: dict[Status, str] = {
    "occurred": "It happened; a commitment was made, approved or announced as decided.",
    "ongoing": "It is under way at the article's date.",
    "planned": "It is scheduled, announced or intended for later.",
    "proposed": "It is asked for, offered or considered, and not agreed.",
    "cancelled": "It was called off, refused, withdrawn or is said not to have happened; for money: cut or frozen.",
}
_FIELDS = {
    "mentions": "The words that name the happening.",
    "participants": "Who takes part, in which role.",
    "locations": "Where it takes place; for money: where it will be spent.",
    "dates": "When it takes place, or the period or deadline of the money.",
}
_MONEY_FIELDS = {
    "amounts": "The money, the share or the change.",
    "purpose": "What the money is for.",
}
UNITS = ("ISO 4217 code", "percent", "percent_of_gdp", "percent_of_budget", "factor")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RoleAnswer(_Answer):
    """A role that a participant can have in events of a type."""

    role: Role
    description: str


class StatusAnswer(_Answer):
    """A status that an event can have."""

    status: Status
    description: str


class FieldAnswer(_Answer):
    """A field that events of a type fill; the others are empty or null."""

    field: str
    description: str


class TypeAnswer(_Answer):
    """One event type."""

    type: EventType
    description: str
    roles: list[RoleAnswer]
    statuses: list[StatusAnswer]
    fields: list[FieldAnswer]


class TypesAnswer(_Answer):
    """All that an answer can say."""

    types: list[TypeAnswer]
    participant_kinds: list[Kind]
    date_roles: list[DateRole]
    amount_kinds: list[AmountKind]
    amount_units: list[str] = Field(description="Units of an amount; money has the code of its currency.")


def _fields(event_type: EventType) -> dict[str, str]:
    return _FIELDS | _MONEY_FIELDS if event_type == "budget_commitment" else _FIELDS


TYPES = TypesAnswer(
    types=[
        TypeAnswer(
            type=event_type,
            description=_TYPES[event_type],
            roles=[RoleAnswer(role=role, description=_ROLES[role]) for role in ROLES[event_type]],
            statuses=[StatusAnswer(status=status, description=_STATUSES[status]) for status in STATUSES],
            fields=[FieldAnswer(field=name, description=text) for name, text in _fields(event_type).items()],
        )
        for event_type in EVENT_TYPES
    ],
    participant_kinds=list(KINDS),
    date_roles=list(DATE_ROLES),
    amount_kinds=list(AMOUNT_KINDS),
    amount_units=list(UNITS),
)
