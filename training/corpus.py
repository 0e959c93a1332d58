"""Reads annotated articles, checks them against the format of ``corpus/README.md``, and finds near-duplicates.

``python -m training.corpus FILE ...`` prints each fault and each near-duplicate between the files; exit code 1 if any.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from app.extraction.values import AMOUNT_KINDS, DATE_ROLES, EVENT_TYPES, ROLES, STATUSES, EventType

MAX_TRIGGER_WORDS = 4
SHINGLE = 8  # words
_COUNTRY = re.compile(r"[A-Z]{2}")
_UNIT = re.compile(r"[A-Z]{3}|percent|percent_of_gdp|percent_of_budget|factor")
_DAY = re.compile(r"\d{4}(-\d\d){0,2}")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Fault:
    """Where an annotation breaks a rule, and which; ``event`` is an index, None for the article itself."""

    article: str
    event: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.article}, " + ("" if self.event is None else f"event {self.event}: ") + self.what


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An article that shares word 8-grams with one of other articles; ``share`` is of its own, from 0 to 1."""

    article: str
    other: str
    share: float

    def __str__(self) -> str:
        return f"{self.article} shares {100 * self.share:.0f} % of its runs of words with {self.other}"


def read(path: Path) -> list[dict[str, Any]]:
    """The annotated articles of a JSONL file, in order. Raises ValueError naming a line that is no JSON object."""
    articles = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            article = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from error
        if not isinstance(article, dict):
            raise ValueError(f"{path.name}:{number}: not a JSON object")
        articles.append(article)
    return articles


def check(article: Mapping[str, Any]) -> list[Fault]:
    """All faults of one annotated article; empty if it keeps to the format."""
    name = str(article.get("id"))
    for key, kind in (("id", str), ("text", str), ("events", list)):
        if not isinstance(article.get(key), kind):
            return [Fault(name, None, f"{key} is missing or of a wrong type")]
    faults = []
    if article.get("published") is not None and not _is_day(article["published"]):
        faults.append(Fault(name, None, f"published {article['published']!r} is no date"))
    for index, event in enumerate(article["events"]):
        try:
            faults += [Fault(name, index, what) for what in _event_faults(event, article)]
        except (KeyError, TypeError, AttributeError) as error:
            faults.append(Fault(name, index, f"malformed: {error!r}"))
    return faults


def repeated_ids(articles: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids that more than one article has."""
    return [i for i, n in Counter(a["id"] for a in articles).items() if n > 1]


def near_duplicates(
    articles: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]], share: float = 0.1
) -> list[Duplicate]:
    """Articles of which more than ``share`` of the distinct word 8-grams stand in a single one of the others."""
    holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for other in others:
        for shingle in shingles(other["text"]):
            holders[shingle].append(other["id"])
    found = []
    for article in articles:
        own = shingles(article["text"])
        shared = Counter(holder for shingle in own for holder in holders.get(shingle, ()))
        found += [Duplicate(article["id"], i, n / len(own)) for i, n in shared.items() if n > share * len(own)]
    return found


def shingles(text: str) -> set[tuple[str, ...]]:
    """The distinct runs of eight lower-cased words; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    return {tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))} if words else set()


def _event_faults(event: Mapping[str, Any], article: Mapping[str, Any]) -> Iterator[str]:
    text: str = article["text"]
    full = _plain(f"{article.get('title') or ''}\n{text}")

    def absent(what: str, *phrases: str) -> Iterator[str]:
        for phrase in phrases:
            if not phrase or _plain(phrase) not in full:
                yield f"{what} not in the article: {phrase!r}"

    if event.get("type") not in EVENT_TYPES:
        yield f"type {event.get('type')!r}"
        return
    kind = cast(EventType, event["type"])
    if event.get("status") not in STATUSES:
        yield f"status {event.get('status')!r}"
    if not event.get("mentions"):
        yield "no mentions"
    for mention in event.get("mentions") or ():
        yield from _mention_faults(mention, text)
    for participant in event.get("participants") or ():
        if participant.get("role") not in ROLES[kind]:
            yield f"role {participant.get('role')!r} of {participant['name']!r}"
        yield from absent("participant", participant["name"], *participant.get("aliases", ()))
    for location in event.get("locations") or ():
        yield from absent("location", location["name"], *location.get("aliases", ()))
        if location.get("country") is not None and not _COUNTRY.fullmatch(location["country"]):
            yield f"country {location['country']!r}"
    for item in event.get("dates") or ():
        yield from absent("date", item["text"])
        if not _is_period(item.get("value")):
            yield f"date value {item.get('value')!r}"
        if item.get("role") not in DATE_ROLES:
            yield f"date role {item.get('role')!r}"
    for amount in event.get("amounts") or ():
        yield from absent("amount", amount["text"])
        if isinstance(amount.get("value"), bool) or not isinstance(amount.get("value"), int | float):
            yield f"amount value {amount.get('value')!r}"
        if not _UNIT.fullmatch(str(amount.get("unit"))):
            yield f"amount unit {amount.get('unit')!r}"
        if amount.get("kind") not in AMOUNT_KINDS:
            yield f"amount kind {amount.get('kind')!r}"
    if kind != "budget_commitment" and (event.get("amounts") or event.get("purpose")):
        yield "amounts or purpose in an event that is no budget commitment"
    if event.get("purpose"):
        yield from absent("purpose", event["purpose"])


def _mention_faults(mention: Mapping[str, str], text: str) -> Iterator[str]:
    trigger, quote = mention["trigger"], mention["quote"]
    if (times := text.count(quote) if quote else 0) != 1:
        yield f"quote occurs {times} times in the text, not once: {quote!r}"
    if (times := quote.count(trigger) if trigger else 0) != 1:
        yield f"trigger {trigger!r} occurs {times} times in its quote, not once: {quote!r}"
    if len(trigger.split()) > MAX_TRIGGER_WORDS:
        yield f"trigger of more than {MAX_TRIGGER_WORDS} words: {trigger!r}"


def _plain(phrase: str) -> str:
    return re.sub(r"\s+", " ", phrase).lower()


def _is_day(value: object) -> bool:
    return isinstance(value, str) and len(value) == 10 and _is_period(value)


def _is_period(value: object) -> bool:
    """YYYY, YYYY-MM or YYYY-MM-DD, or two of them with a slash between."""
    parts = value.split("/") if isinstance(value, str) else []
    return 1 <= len(parts) <= 2 and all(_DAY.fullmatch(p) and _in_calendar(p + "-01-01"[len(p) - 4 :]) for p in parts)


def _in_calendar(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def main(paths: list[str]) -> int:
    """Checks files; the exit code."""
    files = {path: read(Path(path)) for path in paths}
    findings: list[object] = [fault for articles in files.values() for article in articles for fault in check(article)]
    if not findings:
        findings += [f"id occurs twice: {i}" for i in repeated_ids(a for articles in files.values() for a in articles)]
        earlier: list[dict[str, Any]] = []
        for articles in files.values():
            findings += near_duplicates(articles, earlier)
            earlier += articles
    for finding in findings:
        print(finding)
    print(f"{sum(map(len, files.values()))} articles, {len(findings)} faults")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
