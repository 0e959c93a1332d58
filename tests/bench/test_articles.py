"""The articles of the benchmark."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from bench.articles import joined, read, sample

LINES = [{"id": f"a{n}", "text": f"Ann met Bob {n} times.", "published": "2024-05-01"} for n in range(9)]


def write(file: Path, lines: list[dict[str, str]]) -> Path:
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return file


def test_articles_of_all_files_in_one_order(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", LINES[:4]), write(tmp_path / "b", LINES[4:])
    found = read([a, b])
    assert sorted(s.article.text for s in found) == [line["text"] for line in LINES]
    assert [s.body for s in found] == [s.body for s in read([a, b])]
    assert read([a, b], most=3) == found[:3]


def test_what_is_sent_is_what_is_taken(tmp_path: Path) -> None:
    [found] = read([write(tmp_path / "a", [{"text": "Ann met Bob.", "title": "Met", "published": "2024-05-01"}])])
    assert found.article.published_at == date(2024, 5, 1)
    assert json.loads(found.body) == {"text": "Ann met Bob.", "title": "Met", "published_at": "2024-05-01"}


def test_annotations_without_a_text_are_passed_over(tmp_path: Path) -> None:
    assert len(read([write(tmp_path / "a", [{"id": "x", "sha256": "00"}, LINES[0]])])) == 1
    with pytest.raises(ValueError, match="no articles"):
        read([write(tmp_path / "b", [{"id": "x"}])])


def test_what_the_service_would_refuse_raises() -> None:
    with pytest.raises(ValueError, match="validation error"):
        sample("Ann met Bob.", published_at="yesterday")


@pytest.mark.parametrize("characters", [1, 30, 1000, 200_000])
def test_a_long_article_has_exactly_the_length(characters: int) -> None:
    samples = [sample(line["text"]) for line in LINES]
    assert len(joined(samples, characters).article.text) == characters
    assert joined(samples, 1000, first=1) != joined(samples, 1000)
