"""The network at work: windows to vectors, and a document's vectors to the heads' probabilities.

Nothing outside this module and `model.py` knows torch at serving time. Vectors leave in float32, so that the heads
compute the same whatever number type the encoder runs in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from app.extraction import checksums, weights
from app.extraction.labels import ARGUMENT_LABELS, TRIGGER_LABELS, disallowed
from app.extraction.link import Floats, Slice
from app.extraction.model import (
    TRANSFORMER,
    EventConfig,
    EventModel,
    ExitHead,
    Linear,
    distance_buckets,
    sentence_buckets,
    span_means,
)
from app.extraction.segment import Ints, Segmented, Window
from app.extraction.values import STATUSES

Dtype = Literal["float32", "bfloat16", "int8"]

REACH = 128  # tokens to each side of a trigger in which its arguments are sought
_PAIRS_AT_ONCE = 8192  # of triggers or mentions compared in one go; bounds the memory
_TOKENS_AT_ONCE = 8192  # of a long article seen by the triggers' head in one go, for the same reason
_PROBE = 16  # rows of the products that are compared when a model is loaded, ...
_TOLERANCE = 0.05  # ... and how far they may be off; rounding makes 0.02 at most
NONE = np.zeros(0, np.int64)
_BARRED = torch.from_numpy(disallowed())


class UnfitNumberTypeError(ValueError):
    """The processor, or its library, computes something else in this number type than in float32."""


class _Undrawn(TorchFunctionMode):
    """Leaves out starting weights where they come from a file; to draw them on no device would import a compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return None if getattr(func, "__module__", None) == nn.init.__name__ else func(*args, **(kwargs or {}))


def load(model_dir: Path, dtype: Dtype) -> EventModel:
    """Reads the model, with the encoder in the number type asked for; OSError or ValueError where it is broken.

    In bfloat16 or int8 it can neither be trained nor saved: its weights are laid out for the processor. Raises
    UnfitNumberTypeError where this processor's products are then not those of float32.
    """
    if not model_dir.is_dir():
        raise FileNotFoundError(f"there is no model folder {model_dir}")
    checksums.verify(model_dir)
    config = EventConfig.read(model_dir)
    encoder = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    state = weights.read(model_dir, lambda name: encoder if name.startswith(TRANSFORMER) else torch.float32)
    with torch.device("meta"), _Undrawn():
        model = EventModel(config)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in state.items()}
    if wrong := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise ValueError(
            f"the weights in the model folder {model_dir.name} are of another model: {', '.join(wrong[:4])}"
        )
    model.load_state_dict(state, assign=True)
    if dtype != "float32":
        for module in model.modules():
            if isinstance(module, Linear):
                _lay_out(module, dtype)
    return model.train(False)


@torch.inference_mode()
def _lay_out(linear: Linear, dtype: Dtype) -> None:
    """Lays a linear map out for the processor, and compares its products before and after."""
    probe = torch.randn(_PROBE, linear.in_features, generator=torch.Generator().manual_seed(0))
    if linear.after_gelu:
        probe = nn.functional.gelu(probe)
    weight, bias = linear.weight.float(), linear.bias.float()
    if dtype == "int8":
        linear.quantise()
    elif torch.ops.mkldnn._is_mkldnn_bf16_supported():
        linear.pack()
    wanted = nn.functional.linear(probe, weight, bias)
    if linear.gelu:
        wanted = nn.functional.gelu(wanted)
    found = linear(probe.to(linear.bias.dtype)).float()
    if not (found - wanted).norm() <= _TOLERANCE * wanted.norm():
        raise UnfitNumberTypeError(f"products in {dtype} are wrong on this processor: set another number type")


def pack(windows: Sequence[Window]) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """The rows of many windows as one: ids, shapes, gaps ([tokens] each) and the windows' lengths."""
    ids, shapes, gaps = (
        torch.from_numpy(np.concatenate([getattr(w, field) for w in windows])) for field in ("ids", "shapes", "gaps")
    )
    return ids, shapes, gaps, [w.tokens for w in windows]


@torch.inference_mode()
def encode(model: EventModel, windows: Sequence[Window]) -> list[Tensor]:
    """A float32 tensor [tokens, hidden] for each window, one after the other.

    Each window is a product of its own. So nothing is padded, and a window's vectors are the same bits whatever else is
    asked for: a matrix product may sum in another order when it has more rows. A window that the encoder left early,
    since it can hold no trigger, has none: [0, hidden].
    """
    return [_unless_left(model, window).float() for window in windows]


def _unless_left(model: EventModel, window: Window) -> Tensor:
    if model.exit is None or not window.may_exit:
        return model(*pack([window]))  # type: ignore[no-any-return]
    x = early(model, window, model.config.exit_layer)
    if exit_score(model.exit, x[window.first : window.stop]) < model.config.exit_threshold:
        return x.new_empty(0, x.shape[1])
    return model.encoder.read(x, [len(x)], model.config.exit_layer)


