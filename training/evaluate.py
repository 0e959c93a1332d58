"""Measures a model on annotated articles: ``python -m training.evaluate --help``.

For each file: the scores, how mentions were linked into events, errors by stage, whether confidences can be believed,
what ``min_confidence`` does, and, with ``--robustness``, what noise in the articles costs. Without ``--data`` the files
are the project's own and those named in EVENTS_EVAL_DATA, separated by colons.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from app.extraction.values import Article, EventType, Extraction
from app.settings import Settings
from training.augment import Noisy, clean, drop_quotes, drop_spaces, lower, upper, vary_typography
from training.corpus import read
from training.scoring import Dated, Row, Table, mention_offsets, occurrences, score

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from app.extraction.model import EventModel

Document = dict[str, Any]
Predictions = dict[str, list[dict[str, Any]]]

ROOT = Path(__file__).parents[1]
OWN_FILES = (ROOT / "corpus" / "heldout.jsonl", ROOT / "corpus" / "dev-written.jsonl")
THRESHOLDS = (0.05, *(k / 10 for k in range(1, 10)))  # at 0 each token would be a trigger
BINS = 10
RESAMPLES = 1000
# The rows by which the values of an event's fields are judged right.
ARGUMENT_ROWS = {"participant+role": "participants", "location": "locations", "date": "dates", "amount": "amounts"}


class Extracts(Protocol):
    """What is measured: ``app.extraction.extractor.Extractor`` or a stand-in."""

    def extract(
        self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
    ) -> Extraction: ...


@dataclass(frozen=True, slots=True)
class Bin:
    """A tenth of the predictions, by rising confidence; confidence and right are means, from 0 to 1."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence against being right; errors are from 0 to 1.

    ``error`` is the expected calibration error over bins of equal mass; ``by_chance`` is what it would be on average if
    each confidence were true, by the number of items alone (consistency resampling, Bröcker & Smith 2007).
    """

    count: int
    error: float
    by_chance: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a caller gets who asks for this ``min_confidence``."""

    min_confidence: float
    event: Row
    composite: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """The composite on the same articles with one kind of noise, and its ratio to the one without."""

    noise: str
    composite: float
    ratio: float


@dataclass(frozen=True, slots=True)
class FileResult:
    """All that is found out about one file."""

    name: str
    documents: Mapping[str, Document]
    table: Table
    events: Calibration
    arguments: Calibration
    curve: tuple[Threshold, ...]
    robustness: tuple[Robustness, ...]


def by_id(articles: Iterable[Document]) -> dict[str, Document]:
    """Raises ValueError where two articles have one id."""
    documents: dict[str, Document] = {}
    for article in articles:
        if article["id"] in documents:
            raise ValueError(f"two articles have the id {article['id']!r}")
        documents[article["id"]] = article
    return documents


def predict(extractor: Extracts, documents: Mapping[str, Document], min_confidence: float | None = None) -> Predictions:
    """Extracts from each article; events as the scorer reads them, by article id."""
    return {
        i: [asdict(event) for event in extractor.extract(as_article(d), min_confidence=min_confidence).events]
        for i, d in documents.items()
    }


def as_article(document: Document) -> Article:
    published = document.get("published")
    return Article(
        text=document["text"],
        title=document.get("title"),
        published_at=date.fromisoformat(published) if published else None,
        source_url=document.get("url"),
    )


def dev_score(paths: Sequence[Path]) -> Callable[[EventModel, Tokenizer], float]:
    """For training: a function that gives a model's mean composite over the files, in percent."""
    files = [by_id(read(path)) for path in paths]

    def run(model: EventModel, tokenizer: Tokenizer) -> float:
        from app.extraction.extractor import Extractor  # torch loads slowly

        extractor = Extractor.from_parts(model, tokenizer)
        return fmean(score(documents, predict(extractor, documents)).composite for documents in files)

    return run


