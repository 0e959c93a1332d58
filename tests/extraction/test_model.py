"""The network against Hugging Face's own encoders, its buckets, and its files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import small_config, small_model, write
from torch import Tensor
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

from app.extraction.encode import load
from app.extraction.labels import ARGUMENT_LABELS, SLOTS, TRIGGER_LABELS, disallowed, group_probabilities, slot_allowed
from app.extraction.model import (
    DISTANCES,
    SENTENCES,
    Encoder,
    EventConfig,
    EventModel,
    Linear,
    distance_buckets,
    dropout,
    sentence_buckets,
    span_means,
)
from app.extraction.values import EVENT_TYPES, ROLES
from training.pretrained import rename

SIZES: dict[str, Any] = {"vocab_size": 50, "hidden_size": 24, "intermediate_size": 40}
LENGTHS = [3, 1, 200, 17]


def encoder_of(theirs: torch.nn.Module, config: EventConfig, kept: list[int], mpnet: bool) -> Encoder:
    encoder = Encoder(config)
    state = rename({k: v for k, v in theirs.state_dict().items() if "pooler" not in k}, kept, mpnet)
    for name in ("shapes", "gaps"):
        state[f"{name}.weight"] = torch.zeros_like(getattr(encoder, name).weight)
    encoder.load_state_dict(state)
    return encoder.train(False)


def compare(theirs: torch.nn.Module, ours: Encoder, first_id: int) -> None:
    ids = torch.randint(first_id, 50, (sum(LENGTHS),))
    zeros = torch.zeros_like(ids)
    with torch.inference_mode():
        packed = ours(ids, zeros, zeros, LENGTHS)
        for window, wanted in zip(torch.split(ids, LENGTHS), torch.split(packed, LENGTHS), strict=True):
            torch.testing.assert_close(
                theirs(window[None]).last_hidden_state[0], wanted, rtol=1e-4, atol=1e-5, check_stride=False
            )


@pytest.mark.parametrize("kept", [[0, 1, 2], [0, 2]])
def test_equals_bert(kept: list[int]) -> None:
    torch.manual_seed(1)
    theirs = BertModel(
        BertConfig(
            **SIZES, num_hidden_layers=3, num_attention_heads=3, max_position_embeddings=256, initializer_range=0.5
        )
    ).eval()  # type: ignore[no-untyped-call]
    config = EventConfig(**SIZES, num_layers=len(kept), num_heads=3, max_positions=256)
    ours = encoder_of(theirs, config, kept, mpnet=False)
    theirs.encoder.layer = torch.nn.ModuleList(theirs.encoder.layer[k] for k in kept)
    compare(theirs, ours, 0)


def test_equals_mpnet() -> None:
    torch.manual_seed(2)
    theirs = MPNetModel(
        MPNetConfig(
            **SIZES, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=258, initializer_range=0.5
        )
    ).eval()  # type: ignore[no-untyped-call]
    config = EventConfig(
        **SIZES,
        num_layers=2,
        num_heads=3,
        max_positions=258,
        first_position=2,
        relative_buckets=32,
        layer_norm_eps=1e-12,
    )
    compare(theirs, encoder_of(theirs, config, [0, 1], mpnet=True), 2)  # their 1 is padding


def test_shapes_and_gaps_say_something() -> None:
    model = small_model()
    ids = torch.arange(100, 130)
    zeros = torch.zeros_like(ids)
    with torch.inference_mode():
        plain = model(ids, zeros, zeros, [30])
        assert not torch.equal(plain, model(ids, zeros + 2, zeros, [30]))
        assert not torch.equal(plain, model(ids, zeros, zeros + 1, [30]))


def test_loads_from_its_folder_alone(tmp_path: Path) -> None:
    model = small_model()
    model.config.thresholds["event"] = 0.25
    write(model, tmp_path)
    loaded = load(tmp_path, "float32")
    assert loaded.config == model.config
    wanted, found = model.state_dict(), loaded.state_dict()
    assert list(wanted) == list(found)
    assert all(torch.equal(wanted[k], found[k]) for k in wanted)


@pytest.mark.parametrize("text", ["", "[]", '{"hidden_size": ', '{"hidden": 3}', "\x00"])
def test_a_broken_config_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json in the model folder .* is broken"):
        EventConfig.read(tmp_path)


@pytest.mark.parametrize("gelu", [True, False])
def test_packed_maps_compute_the_same(gelu: bool) -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no bfloat16 products")
    torch.manual_seed(4)
    plain = Linear(96, 160, gelu).to(torch.bfloat16)
    packed = copy.deepcopy(plain)
    packed.pack()
    for rows in (1, 7, 130, 400):
        x = torch.randn(rows, 96).to(torch.bfloat16)
        with torch.inference_mode():
            torch.testing.assert_close(packed(x), plain(x), rtol=2e-2, atol=4e-3)


@pytest.mark.parametrize("gelu", [True, False])
def test_quantised_maps_compute_nearly_the_same(gelu: bool) -> None:
    torch.manual_seed(4)
    plain = Linear(96, 160, gelu)
    quantised = copy.deepcopy(plain)
    quantised.quantise()
    with torch.inference_mode():
        for rows in (1, 7, 130, 400):
            x = torch.randn(rows, 96) * torch.logspace(-3, 3, rows)[:, None] + torch.randn(rows, 1)
            wanted, found = plain(x), quantised(x)
            assert ((found - wanted).norm(dim=1) < 0.03 * wanted.norm(dim=1)).all()
            assert torch.equal(quantised(x[rows // 2 :]), found[rows // 2 :])
        same = torch.full((2, 96), 0.25)
        torch.testing.assert_close(quantised(same), plain(same), rtol=0.02, atol=1e-3)


def test_what_comes_from_a_gelu_is_quantised_more_finely() -> None:
    torch.manual_seed(4)
    plain = Linear(384, 160)
    torch.nn.init.normal_(plain.weight, std=0.02)  # as trained weights are: mostly far below the largest
    x = torch.nn.functional.gelu(torch.randn(400, 384) - 1)
    errors = []
    with torch.inference_mode():
        for after_gelu in (False, True):
            quantised = Linear(384, 160, after_gelu=after_gelu)
            quantised.load_state_dict(plain.state_dict())
            quantised.quantise()
            wanted, found = plain(x), quantised(x)
            errors.append((found - wanted).norm(dim=1) / wanted.norm(dim=1))
            assert torch.equal(quantised(x[200:]), found[200:])
    coarse, fine = errors
    assert fine.max() < 0.05
    assert fine.mean() < 0.75 * coarse.mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_mean_and_drops_its_share(dtype: torch.dtype) -> None:
    torch.manual_seed(6)
    x = torch.ones(301, 333, dtype=dtype)
    dropped = dropout(x, 0.1)
    assert dropped.dtype == dtype
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert dropped.float().mean().item() == pytest.approx(1.0, abs=0.02)
    assert len(set(dropped.float().flatten().tolist())) == 2
    assert not torch.equal(dropped, dropout(x, 0.1))
    assert dropout(x, 0.0) is x


def test_thresholds_have_defaults_that_a_config_can_change() -> None:
    assert small_config().thresholds["link"] == 0.5
    changed = EventConfig(thresholds={"link": 0.75})
    assert changed.thresholds == {**small_config().thresholds, "link": 0.75}


def test_span_means() -> None:
    tokens = torch.randn(40, 6)
    spans = torch.tensor([[0, 0], [0, 39], [5, 9], [7, 12], [39, 39], [5, 9]])
    wanted = torch.stack([tokens[a : b + 1].mean(0) for a, b in spans.tolist()])
    torch.testing.assert_close(span_means(tokens, spans), wanted)
    assert span_means(tokens, spans[:0]).shape == (0, 6)


def test_span_means_pass_gradients_on() -> None:
    tokens = torch.randn(5, 2, requires_grad=True)
    span_means(tokens, torch.tensor([[1, 2], [2, 2]])).sum().backward()  # type: ignore[no-untyped-call]
    assert tokens.grad is not None
    assert tokens.grad[:, 0].tolist() == [0.0, 0.5, 1.5, 0.0, 0.0]


def test_distance_buckets() -> None:
    offsets = torch.arange(-800, 801)
    buckets = distance_buckets(offsets)
    half = DISTANCES // 2
    assert buckets.min() >= 0
    assert buckets.max() < DISTANCES
    assert (buckets.diff() >= 0).all()
    assert torch.equal(buckets - half, -(buckets.flip(0) - half))
    assert buckets[800 - 5 : 800 + 6].tolist() == list(range(half - 5, half + 6))
    assert len(set(buckets.tolist())) == DISTANCES


def test_sentence_buckets() -> None:
    assert sentence_buckets(torch.tensor([-99, -5, -4, -1, 0, 1, 4, 5, 99])).tolist() == [0, 0, 0, 3, 4, 5, 8, 8, 8]
    assert SENTENCES == 9


def heads(model: EventModel, tokens: Tensor) -> list[Tensor]:
    spans = torch.tensor([[1, 2], [4, 4]])
    triggers = model.trigger_vectors(tokens, spans, torch.tensor([0, 2]))
    features = torch.zeros(1, 8)
    return [
        model.trigger_logits(tokens),
        model.status_logits(triggers),
        model.link_logits(triggers, torch.tensor([0]), torch.tensor([1]), features),
        model.name_logits(tokens, torch.tensor([0]), torch.tensor([1]), features),
    ]


def test_heads_have_the_shapes_of_the_ontology() -> None:
    shapes = [tuple(t.shape) for t in heads(small_model(), torch.randn(6, 32))]
    assert shapes == [(6, 1 + 2 * len(EVENT_TYPES)), (2, 5), (1,), (1,)]


def test_links_do_not_depend_on_the_order_of_a_pair() -> None:
    model = small_model()
    items, features = torch.randn(4, 32), torch.rand(3, 8)
    a, b = torch.tensor([0, 0, 2]), torch.tensor([1, 3, 3])
    with torch.inference_mode():
        for logits in (model.link_logits, model.name_logits):
            torch.testing.assert_close(logits(items, a, b, features), logits(items, b, a, features))


def test_labels_follow_the_ontology() -> None:
    assert len(set(TRIGGER_LABELS)) == 7
    assert len(set(ARGUMENT_LABELS)) == 1 + 2 * len(SLOTS)
    for kind in EVENT_TYPES:
        allowed = {name for group, name in SLOTS if group == "participant" and slot_allowed(kind, group, name)}
        assert allowed == set(ROLES[kind])
    assert not slot_allowed("visit", "amount", "total")
    assert not slot_allowed("meeting", "purpose", "purpose")
    assert not slot_allowed("meeting", "date", "target")
    assert slot_allowed("budget_commitment", "date", "target")
    assert slot_allowed("visit", "location", "location")
    table = disallowed()
    for t, kind in enumerate(EVENT_TYPES):
        for label, barred in zip(ARGUMENT_LABELS, table[t], strict=True):
            assert barred == (label != "O" and not slot_allowed(kind, *label[2:].split("-")))


def test_group_probabilities_sum_begin_and_inside() -> None:
    labels = np.zeros((2, len(ARGUMENT_LABELS)), np.float32)
    labels[0, ARGUMENT_LABELS.index("B-participant-host")] = 0.25
    labels[0, ARGUMENT_LABELS.index("I-participant-visitor")] = 0.5
    labels[1, ARGUMENT_LABELS.index("I-purpose-purpose")] = 1.0
    assert group_probabilities(labels).tolist() == [[0.75, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]]
