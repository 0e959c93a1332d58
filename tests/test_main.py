"""What is loaded by the settings, on the processor that is there."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from small_model import small_model, tokenizer_dir, write
from torch import Tensor

from app import main
from app.extraction.encode import UnfitNumberTypeError
from app.extraction.extractor import Extractor
from app.extraction.model import Linear
from app.extraction.values import Article
from app.serving.protocols import Extractor as AnyExtractor
from app.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(small_model(), tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((tokenizer_dir() / "tokenizer.json").read_bytes())
    monkeypatch.setattr(main, "number_type", lambda: "int8")
    return tmp_path


def quantised(extractor: AnyExtractor) -> bool:
    assert isinstance(extractor, Extractor)
    return all(m.quantised is not None for m in extractor._model.modules() if isinstance(m, Linear))


def test_the_number_type_is_the_processor_s_unless_it_is_set(folder: Path) -> None:
    assert quantised(main.load_extractor(Settings(model_dir=folder), lambda stage, seconds: None))
    plain = main.load_extractor(Settings(model_dir=folder, dtype="float32"), lambda stage, seconds: None)
    assert not quantised(plain)


def test_float32_stands_in_for_a_number_type_that_the_processor_gets_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def saturated(linear: Linear, x: Tensor, *parts: Tensor) -> Tensor:
        return torch.zeros(len(x), linear.out_features)

    monkeypatch.setattr(Linear, "_product", saturated)
    with caplog.at_level(logging.WARNING):
        extractor = main.load_extractor(Settings(model_dir=folder), lambda stage, seconds: None)
    assert "float32 is taken instead" in caplog.text
    assert isinstance(extractor, Extractor)
    assert extractor.extract(Article("Mira Kovač met Jonas Lind in Oslo.")).events
    with pytest.raises(UnfitNumberTypeError):
        main.load_extractor(Settings(model_dir=folder, dtype="int8"), lambda stage, seconds: None)