def evaluate(
    extractor: Extracts,
    name: str,
    articles: Iterable[Document],
    robustness: bool = False,
    thresholds: Sequence[float] = THRESHOLDS,
) -> FileResult:
    """Measures on one file's articles; extracts anew for each threshold and each kind of noise.

    Raises ValueError for repeated ids and for annotations that are not found in the text.
    """
    documents = by_id(articles)
    table = score(documents, predict(extractor, documents))
    curve = []
    for threshold in thresholds:
        at = score(documents, predict(extractor, documents, threshold))
        curve.append(Threshold(threshold, at.row("event"), at.composite))
    return FileResult(
        name=name,
        documents=documents,
        table=table,
        events=calibrate(event_confidences(table)),
        arguments=calibrate(argument_confidences(table)),
        curve=tuple(curve),
        robustness=tuple(measure_noise(extractor, documents, table.composite)) if robustness else (),
    )


# ---- calibration


def event_confidences(table: Table) -> list[tuple[float, bool]]:
    """(confidence, matched) of each predicted event."""
    return [
        (event.confidence, k in {p for _, p in article.events})
        for article in table.articles
        for k, event in enumerate(article.predicted)
        if event.confidence is not None
    ]


def argument_confidences(table: Table) -> list[tuple[float, bool]]:
    """(confidence, right) of each predicted participant, location, date with a value, and amount."""
    found = []
    for article in table.articles:
        for row, field in ARGUMENT_ROWS.items():
            right = {(m.predicted_event, m.predicted_item) for m in article.matches[row]}
            for k, event in enumerate(article.predicted):
                for i, value in enumerate(getattr(event, field)):
                    if value.confidence is not None and not (isinstance(value, Dated) and not value.value):
                        found.append((float(value.confidence), (k, i) in right))
    return found


def calibrate(scored: Sequence[tuple[float, bool]], bins: int = BINS) -> Calibration:
    """Bins (confidence, right) pairs by confidence, as many in each."""
    ordered = np.array(sorted(scored), dtype=np.float64).reshape(-1, 2)
    parts = [part for part in np.array_split(ordered, bins) if len(part)]
    done = tuple(Bin(len(p), float(p[:, 0].mean()), float(p[:, 1].mean())) for p in parts)
    draws = np.random.default_rng(0)
    error = by_chance = 0.0
    for bin_, part in zip(done, parts, strict=True):
        share = bin_.count / len(ordered)
        error += share * abs(bin_.confidence - bin_.right)
        right = draws.random((RESAMPLES, bin_.count)) < part[:, 0]
        by_chance += share * float(np.abs(right.mean(axis=1) - bin_.confidence).mean())
    return Calibration(len(ordered), error, by_chance, done)


# ---- robustness


@dataclass(frozen=True, slots=True)
class _Draft:
    title: Noisy
    text: Noisy
    headline: str  # of another story
    rng: random.Random


def _lower_case(draft: _Draft) -> tuple[Noisy, Noisy]:
    return lower(draft.title), lower(draft.text)


def _caps_title(draft: _Draft) -> tuple[Noisy, Noisy]:
    return upper(draft.title), draft.text


def _lost_characters(draft: _Draft) -> tuple[Noisy, Noisy]:
    title, text = (drop_spaces(drop_quotes(noisy), draft.rng) for noisy in (draft.title, draft.text))
    return title, text


def _foreign_headline(draft: _Draft) -> tuple[Noisy, Noisy]:
    """After the second paragraph, or the last one."""
    ends = [k for k, c in enumerate(draft.text.text) if c == "\n" and draft.text.text[k - 1 : k] != "\n"]
    at = ends[1] if len(ends) > 1 else len(draft.text.text)
    return draft.title, draft.text.insert(at, "\n" + draft.headline)


def _typography(draft: _Draft) -> tuple[Noisy, Noisy]:
    return vary_typography(draft.title, draft.rng), vary_typography(draft.text, draft.rng)


NOISES: dict[str, Callable[[_Draft], tuple[Noisy, Noisy]]] = {
    "all lower case": _lower_case,
    "titles in capitals": _caps_title,
    "quotes and 5 % of spaces lost": _lost_characters,
    "another story's headline inserted": _foreign_headline,
    "other quotes and dashes": _typography,
}


def measure_noise(extractor: Extracts, documents: Mapping[str, Document], composite: float) -> Iterable[Robustness]:
    """Measures under each kind of noise; ``composite`` is the one without. The same noise on every run."""
    for noise in NOISES:
        noisy = disturb(documents, noise)
        found = score(noisy, predict(extractor, noisy)).composite
        yield Robustness(noise, found, found / composite if composite else 0.0)


