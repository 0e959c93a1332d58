"""The early exit learnt from annotated articles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_model import small_model, tokenizer, tokenizer_dir

from app.extraction import checksums
from app.extraction.encode import load
from app.extraction.extractor import Extractor
from app.extraction.segment import segment
from app.extraction.values import Article
from training.exits import Seen, choose, main, own_tokens, tell
from training.train import save

STORY = "Anna Berg met Jonas Lind in Oslo. "
QUIET = "Rain fell over the hills, and the river rose by a metre. "


def article(number: int, eventful: bool) -> dict[str, object]:
    text = QUIET * (1 + number % 7) + (STORY if eventful else "") + QUIET * (number % 5)
    mention = {"trigger": "met", "quote": "Anna Berg met Jonas"}
    event = {
        "type": "meeting", "status": "occurred", "mentions": [mention], "participants": [], "locations": [],
        "dates": [], "amounts": [], "purpose": None,
    }  # fmt: skip
    return {"id": f"x-{number}", "published": None, "title": None, "text": text, "events": [event] * eventful}


def test_the_exit_leaves_windows_without_triggers_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(small_model(), tokenizer_dir(), folder)
    whole = Extractor.load(folder)
    files = {}
    for name, first, count in (("data", 0, 80), ("dev", 100, 20)):
        files[name] = tmp_path / f"{name}.jsonl"
        lines = [json.dumps(article(n, n % 2 == 0)) for n in range(first, first + count)]
        files[name].write_text("\n".join(lines), "utf-8")
    options = ["--layer", "1", "--size", "32", "--epochs", "30", "--lost", "0"]
    main([str(folder), "--data", str(files["data"]), "--dev", str(files["dev"]), *options])
    checksums.verify(folder)
    model = load(folder, "float32")
    assert model.config.exit_layer == 1
    assert 0 < model.config.exit_threshold < 1
    fitted = Extractor.load(folder)
    for number in range(100, 120):
        segmented = fitted.segment(Article(str(article(number, number % 2 == 0)["text"])))
        assert [bool(len(rows)) for rows in fitted.encode(segmented.windows)] == [number % 2 == 0]
    story = Article(str(article(2, True)["text"]))
    assert fitted.extract(story) == whole.extract(story)
    save(model, tokenizer_dir(), folder)  # with its exit
    assert load(folder, "float32").exit is not None


def test_own_tokens_are_all_of_the_text_s() -> None:
    segmented = segment(Article("The talks went on. " * 500, "A title"), tokenizer(), (1, 2))
    parts = [own for _, own in own_tokens(segmented)]
    assert len(parts) > 3
    assert parts[0].start == segmented.title_tokens
    assert parts[-1].stop == len(segmented.ids)
    assert [a.stop for a in parts[:-1]] == [b.start for b in parts[1:]]
    for window, own in own_tokens(segmented):
        assert segmented.ids[own].tolist() == window.ids[window.first : window.stop].tolist()


def test_the_threshold_loses_no_more_than_asked_for() -> None:
    seen = [Seen(tokens=10, exit=k / 100, trigger=0.9 if k % 2 else 0.1) for k in range(100)]
    for lost, most in ((0.0, 0), (0.02, 1), (0.1, 5), (0.5, 25)):
        threshold = choose(seen, 0.5, lost)
        assert sum(one.exit < threshold and one.trigger > 0.5 for one in seen) == most
    assert "50.0% of the tokens left" in tell("a", seen, 0.5, 0.5)
    assert "lost 25 of 50 windows" in tell("a", seen, 0.5, 0.5)
    with pytest.raises(ValueError, match="no event"):
        choose(seen, 0.95, 0.1)
