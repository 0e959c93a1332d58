from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from small_model import small_model, tokenizer_dir

from app.extraction import checksums
from app.extraction.encode import load
from training.train import save


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(small_model(), tokenizer_dir(), tmp_path)
    return tmp_path


def test_a_saved_model_is_loaded_and_its_list_is_that_of_sha256sum(saved: Path) -> None:
    load(saved, "float32")
    names = [line.split()[1] for line in (saved / checksums.NAME).read_text().splitlines()]
    assert names == ["model.safetensors", "tokenizer.json"]
    subprocess.run(["sha256sum", "--check", "--strict", checksums.NAME], cwd=saved, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["bit", "tail", "missing"])
def test_a_harmed_file_is_named(name: str, harm: str, saved: Path) -> None:
    path = saved / name
    whole = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "tail":
        path.write_bytes(whole[:-1000])
    else:
        whole[-1000] ^= 1
        path.write_bytes(whole)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load(saved, "float32")


def test_weights_that_are_not_listed_are_refused(saved: Path) -> None:
    (saved / "model-00002-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="model-00002"):
        load(saved, "float32")


def test_a_list_is_refreshed_by_each_save_and_may_be_missing(saved: Path) -> None:
    before = (saved / checksums.NAME).read_text()
    save(small_model(seed=8), tokenizer_dir(), saved)
    assert (saved / checksums.NAME).read_text() != before
    load(saved, "float32")
    (saved / checksums.NAME).unlink()
    load(saved, "float32")


def test_pickled_weights_are_no_weights(saved: Path) -> None:
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    (saved / checksums.NAME).unlink()
    with pytest.raises(OSError, match="safetensors"):
        load(saved, "float32")
