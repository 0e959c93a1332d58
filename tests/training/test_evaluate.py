"""The evaluation: predictions through an extractor, calibration, noise, the command line and the report."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.values import (
    Article,
    Document,
    Event,
    EventDate,
    EventType,
    Extraction,
    Location,
    Participant,
    Span,
)
from training import evaluate
from training.augment import clean, drop_spaces
from training.report import _Mark, pieces, write
from training.scoring import score

TEXT = (
    'Ministers in Velm were pleased. "We will meet again," said Ida Lorn.\n'
    "On Tuesday Ida Lorn met Oskar Brandt in Port Ansel - the state-to-state talks were short.\n"
    "Nothing else happened."
)


def document(name: str = "a", text: str = TEXT) -> dict[str, Any]:
    return {
        "id": name,
        "published": "2024-03-06",
        "title": f"Lorn meets Brandt, part {name}",
        "text": text,
        "url": "https://news.example/2024/03/06/lorn",
        "events": [
            {
                "type": "meeting",
                "status": "occurred",
                "mentions": [
                    {"trigger": "met", "quote": "Lorn met Oskar"},
                    {"trigger": "state-to-state talks", "quote": "the state-to-state talks were"},
                ],
                "participants": [
                    {"name": "Ida Lorn", "aliases": ["Lorn"], "role": "participant"},
                    {"name": "Oskar Brandt", "aliases": [], "role": "participant"},
                ],
                "locations": [{"name": "Port Ansel", "aliases": [], "country": None}],
                "dates": [{"text": "Tuesday", "value": "2024-03-05", "role": "when"}],
                "amounts": [],
                "purpose": None,
            }
        ],
    }


def quiet(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "published": None,
        "title": None,
        "text": "The tour of her album met expectations.",
        "events": [],
    }


class Finder:
    """Finds the one meeting of ``document`` by patterns, whatever case, quotes, dashes or spaces it has."""

    def __init__(self, confidence: float = 0.8) -> None:
        self.confidence = confidence
        self.articles: list[Article] = []

    def extract(
        self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
    ) -> Extraction:
        self.articles.append(article)

        def find(pattern: str) -> Span | None:
            found = re.search(pattern, article.text, re.IGNORECASE)
            return Span(found[0], *found.span()) if found else None

        met, talks = find(r"(?<=lorn.)met|(?<=lorn)met"), find(r"state.to.state ?talks")
        lorn, brandt = find("ida ?lorn"), find("oskar ?brandt")
        place, day = find("port ?ansel"), find("tuesday")
        events: tuple[Event, ...] = ()
        if met and talks and lorn and brandt and place and day and self.confidence >= (min_confidence or 0):
            people = tuple(Participant(s.text, "participant", "person", 0.9, (s,)) for s in (lorn, brandt))
            when = EventDate(day.text, day.start, day.end, "2024-03-05", "when", 0.5)
            where = Location(place.text, None, 0.7, (place,))
            events = (Event("meeting", "occurred", self.confidence, (met, talks), people, (where,), (when,), (), None),)
        return Extraction(events, Document(article.published_at, None, "en", len(article.text)))


def test_the_article_reaches_the_extractor_whole() -> None:
    finder = Finder()
    evaluate.predict(finder, {"a": document(), "b": quiet("b")})
    assert finder.articles == [
        Article(TEXT, "Lorn meets Brandt, part a", date(2024, 3, 6), "https://news.example/2024/03/06/lorn"),
        Article("The tour of her album met expectations."),
    ]


def test_a_right_extractor_gets_full_marks() -> None:
    result = evaluate.evaluate(Finder(), "file", [document(), quiet("b")])
    rows = {row.name: (row.right, row.predicted, row.gold) for row in result.table.rows if row.gold or row.predicted}
    assert rows == {
        "event": (1, 1, 1),
        "meeting": (1, 1, 1),
        "mention": (2, 2, 2),
        "participant": (2, 2, 2),
        "participant+role": (2, 2, 2),
        "location": (1, 1, 1),
        "date": (1, 1, 1),
        "date+role": (1, 1, 1),
        "status": (1, 1, 1),
    }
    assert result.table.errors == ()
    assert result.table.quiet == (1, 1)


def test_the_curve_asks_the_extractor_for_each_threshold() -> None:
    result = evaluate.evaluate(Finder(0.55), "file", [document()])
    assert [at.min_confidence for at in result.curve if at.event.right] == [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(result.curve) == 10


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="two articles"):
        evaluate.evaluate(Finder(), "file", [document(), document()])


def test_calibration_errors_of_true_confidences_are_those_of_chance() -> None:
    draws = np.random.default_rng(5)
    few, many = (
        [evaluate.calibrate([(c, bool(draws.random() < c)) for c in draws.random(count)]) for _ in range(60)]
        for count in (50, 5000)
    )
    for found in (few, many):
        errors, chance = (np.mean([getattr(c, name) for c in found]) for name in ("error", "by_chance"))
        assert errors == pytest.approx(chance, rel=0.15)
    assert few[0].by_chance > 5 * many[0].by_chance
    assert evaluate.calibrate([(0.9, False)] * 500).by_chance < 0.05
    assert evaluate.calibrate([(0.0, False), (1.0, True)]).by_chance == 0.0


def test_calibration_error_by_hand() -> None:
    # Two bins of two: said 0.15, right 0.5; said 0.9, right 1.
    found = evaluate.calibrate([(0.9, True), (0.1, False), (0.2, True), (0.9, True)], bins=2)
    assert [(b.count, b.right) for b in found.bins] == [(2, 0.5), (2, 1.0)]
    assert [b.confidence for b in found.bins] == pytest.approx([0.15, 0.9])
    assert found.error == pytest.approx((0.35 + 0.1) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans())))
def test_bins_have_equal_mass_and_the_error_is_a_share(scored: list[tuple[float, bool]]) -> None:
    found = evaluate.calibrate(scored)
    sizes = [b.count for b in found.bins]
    assert sum(sizes) == found.count == len(scored)
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert 0 <= found.error <= 1 + 1e-9
    assert 0 <= found.by_chance <= 1 + 1e-9


def test_confidences_are_paired_with_what_was_right() -> None:
    class Mistaken(Finder):
        def extract(
            self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
        ) -> Extraction:
            extraction = super().extract(article)
            [event] = extraction.events
            lorn, brandt = event.participants
            unanchored = replace(event.dates[0], value=None, confidence=0.3)
            event = replace(event, participants=(lorn, replace(brandt, role="host")), dates=(*event.dates, unanchored))
            false = replace(event, type="visit", confidence=0.4, dates=())
            return replace(extraction, events=(event, false))

    documents = {"a": document()}
    table = score(documents, evaluate.predict(Mistaken(), documents))
    assert sorted(evaluate.event_confidences(table)) == [(0.4, False), (0.8, True)]
    assert sorted(evaluate.argument_confidences(table)) == [
        (0.5, True),  # the date with a value
        (0.7, False),  # the false event's place
        (0.7, True),
        (0.9, False),  # the false event's people, and the one in the wrong role
        (0.9, False),
        (0.9, False),
        (0.9, True),
    ]


@pytest.mark.parametrize("noise", evaluate.NOISES)
def test_annotations_follow_the_noise(noise: str) -> None:
    documents = {"a": document("a"), "b": document("b"), "c": quiet("c")}
    noisy = evaluate.disturb(documents, noise)
    assert noisy != documents
    assert noisy == evaluate.disturb(documents, noise)
    table = score(noisy, evaluate.predict(Finder(), noisy))
    assert table.errors == ()
    assert table.row("event").right == 2


def test_each_noise_does_what_it_says() -> None:
    documents = {"a": document("a"), "b": document("b")}
    noisy = {noise: evaluate.disturb(documents, noise)["a"] for noise in evaluate.NOISES}
    assert noisy["all lower case"]["text"] == TEXT.lower()
    assert noisy["titles in capitals"]["text"] == TEXT
    assert noisy["titles in capitals"]["title"] == "LORN MEETS BRANDT, PART A"
    lines = noisy["another story's headline inserted"]["text"].split("\n")
    assert [*lines[:2], *lines[3:]] == TEXT.split("\n")
    assert lines[2] == "Lorn meets Brandt, part b"
    lost = noisy["quotes and 5 % of spaces lost"]["text"]
    assert '"' not in lost
    assert lost.replace(" ", "") == TEXT.replace('"', "").replace(" ", "")
    assert len(noisy["other quotes and dashes"]["text"]) == len(TEXT)


def test_a_headline_goes_behind_the_last_of_few_paragraphs() -> None:
    short = {"a": quiet("a") | {"title": "First"}, "b": quiet("b") | {"title": "Second"}}
    noisy = evaluate.disturb(short, "another story's headline inserted")
    assert noisy["a"]["text"] == short["a"]["text"] + "\nSecond"
    assert noisy["b"]["text"] == short["b"]["text"] + "\nFirst"


def test_names_that_lost_their_spaces_are_known_in_both_forms() -> None:
    lost = drop_spaces(clean(TEXT), random.Random(1), share=1.0)
    [event] = evaluate.carry_over(document(), clean("Lorn meets Brandt, part a"), lost)["events"]
    assert event["participants"][0]["name"] == "IdaLorn"
    assert {"Ida Lorn", "Lorn"} <= set(event["participants"][0]["aliases"])
    assert event["locations"][0]["name"] == "PortAnsel"
    assert [lost.text[m["start"] : m["end"]] for m in event["mentions"]] == ["met", "state-to-statetalks"]


def test_robustness_is_a_ratio_to_the_clean_composite() -> None:
    class Fragile(Finder):
        def extract(
            self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
        ) -> Extraction:
            found = super().extract(article)
            return replace(found, events=()) if article.text.islower() else found

    result = evaluate.evaluate(Fragile(), "file", [document()], robustness=True, thresholds=())
    ratios = {r.noise: r.ratio for r in result.robustness}
    assert ratios.pop("all lower case") == 0.0
    assert set(ratios.values()) == {1.0}
    assert result.curve == ()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    paths[0].write_text(json.dumps(document("a")) + "\n\n" + json.dumps(quiet("b")) + "\n", "utf-8")
    paths[1].write_text(json.dumps(quiet("a")) + "\n", "utf-8")
    return paths


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Puts the stand-in where the extractor is looked for; the list gets what it was built from."""
    built: list[Any] = []

    def make(*arguments: Any) -> Finder:
        built.append(arguments)
        return Finder()

    module = SimpleNamespace(Extractor=SimpleNamespace(load=make, from_parts=make))
    monkeypatch.setitem(sys.modules, "app.extraction.extractor", module)
    return built


