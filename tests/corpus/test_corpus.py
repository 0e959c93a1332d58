"""The annotated articles keep to their format and do not leak from one file into another; the checker sees faults."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.extraction.values import EVENT_TYPES, STATUSES
from training.corpus import check, main, near_duplicates, read, repeated_ids, shingles

CORPUS = Path(__file__).parents[2] / "corpus"
FILES = ("train.jsonl", "heldout.jsonl", "dev-written.jsonl")
STANDOFF = "real-standoff.jsonl"  # annotations without their articles

Article = dict[str, Any]


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Article]]:
    """All annotated articles by file name."""
    return {path.name: read(path) for path in sorted(CORPUS.glob("*.jsonl")) if path.name != STANDOFF}


def test_the_files_are_there(corpus: dict[str, list[Article]]) -> None:
    missing = [name for name in FILES if not corpus.get(name)]
    assert not missing, f"missing or empty in corpus/: {missing}"


def test_every_article_keeps_to_the_format(corpus: dict[str, list[Article]]) -> None:
    assert corpus, "no file in corpus/"
    assert [str(fault) for articles in corpus.values() for article in articles for fault in check(article)] == []


def test_ids_are_unique(corpus: dict[str, list[Article]]) -> None:
    assert corpus, "no file in corpus/"
    assert repeated_ids(article for articles in corpus.values() for article in articles) == []


def test_nothing_measured_on_was_trained_on(corpus: dict[str, list[Article]]) -> None:
    assert "train.jsonl" in corpus, "no corpus/train.jsonl"
    measured = [article for name, articles in corpus.items() if name != "train.jsonl" for article in articles]
    assert measured, "nothing to measure on in corpus/"
    assert near_duplicates(measured, corpus["train.jsonl"]) == []


def test_standoff_annotations_hold_none_of_their_articles(corpus: dict[str, list[Article]]) -> None:
    records = read(CORPUS / STANDOFF)
    assert records, f"nothing in corpus/{STANDOFF}"
    own = [article for articles in corpus.values() for article in articles]
    assert repeated_ids([*records, *own]) == []
    for record in records:
        assert record.keys() == {"id", "published", "sha256", "events"}
        for event in record["events"]:
            assert event["type"] in EVENT_TYPES
            assert event["status"] in STATUSES
            assert event["mentions"]
            assert all(0 <= start < end for start, end in event["mentions"])
            items = [*event["participants"], *event["locations"], *event["dates"], *event["amounts"]]
            places = [item[key] for item in items for key in ("name", "text") if key in item]
            places += [alias for item in items for alias in item.get("aliases", ())]
            places += [event["purpose"]] if event["purpose"] else []
            for place in places:
                *mark, start, end = place
                assert mark in ([], ["title"])
                assert 0 <= start < end


# ---- the checker itself


def good() -> Article:
    return {
        "id": "x",
        "published": "2024-02-29",
        "title": "Marl council",
        "text": "The council of Marl met on Monday in its hall. It set aside\n9 million euros for trams in 2025.",
        "events": [
            {
                "type": "meeting",
                "status": "occurred",
                "mentions": [{"trigger": "met", "quote": "Marl met on"}],
                "participants": [{"name": "Marl Council", "aliases": ["the council of Marl"], "role": "participant"}],
                "locations": [{"name": "hall", "aliases": [], "country": "DE"}],
                "dates": [{"text": "Monday", "value": "2024-02-26", "role": "when"}],
                "amounts": [],
                "purpose": None,
            },
            {
                "type": "budget_commitment",
                "status": "occurred",
                "mentions": [{"trigger": "set aside", "quote": "It set aside"}],
                "participants": [{"name": "council of Marl", "aliases": [], "role": "funder"}],
                "locations": [],
                "dates": [{"text": "in 2025", "value": "2025-01/2025-12", "role": "target"}],
                "amounts": [{"text": "aside 9 million", "value": 9000000, "unit": "EUR", "kind": "total"}],
                "purpose": "trams",
            },
        ],
    }


def test_a_good_article_has_no_faults() -> None:
    assert check(good()) == []
    assert check(good() | {"published": None, "title": None, "events": good()["events"][1:]}) == []


def put(*path: str | int, value: Any) -> Callable[[Article], None]:
    """Sets one value deep in an article."""

    def change(article: Article) -> None:
        place: Any = article
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


MEETING: tuple[str | int, ...] = ("events", 0)
MONEY: tuple[str | int, ...] = ("events", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("published", value="2023-02-29"), "no date"),
        (put("published", value="2023"), "no date"),
        (put("text", value=None), "text is missing"),
        (put("events", value={}), "events is missing"),
        (put(*MEETING, "type", value="match"), "type 'match'"),
        (put(*MEETING, "status", value="done"), "status 'done'"),
        (put(*MEETING, "mentions", value=[]), "no mentions"),
        (put(*MEETING, "mentions", 0, "quote", value="marl met on"), "quote occurs 0 times"),
        (put(*MEETING, "mentions", 0, value={"trigger": "in", "quote": " in "}), "quote occurs 2 times"),
        (put(*MEETING, "mentions", 0, "trigger", value="meets"), "occurs 0 times in its quote"),
        (put(*MEETING, "mentions", 0, value={"trigger": "o", "quote": "met on Mo"}), "occurs 2 times in its quote"),
        (
            put(*MEETING, "mentions", 0, value={"trigger": "of Marl met on Monday", "quote": "of Marl met on Monday"}),
            "words",
        ),
        (put(*MEETING, "mentions", 0, value={"trigger": "met"}), "malformed"),
        (put(*MEETING, "participants", 0, "role", value="funder"), "role 'funder'"),
        (put(*MEETING, "participants", 0, "name", value="Mayor of Marl"), "participant not in the article"),
        (put(*MEETING, "participants", 0, "aliases", value=["the mayor"]), "participant not in the article"),
        (put(*MEETING, "locations", 0, "name", value="annex"), "location not in the article"),
        (put(*MEETING, "locations", 0, "country", value="Germany"), "country 'Germany'"),
        (put(*MEETING, "dates", 0, "text", value="Tuesday"), "date not in the article"),
        (put(*MEETING, "dates", 0, "value", value="2024-2-26"), "date value"),
        (put(*MEETING, "dates", 0, "value", value="2024-02-30"), "date value"),
        (put(*MEETING, "dates", 0, "value", value="2024/2025/2026"), "date value"),
        (put(*MEETING, "dates", 0, "value", value=None), "date value"),
        (put(*MEETING, "dates", 0, "role", value="deadline"), "date role"),
        (put(*MEETING, "purpose", value="trams"), "no budget commitment"),
        (put(*MONEY, "amounts", 0, "text", value="8 million"), "amount not in the article"),
        (put(*MONEY, "amounts", 0, "value", value="9000000"), "amount value"),
        (put(*MONEY, "amounts", 0, "unit", value="euro"), "amount unit"),
        (put(*MONEY, "amounts", 0, "kind", value="sum"), "amount kind"),
        (put(*MONEY, "purpose", value="buses"), "purpose not in the article"),
    ],
)
def test_each_rule(change: Callable[[Article], None], said: str) -> None:
    article = copy.deepcopy(good())
    change(article)
    faults = check(article)
    assert len(faults) == 1
    assert said in str(faults[0])
    assert str(faults[0]).startswith("x, ")


def test_shared_runs_of_words_are_found() -> None:
    words = [f"w{k}" for k in range(57)]  # 50 runs of eight
    old = {"id": "old", "text": " ".join(words)}
    borrowed = {"id": "new", "text": " ".join(["W0,", *words[1:13], *(f"v{k}" for k in range(44))])}  # 6 of its 50
    [duplicate] = near_duplicates([borrowed], [{"id": "none", "text": "short"}, old])
    assert (duplicate.article, duplicate.other, duplicate.share) == ("new", "old", 0.12)
    less = {"id": "new", "text": " ".join([*words[:12], *(f"v{k}" for k in range(45))])}  # 5 of its 50
    assert near_duplicates([less], [old]) == []


def test_short_texts_are_compared_whole() -> None:
    assert shingles("Two words") == {("two", "words")}
    assert shingles("...") == set()


def test_ids_that_repeat() -> None:
    assert repeated_ids([{"id": "a"}, {"id": "b"}, {"id": "a"}]) == ["a"]


def test_a_line_that_is_no_article_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for line in ("{", "[]"):
        path.write_text('{"id": "a"}\n\n' + line + "\n", "utf-8")
        with pytest.raises(ValueError, match=r"^x\.jsonl:3: "):
            read(path)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(json.dumps(good()) + "\n", "utf-8")
    assert main([str(one)]) == 0
    assert capsys.readouterr().out == "1 articles, 0 faults\n"
    two.write_text(json.dumps(good() | {"id": "y"}) + "\n", "utf-8")
    assert main([str(one), str(two)]) == 1
    assert "y shares 100 % of its runs of words with x" in capsys.readouterr().out
    two.write_text(json.dumps(good() | {"id": "x", "published": "soon"}) + "\n", "utf-8")
    assert main([str(one), str(two)]) == 1
    assert "x, published 'soon' is no date" in capsys.readouterr().out
