"""Gold annotations to training targets on a document's tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.extraction.labels import ARGUMENT_LABELS, SLOTS, TRIGGER_LABELS
from app.extraction.names import is_proper
from app.extraction.segment import Segmented
from app.extraction.values import STATUSES

Ints = npt.NDArray[np.int64]
Gold = dict[str, Any]
TokenSpan = tuple[int, int]  # first and last token, both inclusive

IGNORE = -100
BLURRED = 1  # sentences to each side in which other occurrences are left out of the loss; further off they are none


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the heads should say about one document."""

    trigger_labels: Ints  # [tokens], IGNORE in the title
    spans: Ints  # [triggers, 2], last inclusive
    types: tuple[str, ...]  # by trigger
    statuses: Ints  # [triggers]
    events: tuple[frozenset[int], ...]  # by trigger: the events that it names
    argument_labels: Ints  # [triggers, tokens]
    names: tuple[tuple[TokenSpan, int], ...]  # mentions of participants and an index of who it is
    rivals: frozenset[tuple[int, int]]  # pairs of participants of one event: surely two


@dataclass(frozen=True, slots=True)
class _Filler:
    slot: tuple[str, str]
    spans: tuple[TokenSpan, ...]  # its occurrences


def build(document: Gold, segmented: Segmented) -> Targets:
    """Targets of one annotated article; raises ValueError where an annotation is not found in the text."""
    count = len(segmented.starts)
    triggers = _triggers(document, segmented)
    labels = np.zeros(count, np.int64)
    labels[: segmented.title_tokens] = IGNORE
    for (first, last), (kind, _, _) in triggers.items():
        labels[first : last + 1] = TRIGGER_LABELS.index(f"I-{kind}")
        labels[first] = TRIGGER_LABELS.index(f"B-{kind}")
    spans = list(triggers)
    arguments = np.zeros((len(spans), count), np.int64)
    people: list[tuple[TokenSpan, int]] = []
    rivals: set[tuple[int, int]] = set()
    identity: dict[str, int] = {}
    painted: dict[int, list[tuple[_Filler, list[TokenSpan]]]] = {k: [] for k in range(len(spans))}
    for number, event in enumerate(document["events"]):
        mentions = [k for k, span in enumerate(spans) if number in triggers[span][2]]
        fillers = _fillers(event, segmented)
        for filler in fillers:
            for k in mentions:
                painted[k].append((filler, [spans[m] for m in mentions]))
        members = [f for f, p in zip(fillers, event["participants"], strict=False)]
        ids = [identity.setdefault(p["name"].lower(), len(identity)) for p in event["participants"]]
        rivals.update((a, b) for a in ids for b in ids if a != b)
        people.extend((s, i) for f, i in zip(members, ids, strict=True) for s in f.spans)
    for k, fillers_of in painted.items():
        _paint(arguments[k], spans[k], fillers_of, segmented)
    return Targets(
        labels,
        np.array(spans, np.int64).reshape(-1, 2),
        tuple(triggers[s][0] for s in spans),
        np.array([STATUSES.index(triggers[s][1]) for s in spans], np.int64),
        tuple(frozenset(triggers[s][2]) for s in spans),
        arguments,
        tuple(dict.fromkeys(people)),
        frozenset(rivals),
    )


def _triggers(document: Gold, segmented: Segmented) -> dict[TokenSpan, tuple[str, str, set[int]]]:
    found: dict[TokenSpan, tuple[str, str, set[int]]] = {}
    for number, event in enumerate(document["events"]):
        for mention in event["mentions"]:
            if "start" in mention:
                start, end = mention["start"], mention["end"]
            else:
                start = document["text"].index(mention["quote"]) + mention["quote"].index(mention["trigger"])
                end = start + len(mention["trigger"])
            span = _tokens(segmented, start, end, title=False)
            if span is None:
                continue
            kept = found.setdefault(span, (event["type"], event["status"], set()))
            if kept[0] == event["type"]:
                kept[2].add(number)
    return dict(sorted(found.items()))