@torch.inference_mode()
def early(model: EventModel, window: Window, layers: int) -> Tensor:
    """A window's vectors after so many of the encoder's layers, [tokens, hidden]."""
    ids, shapes, gaps, lengths = pack([window])
    return model.encoder.read(model.encoder.embed(ids, shapes, gaps, lengths), lengths, 0, layers)


@torch.inference_mode()
def exit_score(head: ExitHead, own: Tensor) -> float:
    """Probability that a window holds a trigger among its own tokens, whose early vectors are [tokens, hidden]."""
    return float(head(own, [len(own)]).float().logsumexp(0).sigmoid()) if len(own) else 0.0


def stitch(segmented: Segmented, vectors: Sequence[Tensor]) -> tuple[Tensor, Ints]:
    """The windows' vectors as one row for the document, [tokens, hidden], title first; and the tokens without any.

    Those stand in windows that were left early; what a neighbour saw of them, where both overlap, is taken instead.
    """
    read = [(w, own, rows) for (w, own), rows in zip(segmented.owned(), vectors, strict=True) if len(rows)]
    title = [rows[1 : 1 + w.title] for w, _, rows in read[:1]]
    if len(read) == len(segmented.windows):
        return torch.cat([*title, *(rows[w.first : w.stop] for w, _, rows in read)]), NONE
    document = torch.zeros(len(segmented.ids), vectors[0].shape[1])
    unseen = np.arange(len(document)) >= segmented.title_tokens
    for window, own, rows in read:
        first = own.start - (window.first - window.lead)
        held = slice(first, first + len(rows) - window.lead - 1)
        document[held] = rows[window.lead : -1]
        unseen[held] = False
    for window, own, rows in read:  # once more, for each token is its own window's
        document[own] = rows[window.first : window.stop]
    for rows in title:
        document[: len(rows)] = rows
    return document, np.flatnonzero(unseen)


class Heads:
    """The heads of the model on one document, given the vectors of its windows as `encode` makes them; numpy out."""

    def __init__(self, model: EventModel, segmented: Segmented, vectors: Sequence[Tensor], lanes: Executor) -> None:
        self._model = model
        self._lanes = lanes
        self._tokens, self._unseen = stitch(segmented, vectors)
        self._sentences = segmented.sentences
        self._title = segmented.title_tokens

    @torch.inference_mode()
    def triggers(self) -> Floats:
        """Probabilities, [tokens, trigger labels]; a token without a vector is no trigger."""
        seen = torch.ones(len(self._tokens), dtype=torch.bool)
        seen[self._unseen] = False
        found = torch.zeros(len(seen), len(TRIGGER_LABELS))
        found[:, 0] = 1
        parts = (torch.split(x, _TOKENS_AT_ONCE) for x in (self._tokens, seen, found))
        for tokens, mine, rows in zip(*parts, strict=True):
            rows[mine] = self._model.trigger_logits(tokens[mine]).softmax(-1)
        return _numpy(found)

    @torch.inference_mode()
    def trigger_vectors(self, spans: Ints, types: Ints) -> Tensor:
        """Opaque vectors of triggers (spans [triggers, 2], last inclusive; types [triggers]) for the other heads."""
        return self._model.trigger_vectors(self._tokens, torch.from_numpy(spans), torch.from_numpy(types))

    def read(self, spans: Ints, types: Ints) -> tuple[list[Slice], Floats]:
        """What each trigger's surroundings say of it.

        Returns for each trigger the tokens looked at and their label probabilities ([1, tokens, argument labels]), and
        the probabilities of the statuses, [triggers, statuses].
        """

        lows, highs = reach(spans, len(self._sentences), self._title, self._unseen)
        lengths = highs - lows + self._title
        ends = np.cumsum(lengths)
        # All at once and beforehand: small pieces, kept between those that are freed, would hold the heap apart.
        index = np.empty(lengths.sum(), np.int64)
        labels = np.empty((lengths.sum(), len(ARGUMENT_LABELS)), np.float32)
        statuses = np.empty((len(spans), len(STATUSES)), np.float32)

        @torch.inference_mode()
        def one(trigger: int) -> None:
            this = slice(trigger, trigger + 1)
            rows = slice(ends[trigger] - lengths[trigger], ends[trigger])
            views = look_around(spans[this], types[this], self._sentences, self._title, self._unseen)
            read = read_views(self._model, self._tokens, views)
            index[rows] = views.index.numpy()
            labels[rows] = _numpy(argument_logits(self._model, read, views, types[this]).softmax(-1))
            statuses[this] = _numpy(self._model.status_logits(span_means(read, views.triggers)).softmax(-1))

        for _ in self._lanes.map(one, range(len(spans))):
            pass
        return by_trigger(lengths.tolist(), index, labels), statuses

    @torch.inference_mode()
    def links(self, triggers: Tensor, left: Ints, right: Ints, features: Floats) -> Floats:
        """Probability that two triggers name one event, [pairs]."""
        return _of_pairs(self._model.link_logits, triggers, left, right, features)

    @torch.inference_mode()
    def names(self, spans: Ints, left: Ints, right: Ints, features: Floats) -> Floats:
        """Probability that two mentions (spans [mentions, 2], last inclusive) name one participant, [pairs]."""
        means = span_means(self._tokens, torch.from_numpy(spans))
        return _of_pairs(self._model.name_logits, means, left, right, features)


