"""Noise that scraped news has, put into clean articles, with the way back for the annotations."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from app.extraction.labels import ARGUMENT_LABELS, TRIGGER_LABELS
from app.extraction.segment import Segmented, segment
from app.extraction.values import Article
from training.targets import IGNORE, Targets

Ints = npt.NDArray[np.int64]
INSERTED = -1

_QUOTES = frozenset("\"'“”‘’«»„")
_VARIANTS = {"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", '"': "“", "'": "’", "-": "–"}


@dataclass(frozen=True, slots=True, eq=False)
class Noisy:
    """A changed text and, for each of its characters, the place in the clean text (INSERTED where there is none)."""

    text: str
    origin: Ints

    def map(self, change: Callable[[str], str]) -> Noisy:
        """Replaces each character by none, one or more; all of them keep its place."""
        pieces = [change(c) for c in self.text]
        origin = np.repeat(self.origin, [len(p) for p in pieces])
        return Noisy("".join(pieces), origin)

    def insert(self, at: int, extra: str) -> Noisy:
        """Puts ``extra`` before the character ``at``."""
        middle = np.full(len(extra), INSERTED, np.int64)
        return Noisy(
            self.text[:at] + extra + self.text[at:], np.concatenate([self.origin[:at], middle, self.origin[at:]])
        )


def clean(text: str) -> Noisy:
    return Noisy(text, np.arange(len(text), dtype=np.int64))


def lower(noisy: Noisy) -> Noisy:
    return noisy.map(lambda c: c.lower() if len(c.lower()) == 1 else c)


def upper(noisy: Noisy) -> Noisy:
    return noisy.map(lambda c: c.upper() if len(c.upper()) == 1 else c)


def drop_quotes(noisy: Noisy) -> Noisy:
    return noisy.map(lambda c: "" if c in _QUOTES else c)


def drop_spaces(noisy: Noisy, rng: random.Random, share: float = 0.05) -> Noisy:
    return noisy.map(lambda c: "" if c == " " and rng.random() < share else c)


def vary_typography(noisy: Noisy, rng: random.Random) -> Noisy:
    return noisy.map(lambda c: _VARIANTS[c] if c in _VARIANTS and rng.random() < 0.5 else c)


def join_lines(noisy: Noisy) -> Noisy:
    return noisy.map(lambda c: " " if c == "\n" else c)


def insert_headline(noisy: Noisy, headline: str, rng: random.Random) -> Noisy:
    """Drops the headline of another story between two paragraphs."""
    breaks = [i + 1 for i, c in enumerate(noisy.text) if c == "\n"]
    return noisy.insert(rng.choice(breaks), headline.strip() + "\n") if breaks else noisy


def distort(article: Article, headlines: list[str], rng: random.Random) -> tuple[Article, Noisy, Noisy]:
    """A noisy copy of an article, with the ways back for its title and its text."""
    title, text = clean(article.title or ""), clean(article.text)
    if rng.random() < 0.25:
        title = clean("")
    if rng.random() < 0.12:
        text = insert_headline(text, rng.choice(headlines), rng)
    if rng.random() < 0.10:
        text = drop_quotes(text)
    if rng.random() < 0.10:
        text = drop_spaces(text, rng, rng.choice([0.01, 0.05]))
    if rng.random() < 0.10:
        text = vary_typography(text, rng)
    if rng.random() < 0.08:
        text = join_lines(text)
    if rng.random() < 0.10:
        title = upper(title)
    if rng.random() < 0.10:
        title, text = lower(title), lower(text)
    return replace(article, title=title.text or None, text=text.text), title, text


def project(
    targets: Targets,
    old: Segmented,
    noisy: tuple[Article, Noisy, Noisy],
    tokenizer: Tokenizer,
    special: tuple[int, int],
) -> tuple[Segmented, Targets]:
    """Tokenises the noisy article and carries the targets over to its tokens."""
    article, title, text = noisy
    new = segment(article, tokenizer, special)
    source = np.concatenate(
        [
            _token_origins(title, new.starts[: new.title_tokens], old, 0, old.title_tokens),
            _token_origins(text, new.starts[new.title_tokens :], old, old.title_tokens, len(old.starts)),
        ]
    )
    labels = np.where(source >= 0, targets.trigger_labels[source], 0)
    labels[: new.title_tokens] = IGNORE
    arguments = np.where(source[None] >= 0, targets.argument_labels[:, source], 0)
    again = np.concatenate([[False], (source[1:] == source[:-1]) & (source[1:] >= 0)])
    kinds = (len(TRIGGER_LABELS) - 1) // 2
    labels = np.where(again & (labels > 0) & (labels <= kinds), labels + kinds, labels)
    slots = (len(ARGUMENT_LABELS) - 1) // 2
    arguments = np.where(again & (arguments > 0) & (arguments <= slots), arguments + slots, arguments)

    def span(first: int, last: int) -> tuple[int, int] | None:
        inside = np.flatnonzero((source >= first) & (source <= last))
        return (int(inside[0]), int(inside[-1])) if len(inside) else None

    spans = [span(int(a), int(b)) for a, b in targets.spans]
    kept = [k for k, s in enumerate(spans) if s is not None]
    names = tuple((s, i) for (old_span, i) in targets.names if (s := span(*old_span)) is not None)
    return new, replace(
        targets,
        trigger_labels=labels,
        spans=np.array([spans[k] for k in kept], np.int64).reshape(-1, 2),
        types=tuple(targets.types[k] for k in kept),
        statuses=targets.statuses[kept],
        events=tuple(targets.events[k] for k in kept),
        argument_labels=arguments[kept],
        names=names,
    )


def _token_origins(noisy: Noisy, starts: Ints, old: Segmented, low: int, high: int) -> Ints:
    """The old token in which each new token begins; INSERTED for none."""
    origin = noisy.origin[starts]
    at = low + np.searchsorted(old.ends[low:high], origin, side="right")
    inside = (origin >= 0) & (at < high)
    inside &= old.starts[np.minimum(at, len(old.starts) - 1)] <= origin
    return np.where(inside, at, INSERTED)
