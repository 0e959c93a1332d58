"""Weights on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from app.extraction import weights

SIZE = 300  # squared, it is large enough to be quantised


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(4)
    rows = torch.randn(SIZE, SIZE) * torch.logspace(-4, 2, SIZE)[:, None]
    rows[7] = 0.0
    return {"large.weight": rows, "small.weight": torch.randn(3, 5), "bias": torch.randn(SIZE)}


def test_matrices_come_back_to_half_a_step_of_each_row_and_the_rest_exactly(tmp_path: Path) -> None:
    wanted = state()
    weights.write(wanted, tmp_path)
    found = weights.read(tmp_path)
    assert found.keys() == wanted.keys()
    assert {t.dtype for t in found.values()} == {torch.float32}
    step = wanted["large.weight"].abs().amax(dim=1, keepdim=True) / 127
    assert ((found["large.weight"] - wanted["large.weight"]).abs() <= step * 0.5001).all()
    assert torch.equal(found["small.weight"], wanted["small.weight"])
    assert torch.equal(found["bias"], wanted["bias"])
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < SIZE * SIZE * 1.1


def test_written_again_they_stay_the_same(tmp_path: Path) -> None:
    weights.write(state(), tmp_path)
    once = weights.read(tmp_path)
    weights.write(once, tmp_path)
    again = weights.read(tmp_path)
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_shards_keep_to_their_size_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model-00007-of-00009.safetensors").write_bytes(b"old")
    monkeypatch.setattr(weights, "SHARD_BYTES", 100_000)
    wanted = {f"{n}.weight": torch.randn(SIZE, SIZE) for n in range(3)}
    weights.write(wanted, tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    assert all(p.stat().st_size < 101_000 for p in tmp_path.iterdir())
    assert weights.read(tmp_path).keys() == wanted.keys()


def test_missing_and_broken_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights"):
        weights.read(tmp_path)
    weights.write(state(), tmp_path)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="broken"):
        weights.read(tmp_path)