def _of_pairs(
    logits: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], items: Tensor, left: Ints, right: Ints, features: Floats
) -> Floats:
    """Probabilities of pairs of items, some of them at a time, [pairs]."""
    parts = zip(
        *(torch.split(torch.from_numpy(pairs), _PAIRS_AT_ONCE) for pairs in (left, right, features)), strict=True
    )
    return _numpy(torch.cat([logits(items, a, b, rows).sigmoid() for a, b, rows in parts]))


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """The stretches of tokens around triggers, title first, packed: arrays of the shape [rows]."""

    index: Tensor  # which token of the document
    marks: Tensor
    distance: Tensor
    sentence: Tensor
    lengths: list[int]  # rows of each trigger
    triggers: Tensor  # the rows of the trigger itself, [triggers, 2], last inclusive


def reach(spans: Ints, tokens: int, title: int, unseen: Ints = NONE) -> tuple[Ints, Ints]:
    """The first of the tokens around each trigger, and the one behind the last, [triggers] each; the title is apart.

    ``unseen``: the tokens without a vector, in order; they bound it.
    """
    lows = np.maximum(spans[:, 0] - REACH, np.r_[title - 1, unseen][np.searchsorted(unseen, spans[:, 0])] + 1)
    highs = np.minimum(
        spans[:, 1] + REACH + 1, np.r_[unseen, tokens][np.searchsorted(unseen, spans[:, 1], side="right")]
    )
    return lows, highs


def look_around(spans: Ints, types: Ints, sentences: Ints, title: int, unseen: Ints = NONE) -> Views:
    """Views on `REACH` tokens to each side of the triggers; spans [triggers, 2], last inclusive; types [triggers]."""
    lows, highs = reach(spans, len(sentences), title, unseen)
    index = np.concatenate([np.r_[0:title, low:high] for low, high in zip(lows, highs, strict=True)])
    lengths = highs - lows + title
    owner = np.repeat(np.arange(len(spans)), lengths)
    first, last = spans[owner, 0], spans[owner, 1]
    offsets = np.maximum(index - last, 0) + np.minimum(index - first, 0)
    marks = np.where(offsets == 0, 1 + types[owner], 0)
    begins = np.cumsum(lengths) - lengths + title
    return Views(
        torch.from_numpy(index),
        torch.from_numpy(marks),
        distance_buckets(torch.from_numpy(offsets)),
        sentence_buckets(torch.from_numpy(sentences[index] - sentences[first])),
        lengths.tolist(),
        torch.from_numpy(spans - lows[:, None] + begins[:, None]),
    )


def read_views(model: EventModel, tokens: Tensor, views: Views) -> Tensor:
    """The document's tokens [tokens, hidden] as re-read for each view, [rows, hidden]."""
    return model.read(tokens[views.index], views.marks, views.distance, views.sentence, views.lengths)


def argument_logits(model: EventModel, read: Tensor, views: Views, types: Ints) -> Tensor:
    """Logits [rows, argument labels] of what `read_views` gives, without those labels that the types cannot have."""
    owner = torch.repeat_interleave(torch.tensor(views.lengths))
    barred = _BARRED[torch.from_numpy(types)][owner]
    return model.argument_logits(read).float().masked_fill(barred, -1e4)


def by_trigger(lengths: Sequence[int], index: Ints, labels: Floats) -> list[Slice]:
    """Each trigger's rows, ``lengths`` of them: which tokens they are, [rows], and [rows, argument labels]."""
    ends = np.cumsum(lengths, dtype=np.int64)
    parts = zip(np.split(index, ends)[:-1], np.split(labels, ends)[:-1], strict=True)  # nothing is behind the last end
    return [(slice(k, k + 1), tokens, rows[None]) for k, (tokens, rows) in enumerate(parts)]


def special_ids(config: EventConfig) -> tuple[int, int]:
    return config.cls_id, config.sep_id


def _numpy(tensor: Tensor) -> Floats:
    array: Floats = tensor.numpy()
    return array
