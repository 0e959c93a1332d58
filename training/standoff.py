"""Annotations apart from their texts, for articles whose text may not be copied into the project.

A stand-off record is an annotated article without title and text: each of its strings is written as ``[start, end]``,
code points into the text, or ``["title", start, end]``. The text's checksum guards the offsets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

Gold = dict[str, Any]
Place = list[Any]

_STRINGS = {"name": False, "aliases": True, "text": False}


def detach(document: Gold) -> Gold:
    """The stand-off record of an annotated article; ValueError where a string is not in it."""
    text, title = document["text"], document.get("title") or ""

    def place(string: str) -> Place:
        for source, mark in ((text, []), (title, ["title"])):
            for haystack, needle in ((source, string), (source.lower(), string.lower())):
                at = haystack.find(needle)
                if at >= 0 and len(source) == len(haystack):
                    return [*mark, at, at + len(string)]
        raise ValueError(f"{document['id']}: not in the article: {string!r}")

    events = []
    for event in document["events"]:
        mentions = []
        for mention in event["mentions"]:
            start = text.index(mention["quote"]) + mention["quote"].index(mention["trigger"])
            mentions.append([start, start + len(mention["trigger"])])
        events.append(_convert(event, place) | {"mentions": mentions})
    return {"id": document["id"], "published": document["published"], "sha256": _checksum(text), "events": events}


def attach(record: Gold, article: Mapping[str, Any]) -> Gold:
    """The annotated article again, with mentions as ``start`` and ``end``; ValueError where the text is another one."""
    text, title = article["text"], article.get("title") or ""
    if _checksum(text) != record["sha256"]:
        raise ValueError(f"{record['id']}: the text is not the one that was annotated")

    def read(place: Place) -> str:
        source = title if place[0] == "title" else text
        start, end = place[-2:]
        return str(source[start:end])

    events = [
        _convert(event, read) | {"mentions": [{"start": s, "end": e} for s, e in event["mentions"]]}
        for event in record["events"]
    ]
    return {"id": record["id"], "published": record["published"], "title": title, "text": text, "events": events}


def _convert(event: Gold, change: Callable[[Any], Any]) -> Gold:
    """The event with every string that stands in the article changed."""

    def item(fields: Gold) -> Gold:
        return {
            key: ([change(v) for v in value] if _STRINGS[key] else change(value)) if key in _STRINGS else value
            for key, value in fields.items()
        }

    lists = {key: [item(x) for x in event[key]] for key in ("participants", "locations", "dates", "amounts")}
    return {**event, **lists, "purpose": change(event["purpose"]) if event["purpose"] else None}


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