def test_dev_score_is_the_mean_over_the_files(files: list[Path], installed: list[Any]) -> None:
    model, tokenizer = object(), object()
    run: Callable[[Any, Any], float] = evaluate.dev_score(files)
    clean_composite = evaluate.evaluate(Finder(), "file", [document()], thresholds=()).table.composite
    assert run(model, tokenizer) == pytest.approx(clean_composite / 2)  # the second file has no events: 0
    assert installed == [(model, tokenizer)]


def test_the_command_line(
    files: list[Path], installed: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "some", "--data", *map(str, files), "--robustness"]
    outputs = ["--json", str(tmp_path / "out.json"), "--report", str(tmp_path / "report")]
    assert evaluate.main([*options, *outputs]) == 0
    assert installed == [(Path("some"), "float32")]
    printed = capsys.readouterr().out
    assert "one.jsonl: 2 articles" in printed
    assert re.search(r"^event +100\.0 +100\.0 +100\.0 +1 +1 +1$", printed, re.MULTILINE)
    assert "articles without events that get none: 1 of 1 (100.0 %)" in printed
    numbers = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [n["file"] for n in numbers] == ["one.jsonl", "two.jsonl"]
    assert numbers[0]["rows"]["mention"]["right"] == 2
    assert len(numbers[0]["min_confidence"]) == 10
    assert (tmp_path / "report" / "index.html").is_file()