def disturb(documents: Mapping[str, Document], noise: str) -> dict[str, Document]:
    """The articles with one of NOISES, their annotations carried over. A headline is the title of the next article."""
    titled = [d for d in documents.values() if d.get("title")]
    disturbed = {}
    for k, (i, document) in enumerate(documents.items()):
        others = [d["title"] for d in (*titled[k + 1 :], *titled[: k + 1]) if d["id"] != i]
        headline = others[0] if others else "Read more"
        draft = _Draft(
            clean(document.get("title") or ""), clean(document["text"]), headline, random.Random(f"{noise} {i}")
        )
        disturbed[i] = carry_over(document, *NOISES[noise](draft))
    return disturbed


def carry_over(document: Document, title: Noisy, text: Noisy) -> Document:
    """The annotated article with the changed title and text.

    Mentions get offsets. Phrases take the forms that they have in the changed article; the old form of a name stays as
    an alias, for an extractor may well restore it.
    """
    sources = ((document["text"], text), (document.get("title") or "", title))

    def forms(phrase: str) -> list[str]:
        spans = [(noisy, _moved(noisy, *span)) for old, noisy in sources for span in occurrences(phrase, old)]
        return list(dict.fromkeys(noisy.text[slice(*span)] for noisy, span in spans if span)) or [phrase]

    def named(item: Document) -> Document:
        old = [item["name"], *item["aliases"]]
        name, *aliases = dict.fromkeys([*(form for phrase in old for form in forms(phrase)), *old])
        return {**item, "name": name, "aliases": aliases}

    def phrased(item: Document) -> Document:
        return {**item, "text": forms(item["text"])[0]}

    events = []
    for event in document["events"]:
        places = [_moved(text, *mention_offsets(m, document["text"])) for m in event["mentions"]]
        events.append(
            {
                **event,
                "mentions": [{"start": place[0], "end": place[1]} for place in places if place],
                "participants": [named(p) for p in event["participants"]],
                "locations": [named(p) for p in event["locations"]],
                "dates": [phrased(d) for d in event["dates"]],
                "amounts": [phrased(a) for a in event["amounts"]],
                "purpose": forms(event["purpose"])[0] if event["purpose"] else None,
            }
        )
    return {**document, "title": title.text or None, "text": text.text, "events": events}


def _moved(noisy: Noisy, start: int, end: int) -> tuple[int, int] | None:
    places = np.flatnonzero((noisy.origin >= start) & (noisy.origin < end))
    return (int(places[0]), int(places[-1]) + 1) if len(places) else None


# ---- what is shown


def as_text(result: FileResult) -> str:
    """A file's tables for the terminal."""
    table, linking = result.table, result.table.linking
    lines = [f"{result.name}: {len(table.articles)} articles", ""]
    lines.append(f"{'row':18}{'P':>7}{'R':>7}{'F1':>7}{'right':>7}{'pred':>6}{'gold':>6}")
    for row in table.rows:
        rates = "".join(f"{100 * rate:7.1f}" for rate in (row.precision, row.recall, row.f1))
        lines.append(f"{row.name:18}{rates}{row.right:7}{row.predicted:6}{row.gold:6}")
    lines += [f"{'composite':18}{'':14}{table.composite:7.1f}", ""]

    lines.append(f"{'linking':18}{'P':>7}{'R':>7}{'F1':>7}   over {linking.mentions} mentions found")
    for name, precision, recall, f1 in (
        ("pairs", linking.pairs.precision, linking.pairs.recall, linking.pairs.f1),
        ("B-cubed", linking.b_cubed_precision, linking.b_cubed_recall, linking.b_cubed_f1),
    ):
        lines.append(f"{name:18}{100 * precision:7.1f}{100 * recall:7.1f}{100 * f1:7.1f}")
    lines += [f"events merged {linking.merged}, split {linking.split}", ""]

    lines += [f"{'errors by stage':24}{'n':>5}"]
    lines += [f"{stage:24}{count:5}" for stage, count in table.stages.items()] + [""]
    quiet, empty = table.quiet
    share = f" ({100 * quiet / empty:.1f} %)" if empty else ""
    lines += [f"articles without events that get none: {quiet} of {empty}{share}", ""]

    for what, calibration in (("events", result.events), ("arguments", result.arguments)):
        lines.append(
            f"confidence of {calibration.count} {what}: expected calibration error {100 * calibration.error:.1f} %, "
            f"by chance {100 * calibration.by_chance:.1f} %"
        )
        lines.append("  said  " + "".join(f"{100 * b.confidence:6.1f}" for b in calibration.bins))
        lines.append("  right " + "".join(f"{100 * b.right:6.1f}" for b in calibration.bins))
    if result.curve:
        lines += ["", f"{'min_confidence':18}{'P':>7}{'R':>7}{'F1':>7}{'composite':>11}"]
    for at in result.curve:
        rates = "".join(f"{100 * rate:7.1f}" for rate in (at.event.precision, at.event.recall, at.event.f1))
        lines.append(f"{at.min_confidence:<18.2f}{rates}{at.composite:11.1f}")
    if result.robustness:
        lines += ["", f"{'noise':36}{'composite':>9}{'ratio':>8}"]
        lines += [f"{r.noise:36}{r.composite:9.1f}{r.ratio:8.3f}" for r in result.robustness]
    return "\n".join(lines)


