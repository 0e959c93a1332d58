"""The model in Hugging Face's form."""

from __future__ import annotations

from pathlib import Path

import torch
from small_model import small_model, tokenizer_dir

from app.extraction.encode import load
from training.hub import HubModel, export
from training.train import save


def test_an_exported_model_is_read_by_from_pretrained_alone(tmp_path: Path) -> None:
    save(small_model(), tokenizer_dir(), tmp_path / "model")
    export(tmp_path / "model", tmp_path / "hub")
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    theirs = HubModel.from_pretrained(tmp_path / "hub", local_files_only=True).train(False)
    ours = load(tmp_path / "model", "float32")
    assert theirs.network.config == ours.config
    ids = torch.arange(100, 140)
    zeros = torch.zeros_like(ids)
    with torch.inference_mode():
        assert torch.equal(theirs(ids, zeros, zeros, [30, 10]), ours(ids, zeros, zeros, [30, 10]))
