"""Writes an evaluation as one self-contained HTML file: the tables, and each article with gold beside prediction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.scoring import COMPOSITE, STAGES, ArticleScore, Error, Happening, Offsets, Row, Stage

if TYPE_CHECKING:
    from training.evaluate import Document, FileResult

Side = Literal["gold", "predicted"]
State = Literal["right", "wrong", "missed", "false"]

# How the fields of an event are called in errors, in the order of a card.
_FIELDS = (("participant", "participants"), ("location", "locations"), ("date", "dates"), ("amount", "amounts"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text under the same marks; without kind it is plain."""

    text: str
    kind: str | None
    state: State
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One value on an event's card; ``note`` says what is wrong."""

    field: str
    text: str
    state: State
    note: str


@dataclass(frozen=True, slots=True)
class Card:
    """An event of one side."""

    label: str
    type: str
    confidence: float | None
    state: State
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One article."""

    anchor: str
    file: str
    document: Document
    gold_text: tuple[Piece, ...]
    predicted_text: tuple[Piece, ...]
    cards: tuple[tuple[Card | None, Card | None], ...]  # (gold, predicted), the matched side by side
    errors: tuple[Error, ...]
    stages: dict[Stage, int]
    events: Row
    overall: Row  # of the rows of the composite together


@dataclass(frozen=True, slots=True)
class _Mark:
    span: Offsets
    kind: str
    state: State
    label: str


def write(results: Sequence[FileResult], directory: Path) -> Path:
    """Writes ``index.html`` into the directory, made if need be, and returns its path."""
    files = []
    for k, result in enumerate(results):
        pages = [
            _page(f"f{k}a{n}", result.name, result.documents[article.id], article)
            for n, article in enumerate(result.table.articles)
        ]
        files.append((result, sorted(pages, key=lambda page: -len(page.errors))))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda rate: f"{100 * rate:.1f}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(environment.get_template("report.html.j2").render(files=files, stages=STAGES), "utf-8")
    return path


def _page(anchor: str, file: str, document: Document, article: ArticleScore) -> Page:
    text = document["text"]
    partner_of_gold, partner_of_predicted = dict(article.events), {p: g for g, p in article.events}
    gold = [_Side("gold", article, text, k, event, k in partner_of_gold) for k, event in enumerate(article.gold)]
    predicted = [
        _Side("predicted", article, text, k, event, k in partner_of_predicted)
        for k, event in enumerate(article.predicted)
    ]
    cards: list[tuple[Card | None, Card | None]] = [
        (side.card, predicted[partner_of_gold[k]].card if k in partner_of_gold else None) for k, side in enumerate(gold)
    ]
    cards += [(None, side.card) for k, side in enumerate(predicted) if k not in partner_of_predicted]
    rows = [row for row in article.rows if row.name in COMPOSITE]
    return Page(
        anchor=anchor,
        file=file,
        document=document,
        gold_text=pieces(text, [mark for side in gold for mark in side.marks]),
        predicted_text=pieces(text, [mark for side in predicted for mark in side.marks]),
        cards=tuple(cards),
        errors=article.errors,
        stages=Counter(error.stage for error in article.errors),
        events=next(row for row in article.rows if row.name == "event"),
        overall=Row("all", sum(r.right for r in rows), sum(r.predicted for r in rows), sum(r.gold for r in rows)),
    )


class _Side:
    """An event of one side as a card and as marks in the text."""

    def __init__(
        self, side: Side, article: ArticleScore, text: str, index: int, event: Happening, matched: bool
    ) -> None:
        self._alone: State | None = None if matched else "missed" if side == "gold" else "false"
        self._faults: dict[tuple[str, int | None], list[str]] = defaultdict(list)
        for error in article.errors:
            its_event, item = (
                (error.event, error.item) if side == "gold" else (error.predicted_event, error.predicted_item)
            )
            if its_event == index:
                field = "location" if error.field == "country" else error.field
                self._faults[field, None if field == "event" else item].append(error.stage)
        self._lines: list[Line] = []
        self.marks: list[_Mark] = []
        self._label = f"{'G' if side == 'gold' else 'P'}{index + 1}"
        self._fill(event, text)
        note = self._note("event", None)
        if note:
            self._lines.insert(0, Line("linking", note, "wrong", ""))
        self.card = Card(self._label, event.type, event.confidence, self._alone or "right", tuple(self._lines))

    def _fill(self, event: Happening, text: str) -> None:
        self._add("status", None, event.status or "none", (), None)
        for i, span in enumerate(event.mentions):
            self._add("mention", i, text[slice(*span)], (span,), None)
        for field, attribute in _FIELDS:
            for i, value in enumerate(getattr(event, attribute)):
                self._add(field, i, value.describe(), value.spans, value.confidence)
        if event.purpose:
            self._add("purpose", None, event.purpose, event.purpose_spans, None)

    def _note(self, field: str, item: int | None) -> str:
        return ", ".join(self._faults.get((field, item), ()))

    def _add(self, field: str, item: int | None, text: str, spans: Sequence[Offsets], confidence: float | None) -> None:
        note = self._note(field, item)
        state = _state(note)
        if self._alone and field != "mention":  # a mention may be found though its event is matched with none
            state = self._alone
        label = " ".join(filter(None, (self._label, field, text, note and f"({note})")))
        self.marks += [_Mark(span, field, state, label) for span in spans]
        said = text if confidence is None else f"{text} [{confidence:.2f}]"
        self._lines.append(Line(field, said, state, note))


def _state(note: str) -> State:
    match note:
        case "":
            return "right"
        case "trigger missed" | "argument missed":
            return "missed"
        case "trigger false" | "argument false":
            return "false"
        case _:
            return "wrong"


def pieces(text: str, marks: Sequence[_Mark]) -> tuple[Piece, ...]:
    """Cuts a text where a mark begins or ends; where marks lie over one another the shortest gives the look."""
    cuts = sorted({0, len(text), *(place for mark in marks for place in mark.span)})
    found = []
    for start, end in pairwise(cuts):
        over = [mark for mark in marks if mark.span[0] <= start and end <= mark.span[1]]
        if over:
            top = min(over, key=lambda mark: (mark.kind != "mention", mark.span[1] - mark.span[0]))
            labels = dict.fromkeys(mark.label for mark in over)
            state: State = next((mark.state for mark in over if mark.state != "right"), "right")
            found.append(Piece(text[start:end], top.kind, state, "\n".join(labels)))
        else:
            found.append(Piece(text[start:end], None, "right", ""))
    return tuple(found)
