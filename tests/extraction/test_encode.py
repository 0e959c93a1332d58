"""The encoder's pass over packed windows and the heads' views of a document."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_weights
from safetensors.torch import save_file
from small_model import (
    small_config,
    small_extractor,
    small_model,
    small_model_with_exit,
    special,
    tokenizer,
    write,
)
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
    stitched, unseen = encode.stitch(segmented, numbered(segmented))
    assert not len(unseen)
    assert len(stitched) == len(segmented.ids)
    for token, (number, place) in zip(segmented.ids, stitched.long().tolist(), strict=True):
        assert segmented.windows[number].ids[place] == token
    if title:
        assert stitched[: segmented.title_tokens, 0].tolist() == [0.0] * segmented.title_tokens
    with pytest.raises(ValueError, match="zip"):
        encode.stitch(segmented, numbered(segmented)[1:])


@pytest.mark.parametrize("title", [None, "Talks in Oslo"])
@pytest.mark.parametrize("left", [{0}, {1}, {3}, {0, 1}, {1, 2}, {0, 2, 3}, {0, 1, 2, 3}])
def test_tokens_of_windows_left_early_have_what_their_neighbours_saw_of_them(left: set[int], title: str | None) -> None:
    segmented = cut("Delegates met. " * 550, title)
    assert len(segmented.windows) == 4
    vectors = [v[: len(v) * (k not in left)] for k, v in enumerate(numbered(segmented))]
    stitched, unseen = encode.stitch(segmented, vectors)
    whole, _ = encode.stitch(segmented, numbered(segmented))
    owner = whole[:, 0].long().tolist()
    seen = [t for t in range(len(segmented.ids)) if t not in unseen.tolist()]
    for token in seen[segmented.title_tokens * (len(left) == 4) :]:
        number, place = stitched[token].long().tolist()
        assert number not in left
        assert segmented.windows[number].ids[place] == segmented.ids[token]
        if owner[token] not in left:
            assert torch.equal(stitched[token], whole[token])
    for token in unseen.tolist():
        assert token >= segmented.title_tokens
        assert owner[token] in left
        assert stitched[token].tolist() == [0.0, 0.0]
        held = [w for k, w in enumerate(segmented.windows) if k not in left]
        assert not any(token in text_tokens(segmented, w) for w in held)
    if left == {1}:
        assert 0 < sum(k == 1 for k in owner) - len(unseen) <= 2 * 96


def text_tokens(segmented: Segmented, window: Window) -> range:
    """Which tokens of the document a window holds."""
    at = segmented.title_tokens
    for one in segmented.windows:
        if one is window:
            first = at - (one.first - one.lead)
            return range(first, first + one.tokens - one.lead - 1)
        at += one.stop - one.first
    raise AssertionError


def test_a_window_that_can_hold_no_trigger_is_left_and_any_other_read_as_without_an_exit() -> None:
    every = windows()
    scores = []
    for window in every:
        model = small_model_with_exit(0.0)
        assert model.exit is not None
        early = encode.early(model, window, 1)
        scores.append(encode.exit_score(model.exit, early[window.first : window.stop]))
    assert len(set(scores)) > len(every) // 2
    threshold = float(np.median(scores))
    model, whole = small_model_with_exit(threshold), small_model()
    for window, score, vectors in zip(every, scores, encode.encode(model, every), strict=True):
        if score < threshold:
            assert vectors.shape == (0, 32)
        else:
            assert torch.equal(vectors, encode.encode(whole, [window])[0])
        unhurried = replace(window, may_exit=False)
        assert torch.equal(encode.encode(model, [unhurried])[0], encode.encode(whole, [window])[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_an_exit_is_loaded_with_the_model_and_dropped_for_another_encoder(dtype: Dtype, tmp_path: Path) -> None:
    model = small_model_with_exit(0.5)
    write(model, tmp_path)
    loaded = encode.load(tmp_path, dtype)
    window = cut(TEXTS[4]).windows[0]
    rows = encode.encode(small_model(), [window])[0]
    assert loaded.exit is not None
    scores = [encode.exit_score(m.exit, rows.to(m.exit.norm.weight.dtype)) for m in (model, loaded) if m.exit]
    assert scores[0] == pytest.approx(scores[1], rel=0.02)
    loaded.drop_exit()
    assert loaded.config.exit_layer == 0
    assert not any(name.startswith("exit.") for name in loaded.state_dict())
    assert len(encode.encode(loaded, [window])[0]) == window.tokens


def test_no_trigger_is_seen_where_no_window_was_read_and_reading_ends_there() -> None:
    segmented = cut("Mira met Jonas in Oslo on Tuesday. " * 200, "Talks in Oslo")
    vectors = small_extractor().encode(segmented.windows)
    assert len(vectors) > 3
    vectors[1] = vectors[1][:0]
    heads = Heads(small_model(), segmented, vectors, LANES)
    whole = heads_of(segmented).triggers()
    _, unseen = encode.stitch(segmented, vectors)
    found = heads.triggers()
    assert (found[unseen] == [1.0, *[0.0] * 6]).all()
    owner = encode.stitch(segmented, numbered(segmented))[0][:, 0].numpy()
    own = owner != 1
    np.testing.assert_allclose(found[own], whole[own], rtol=1e-4, atol=1e-6)
    before, behind = unseen[0] - 1, unseen[-1] + 1
    spans = np.array([[before - 3, before - 3], [behind + 2, behind + 3], [unseen[5], unseen[6]]])
    slices, _ = heads.read(spans, np.array([0, 1, 2]))
    title = list(range(segmented.title_tokens))
    assert slices[0][1].tolist() == [*title, *range(before - 3 - REACH, before + 1)]
    assert slices[1][1].tolist() == [*title, *range(behind, behind + 3 + REACH + 1)]
    assert slices[2][1].tolist() == [*title, unseen[5], unseen[6]]  # no crash where a word reaches into the unseen


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
    return Heads(small_model(), segmented, extractor.encode(segmented.windows), LANES)


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
