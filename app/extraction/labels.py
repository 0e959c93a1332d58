"""The label sets of the model's taggers, derived from the ontology: BIO over trigger types and over argument slots."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.extraction.values import AMOUNT_KINDS, DATE_ROLES, EVENT_TYPES, ROLES, EventType

SLOT_GROUPS = ("participant", "location", "date", "amount", "purpose")

_PARTICIPANTS = tuple(dict.fromkeys(role for roles in ROLES.values() for role in roles))
SLOTS: tuple[tuple[str, str], ...] = (
    *(("participant", role) for role in _PARTICIPANTS),
    ("location", "location"),
    *(("date", role) for role in DATE_ROLES),
    *(("amount", kind) for kind in AMOUNT_KINDS),
    ("purpose", "purpose"),
)
"""(group, name) of every slot that an argument can fill."""

TRIGGER_LABELS = ("O", *(f"{bio}-{name}" for bio in "BI" for name in EVENT_TYPES))
ARGUMENT_LABELS = ("O", *(f"{bio}-{group}-{name}" for bio in "BI" for group, name in SLOTS))


def slot_allowed(event_type: EventType, group: str, name: str) -> bool:
    """True if an event of this type can have the slot."""
    if group == "participant":
        return name in ROLES[event_type]
    if group in ("amount", "purpose") or name == "target":
        return event_type == "budget_commitment"
    return True


def disallowed() -> npt.NDArray[np.bool_]:
    """True where an event type cannot have an argument label, [types, labels]."""
    slots = [[not slot_allowed(kind, group, name) for group, name in SLOTS] for kind in EVENT_TYPES]
    return np.array([[False, *row, *row] for row in slots])


def group_probabilities(labels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Label probabilities [..., labels] to those of the slot groups, B and I together, [..., groups]."""
    slots = labels[..., 1 : 1 + len(SLOTS)] + labels[..., 1 + len(SLOTS) :]
    columns = [[i for i, (group, _) in enumerate(SLOTS) if group == wanted] for wanted in SLOT_GROUPS]
    return np.stack([slots[..., c].sum(axis=-1) for c in columns], axis=-1)