def _fillers(event: Gold, segmented: Segmented) -> list[_Filler]:
    phrases = [
        *((("date", item["role"]), item["text"]) for item in event["dates"]),
        *((("amount", item["kind"]), item["text"]) for item in event["amounts"]),
        *((("purpose", "purpose"), purpose) for purpose in [event["purpose"]] if purpose),
    ]
    fillers = [
        *(_named(("participant", item["role"]), item, segmented) for item in event["participants"]),
        *(_named(("location", "location"), item, segmented) for item in event["locations"]),
        *(_Filler(slot, _occurrences(segmented, phrase)) for slot, phrase in phrases),
    ]
    return [f for f in fillers if f.slot in SLOTS]


def _named(slot: tuple[str, str], item: Gold, segmented: Segmented) -> _Filler:
    """The occurrences of a name and its aliases, without the titles that stand right before a name."""
    proper: list[TokenSpan] = []
    descriptions: list[TokenSpan] = []
    for alias in sorted({item["name"], *item["aliases"]}, key=lambda a: (a != item["name"], -len(a))):
        home = proper if is_proper(alias) or alias == item["name"] else descriptions
        for span in _occurrences(segmented, alias):
            overlaps = any(t[0] <= span[1] and span[0] <= t[1] for t in proper + descriptions)
            before_name = home is descriptions and any(t[0] == span[1] + 1 for t in proper)
            if not overlaps and not before_name:
                home.append(span)
    return _Filler(slot, (*proper, *descriptions))


def _paint(row: Ints, trigger: TokenSpan, fillers: list[tuple[_Filler, list[TokenSpan]]], segmented: Segmented) -> None:
    """Labels what fills a slot in the trigger's sentence or stands closest to it of all the event's triggers.

    Other occurrences in the title and in the sentences around are left out of the loss; those further off fill nothing.
    """
    chosen: list[tuple[TokenSpan, tuple[str, str]]] = []
    for filler, mentions in fillers:
        best = min(
            ((_distance(m, s), m, s) for m in mentions for s in filler.spans if s[0] >= segmented.title_tokens),
            default=None,
        )
        here = segmented.sentences[trigger[0]]
        for span in filler.spans:
            near = segmented.sentences[span[0]] == here and span[0] >= segmented.title_tokens
            closest = best is not None and best[1] == trigger and best[2] == span
            if near or closest:
                chosen.append((span, filler.slot))
            elif abs(segmented.sentences[span[0]] - here) <= BLURRED or span[0] < segmented.title_tokens:
                _ignore(row, span)
    for (first, last), (group, name) in chosen:
        if (row[first : last + 1] > 0).any():
            continue
        row[first : last + 1] = ARGUMENT_LABELS.index(f"I-{group}-{name}")
        row[first] = ARGUMENT_LABELS.index(f"B-{group}-{name}")


def _ignore(row: Ints, span: TokenSpan) -> None:
    part = row[span[0] : span[1] + 1]
    part[part == 0] = IGNORE


def _distance(a: TokenSpan, b: TokenSpan) -> int:
    return max(a[0] - b[1], b[0] - a[1], 0)


def _occurrences(segmented: Segmented, phrase: str) -> tuple[TokenSpan, ...]:
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, phrase.split())) + r"(?!\w)"
    for flags in (0, re.IGNORECASE):
        found = []
        for source, title in ((segmented.article.title or "", True), (segmented.article.text, False)):
            for match in re.finditer(pattern, source, flags):
                span = _tokens(segmented, *match.span(), title=title)
                if span is not None:
                    found.append(span)
        if found:
            return tuple(found)
    return ()


def _tokens(segmented: Segmented, start: int, end: int, title: bool) -> TokenSpan | None:
    """The tokens that a stretch of characters touches; None when there is none (cut off, or no token at all)."""
    low, high = (0, segmented.title_tokens) if title else (segmented.title_tokens, len(segmented.starts))
    first = low + int(np.searchsorted(segmented.ends[low:high], start, side="right"))
    last = low + int(np.searchsorted(segmented.starts[low:high], end, side="left")) - 1
    return (first, last) if first <= last else None