def test_files_of_one_name_are_kept_apart(files: list[Path], installed: list[Any], tmp_path: Path) -> None:
    twin = tmp_path / "other" / "one.jsonl"
    twin.parent.mkdir()
    twin.write_text(files[1].read_text("utf-8"), "utf-8")
    out = tmp_path / "out.json"
    evaluate.main(["--data", str(files[0]), str(twin), "--no-curve", "--json", str(out)])
    assert [n["articles"] for n in json.loads(out.read_text("utf-8"))] == [2, 1]


def test_a_missing_file_is_told(installed: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["--data", "nowhere.jsonl"])
    assert stopped.value.code == 2
    assert "no such file: nowhere.jsonl" in capsys.readouterr().err


def test_the_default_files_are_the_projects_own_and_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTS_EVAL_DATA", raising=False)
    assert [p.name for p in evaluate.default_files()] == ["heldout.jsonl", "dev-written.jsonl"]
    monkeypatch.setenv("EVENTS_EVAL_DATA", "/some/x.jsonl:/other/y.jsonl")
    assert evaluate.default_files()[2:] == [Path("/some/x.jsonl"), Path("/other/y.jsonl")]


def test_importing_loads_neither_torch_nor_the_service() -> None:
    check = "import sys, training.evaluate, training.report; print({'torch', 'fastapi', 'app.main'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=evaluate.ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_the_report_shows_both_sides_and_is_safe(tmp_path: Path) -> None:
    class Mistaken(Finder):
        def extract(
            self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
        ) -> Extraction:
            found = super().extract(article)
            events = tuple(replace(e, status="planned", participants=e.participants[:1]) for e in found.events)
            return replace(found, events=events)

    hostile = document("a", TEXT + "\n<script>alert('x')</script>") | {"title": "<b>Lorn</b>"}
    result = evaluate.evaluate(Mistaken(), "one.jsonl", [hostile, quiet("b")], robustness=True)
    page = write([result], tmp_path / "new" / "report").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<b>Lorn" not in page
    assert "&lt;script&gt;alert" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)  # no outside part
    cards = re.findall(r"<dd class=\"(\w+)\">([^<]*)<span class=\"note\">([^<]*)</span>", page)
    assert ("wrong", "occurred ", "wrong status") in cards
    assert ("wrong", "planned ", "wrong status") in cards
    assert ("missed", "participant Oskar Brandt ", "argument missed") in cards
    assert re.search(r"<mark class=\"participant missed\"[^>]*>Oskar Brandt</mark>", page)
    assert page.count('class="article"') == 2


@given(
    st.text(max_size=30).flatmap(
        lambda text: st.tuples(
            st.just(text),
            st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted), max_size=5),
        )
    )
)
def test_pieces_put_together_are_the_text(case: tuple[str, list[list[int]]]) -> None:
    text, spans = case
    marks = [_Mark((start, end), "date", "right", str(k)) for k, (start, end) in enumerate(spans)]
    found = pieces(text, marks)
    assert "".join(piece.text for piece in found) == text
    marked = {i for start, end in spans for i in range(start, end)}
    at = 0
    for piece in found:
        assert {i in marked for i in range(at, at + len(piece.text))} == {piece.kind is not None}
        at += len(piece.text)
