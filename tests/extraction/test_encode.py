"""The encoder's pass over packed windows and the heads' views of a document."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_weights
from safetensors.torch import save_file
from small_model import small_config, small_extractor, small_model, special, tokenizer, write
from torch import Tensor

from app.extraction import encode
from app.extraction.encode import REACH, Dtype, Heads
from app.extraction.labels import ARGUMENT_LABELS, disallowed
from app.extraction.model import EventModel, Linear, distance_buckets
from app.extraction.segment import Ints, Segmented, Window, segment
from app.extraction.values import EVENT_TYPES, Article

LANES = ThreadPoolExecutor(2)
TEXTS = [
    "",
    "Met.",
    "Mira met Jonas.",
    "The two delegations met in Oslo and agreed on a date for further talks",
    "Finland pledged $5 million for roads on Friday. " * 8,
    "Ministers visited Vienna and Geneva, where the summit took place. " * 60,
]


def cut(text: str, title: str | None = None) -> Segmented:
    return segment(Article(text, title), tokenizer(), special())


def windows() -> list[Window]:
    return [w for text in TEXTS for title in (None, "Talks") for w in cut(text, title).windows]


def in_dtype(model: EventModel, dtype: Dtype) -> EventModel:
    if dtype == "bfloat16":
        model.encoder.to(torch.bfloat16)
    if dtype == "int8":
        for module in model.modules():
            if isinstance(module, Linear):
                module.quantise()
    return model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("size", ["small", "real"])
def test_a_window_is_the_same_bits_alone_and_in_any_mix(dtype: Dtype, size: str) -> None:
    model, every = small_model(), windows()
    if size == "real":
        torch.manual_seed(5)
        model = EventModel(small_config(hidden_size=384, num_heads=12, intermediate_size=1536, num_layers=1))
        model.train(False)
    in_dtype(model, dtype)
    alone = [encode.encode(model, [w])[0] for w in every]
    assert all(v.dtype == torch.float32 and len(v) == w.tokens for v, w in zip(alone, every, strict=True))
    order = np.random.default_rng(3)
    for many in (2, 3, 5, len(every)):
        chosen = order.permutation(len(every))[:many]
        for k, vectors in zip(chosen, encode.encode(model, [every[k] for k in chosen]), strict=True):
            assert torch.equal(vectors, alone[k])
        for k, [vectors] in zip(chosen, LANES.map(lambda k: encode.encode(model, [every[k]]), chosen), strict=True):
            assert torch.equal(vectors, alone[k])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_the_model_is_loaded_in_the_number_type_asked_for(dtype: Dtype, tmp_path: Path) -> None:
    model = small_model()
    write(model, tmp_path)
    loaded = encode.load(tmp_path, dtype)
    assert not loaded.training
    assert loaded.encoder.words.weight.dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    if dtype != "bfloat16":
        assert {m.quantised is not None for m in loaded.modules() if isinstance(m, Linear)} == {dtype == "int8"}
    assert loaded.event_side.weight.dtype == torch.float32
    window = cut(TEXTS[4]).windows[0]
    found, wanted = encode.encode(loaded, [window])[0], encode.encode(model, [window])[0]
    assert found.dtype == torch.float32
    if dtype == "float32":
        assert torch.equal(found, wanted)
    else:
        assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.999


@pytest.mark.parametrize("wrong", [lambda x: x * 1.1, lambda x: x * float("nan")])
def test_a_processor_that_multiplies_wrongly_is_told(
    wrong: Callable[[Tensor], Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small_model(), tmp_path)
    right = Linear._product
    monkeypatch.setattr(Linear, "_product", lambda linear, *parts: wrong(right(linear, *parts)))
    with pytest.raises(encode.UnfitNumberTypeError, match="int8"):
        encode.load(tmp_path, "int8")
    encode.load(tmp_path, "float32")


def test_a_missing_or_broken_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        encode.load(tmp_path / "none", "float32")
    write(small_model(), tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="broken"):
        encode.load(tmp_path, "float32")
    parts = load_weights(whole)
    del parts["event_side.bias"]
    save_file(parts, weights, {"format": "pt"})
    with pytest.raises(ValueError, match=r"another model: event_side\.bias"):
        encode.load(tmp_path, "float32")
    parts["event_side.bias"] = torch.zeros(3)
    save_file(parts, weights, {"format": "pt"})
    with pytest.raises(ValueError, match=r"another model: event_side\.bias"):
        encode.load(tmp_path, "float32")


def numbered(segmented: Segmented) -> list[Tensor]:
    """Vectors that name the window and the place in it: [tokens, 2]."""
    return [
        torch.stack([torch.full((w.tokens,), float(n)), torch.arange(w.tokens).float()], dim=1)
        for n, w in enumerate(segmented.windows)
    ]


@pytest.mark.parametrize("title", [None, "Talks in Oslo"])
def test_stitching_gives_each_token_its_own_window_s_vector(title: str | None) -> None:
    segmented = cut("Delegates met. " * 700, title)
    assert len(segmented.windows) > 3
    stitched = encode.stitch(segmented, numbered(segmented))
    assert len(stitched) == len(segmented.ids)
    for token, (number, place) in zip(segmented.ids, stitched.long().tolist(), strict=True):
        assert segmented.windows[number].ids[place] == token
    if title:
        assert stitched[: segmented.title_tokens, 0].tolist() == [0.0] * segmented.title_tokens
    with pytest.raises(ValueError, match="zip"):
        encode.stitch(segmented, numbered(segmented)[1:])


def spans_of(segmented: Segmented, count: int, step: int) -> tuple[Ints, Ints]:
    firsts = segmented.title_tokens + np.arange(count) * step
    return np.stack([firsts, firsts + np.arange(count) % 2], axis=1), np.arange(count) % len(EVENT_TYPES)


def test_views_hold_the_title_and_the_surroundings() -> None:
    segmented = cut("Delegates met in Oslo. " * 200, "Talks in Oslo")
    title, count = segmented.title_tokens, len(segmented.ids)
    spans = np.array([[title, title], [title + 300, title + 302], [count - 1, count - 1]])
    views = encode.look_around(spans, np.array([0, 1, 2]), segmented.sentences, title)
    parts = torch.split(views.index, views.lengths)
    assert parts[0].tolist() == [*range(title), *range(title, title + REACH + 1)]
    assert parts[1].tolist() == [*range(title), *range(title + 300 - REACH, title + 302 + REACH + 1)]
    assert parts[2].tolist() == [*range(title), *range(count - 1 - REACH, count)]
    for (first, last), (low, high) in zip(spans.tolist(), views.triggers.tolist(), strict=True):
        assert views.index[low : high + 1].tolist() == list(range(first, last + 1))
    assert views.marks[views.marks > 0].tolist() == [1, 2, 2, 2, 3]
    begin = 0
    for (first, last), length in zip(spans.tolist(), views.lengths, strict=True):
        rows = slice(begin, begin + length)
        index = views.index[rows]
        offsets = torch.where(index > last, index - last, torch.where(index < first, index - first, 0))
        assert torch.equal(views.distance[rows], distance_buckets(offsets))
        assert views.sentence[rows][views.marks[rows] > 0].tolist() == [4] * (last - first + 1)
        begin += length


def heads_of(segmented: Segmented) -> Heads:
    extractor = small_extractor()
    return Heads(small_model(), segmented, encode.stitch(segmented, extractor.encode(segmented.windows)), LANES)


@pytest.mark.parametrize("title", [None, "Talks in Oslo"])
def test_each_trigger_reads_the_same_alone_and_among_others(title: str | None) -> None:
    segmented = cut("Mira met Jonas in Oslo on Tuesday. Finland pledged $5 million for roads. " * 40, title)
    heads = heads_of(segmented)
    spans, types = spans_of(segmented, 37, 15)
    slices, statuses = heads.read(spans, types)
    assert [(s.start, s.stop) for s, _, _ in slices] == [(k, k + 1) for k in range(37)]
    assert statuses.shape == (37, 5)
    np.testing.assert_allclose(statuses.sum(axis=1), 1, rtol=1e-5)
    for k in (0, 7, 15, 16, 36):
        [(_, index, labels)], status = heads.read(spans[k : k + 1], types[k : k + 1])
        assert index.tolist() == slices[k][1].tolist()
        np.testing.assert_allclose(labels, slices[k][2], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(status[0], statuses[k], rtol=1e-4, atol=1e-6)


def test_labels_that_a_type_cannot_have_get_no_probability() -> None:
    segmented = cut("Mira met Jonas in Oslo on Tuesday for $5 million for roads.")
    spans, types = np.array([[1, 1]] * 3), np.arange(3)
    slices, _ = heads_of(segmented).read(spans, types)
    for kind, (_, _, labels) in zip(types, slices, strict=True):
        assert labels.shape == (1, len(segmented.ids), len(ARGUMENT_LABELS))
        np.testing.assert_allclose(labels.sum(axis=-1), 1, rtol=1e-5)
        assert (labels[0][:, disallowed()[kind]] == 0).all()


def test_heads_without_triggers_or_tokens() -> None:
    for text in ("", "Nothing happened."):
        segmented = cut(text)
        heads = heads_of(segmented)
        none = np.zeros((0, 2), np.int64)
        assert heads.triggers().shape == (len(segmented.ids), 7)
        assert heads.trigger_vectors(none, none[:, 0]).shape == (0, 32)
        slices, statuses = heads.read(none, none[:, 0])
        assert slices == []
        assert statuses.shape == (0, 5)


def test_pairs_get_probabilities() -> None:
    segmented = cut("Mira met Jonas in Oslo. The talks went on.")
    heads = heads_of(segmented)
    spans, types = np.array([[1, 1], [7, 7]]), np.array([0, 0])
    vectors = heads.trigger_vectors(spans, types)
    left, right = np.array([0]), np.array([1])
    features = np.zeros((1, 8), np.float32)
    for scores in (heads.links(vectors, left, right, features), heads.names(spans, left, right, features)):
        assert scores.shape == (1,)
        assert 0 < scores[0] < 1
