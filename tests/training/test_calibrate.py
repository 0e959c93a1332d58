"""Thresholds and confidences chosen on annotated articles."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from small_model import small_model, tokenizer_dir

from app.extraction.confidence import Scale
from app.extraction.extractor import Extractor
from app.extraction.model import THRESHOLDS
from app.extraction.values import Article
from training.calibrate import Reader, choose_thresholds, fit, main
from training.evaluate import by_id, evaluate
from training.train import save

TEXTS = ("Anna Berg met Jonas Lind in Oslo on Monday.", "Mira Holm visited Vienna on Friday.", "Nobody came to Geneva.")


@pytest.mark.parametrize("scale", [Scale(0.5, -0.7), Scale(1.0, 0.0), Scale(1.6, 0.4)])
def test_the_line_is_found_by_which_the_pairs_were_drawn(scale: Scale) -> None:
    rng = random.Random(1)
    scores = [rng.uniform(0.02, 0.98) for _ in range(4000)]
    slope, bias = fit([(s, rng.random() < scale.confidence(s)) for s in scores])
    assert slope == pytest.approx(scale.slope, abs=0.12)
    assert bias == pytest.approx(scale.bias, abs=0.12)


def test_thresholds_climb_to_the_best_of_all_files_together() -> None:
    thresholds = dict.fromkeys(THRESHOLDS, 0.5)

    def reader(best: float) -> Reader:
        def composite() -> float:
            return 90 - 40 * (thresholds["location"] - best) ** 2 - 10 * abs(thresholds["event"] - 0.3)

        return cast(Reader, SimpleNamespace(table=lambda: SimpleNamespace(composite=composite())))

    found = choose_thresholds(thresholds, [reader(0.6), reader(0.9)])
    assert thresholds == {**dict.fromkeys(THRESHOLDS, 0.5), "location": 0.75, "event": 0.3}
    assert found == pytest.approx(90 - 40 * 0.15**2)


def test_a_model_is_calibrated_in_its_folder(tmp_path: Path) -> None:
    model = small_model()
    save(model, tokenizer_dir(), tmp_path / "model")
    extractor = Extractor.from_parts(small_model(), Extractor.load(tmp_path / "model")._tokenizer)
    lines = []
    for number, text in enumerate(TEXTS):
        events: list[dict[str, Any]] = [
            {
                "type": e.type, "status": e.status, "purpose": None, "amounts": [],
                "mentions": [{"trigger": m.text, "quote": m.text} for m in e.mentions],
                "participants": [{"name": p.name, "aliases": [], "role": p.role} for p in e.participants],
                "locations": [{"name": p.name, "aliases": [], "country": p.country} for p in e.locations],
                "dates": [],
            }
            for e in extractor.extract(Article(text)).events
        ]  # fmt: skip
        lines.append({"id": f"c-{number}", "published": "2024-05-08", "title": None, "text": text, "events": events})
    assert any(line["events"] for line in lines)
    file = tmp_path / "articles.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    def composite() -> float:
        extractor = Extractor.load(tmp_path / "model")
        return evaluate(extractor, "articles", by_id(lines).values(), thresholds=()).table.composite

    before = composite()
    main(tmp_path / "model", [file])
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    assert composite() >= before > 0
    assert all(slope > 0 and (slope, bias) != (1, 0) for slope, bias in config["scales"].values())
    assert config["thresholds"].keys() == set(THRESHOLDS)