def as_json(result: FileResult) -> dict[str, Any]:
    """A file's numbers and errors as JSON values; rates are from 0 to 1, composites in percent."""
    table, linking = result.table, result.table.linking
    quiet, empty = table.quiet
    return {
        "file": result.name,
        "articles": len(table.articles),
        "rows": {row.name: _row_json(row) for row in table.rows},
        "composite": table.composite,
        "linking": {
            "mentions": linking.mentions,
            "pairs": _row_json(linking.pairs),
            "b_cubed": {
                "precision": linking.b_cubed_precision,
                "recall": linking.b_cubed_recall,
                "f1": linking.b_cubed_f1,
            },
            "merged": linking.merged,
            "split": linking.split,
        },
        "stages": table.stages,
        "articles_without_events": {"gold": empty, "right": quiet},
        "calibration": {"events": asdict(result.events), "arguments": asdict(result.arguments)},
        "min_confidence": [
            {"min_confidence": t.min_confidence, "event": _row_json(t.event), "composite": t.composite}
            for t in result.curve
        ],
        "robustness": [asdict(r) for r in result.robustness],
        "errors": [asdict(error) for error in table.errors],
    }


def _row_json(row: Row) -> dict[str, float]:
    return {
        "precision": row.precision,
        "recall": row.recall,
        "f1": row.f1,
        "right": row.right,
        "predicted": row.predicted,
        "gold": row.gold,
    }


def default_files() -> list[Path]:
    """The project's own files and those of EVENTS_EVAL_DATA."""
    more = os.environ.get("EVENTS_EVAL_DATA", "")
    return [*OWN_FILES, *(Path(path) for path in more.split(":") if path)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=Settings().model_folder, help="folder of the model (default: the served one)"
    )
    parser.add_argument("--data", type=Path, nargs="+", metavar="FILE", help="annotated articles, JSONL")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write an HTML report there")
    parser.add_argument("--robustness", action="store_true", help="measure under noise, too")
    parser.add_argument("--no-curve", action="store_true", help="leave out min_confidence: a tenth of the time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers and errors there")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "int8"), default="float32", help="of the encoder")
    parser.add_argument("--threads", type=int, default=0, help="threads of the model; 0 = as torch chooses")
    options = parser.parse_args(arguments)
    paths = options.data or default_files()
    for path in paths:
        if not path.is_file():
            parser.error(f"no such file: {path}")

    import torch  # loads slowly

    from app.extraction.extractor import Extractor

    if options.threads:
        torch.set_num_threads(options.threads)
    extractor = Extractor.load(options.model, options.dtype)
    results = []
    for path in paths:
        result = evaluate(extractor, path.name, read(path), options.robustness, () if options.no_curve else THRESHOLDS)
        print(as_text(result), end="\n\n", flush=True)
        results.append(result)
    if options.json:
        numbers = [as_json(result) for result in results]
        options.json.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.report:
        from training.report import write

        print(f"report: {write(results, options.report)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
