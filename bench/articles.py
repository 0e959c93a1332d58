"""The articles that everything is measured on, as request bodies."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.api.schemas import ArticleRequest
from app.extraction.values import Article


@dataclass(frozen=True, slots=True)
class Sample:
    """An article as it is sent (a JSON body) and as the extractor takes it."""

    body: bytes
    article: Article


def read(files: Sequence[Path], most: int | None = None) -> list[Sample]:
    """Articles of JSONL files with ``text`` and maybe ``title``, ``published`` and ``source_url``, shuffled.

    The order is always the same. Lines without a text are passed over: stand-off annotations have none. Raises OSError
    and ValueError.
    """
    lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines() if line.strip()]
    found = [line for line in lines if line.get("text")]
    if not found:
        raise ValueError("no articles in " + ", ".join(map(str, files)))
    random.Random(0).shuffle(found)
    return [
        sample(a["text"], title=a.get("title"), published_at=a.get("published"), source_url=a.get("source_url"))
        for a in found[:most]
    ]


def sample(text: str, **fields: str | None) -> Sample:
    """One article; ValueError where the service would refuse it."""
    asked: dict[str, Any] = {"text": text, **{name: value for name, value in fields.items() if value}}
    return Sample(json.dumps(asked).encode(), ArticleRequest.model_validate(asked).query().article)


def joined(samples: Sequence[Sample], characters: int, first: int = 0) -> Sample:
    """An article of exactly so many characters, of whole articles from the ``first`` on, the last one cut."""
    parts: list[str] = []
    have, at = 0, first
    while have < characters:
        parts.append(samples[at % len(samples)].article.text)
        have += len(parts[-1]) + 2
        at += 1
    return sample("\n\n".join(parts)[:characters].rstrip().ljust(characters, "."))
