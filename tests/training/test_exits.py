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
from training.exits import Seen, choose, main, tell
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
    options = ["--layer", "1", "--size", "32", "--epochs", "30", "--margin", "1.01"]
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
    parts = [own for _, own in segmented.owned()]
    assert len(parts) > 3
    assert parts[0].start == segmented.title_tokens
    assert parts[-1].stop == len(segmented.ids)
    assert [a.stop for a in parts[:-1]] == [b.start for b in parts[1:]]
    for window, own in segmented.owned():
        assert segmented.ids[own].tolist() == window.ids[window.first : window.stop].tolist()


def test_the_threshold_is_below_every_window_with_a_right_event() -> None:
    seen = [Seen(tokens=10, exit=k / 100, found=k >= 30, right=k >= 60) for k in range(100)]
    assert choose(seen, 1.0) == pytest.approx(0.6)
    assert choose(seen, 3.0) == pytest.approx(0.2)
    assert tell("a", seen, 0.65).startswith("a: 65.0% of the tokens left, 30.0% are in windows without an event;")
    assert tell("a", seen, 0.65).endswith("lost 5 of 40 windows with a right one, 30 of 30 with wrong ones alone")
    with pytest.raises(ValueError, match="no event"):
        choose(seen[:60], 3.0)
