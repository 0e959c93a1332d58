"""The network at work: windows to vectors, and a document's vectors to the heads' probabilities.

Nothing outside this module and `model.py` knows torch at serving time. Vectors leave in float32, so that the heads
compute the same whatever number type the encoder runs in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from app.extraction.model import EventConfig, EventModel, distance_buckets, sentence_buckets, span_means
from app.extraction.segment import Segmented, Window

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Dtype = Literal["float32", "bfloat16"]

REACH = 448  # tokens to each side of a trigger in which its arguments are sought
_SPREAD = 512  # triggers of one slice stand at most this far apart, so that work grows with length alone
_FEWEST = 16  # below this many rows a float32 product may sum in another order


def load(model_dir: Path, dtype: Dtype) -> EventModel:
    """Reads the model, with the encoder in the number type asked for; OSError or ValueError where it is broken."""
    model: EventModel = EventModel.from_pretrained(model_dir, local_files_only=True, dtype=torch.float32)
    model.encoder.to(getattr(torch, dtype))
    model.train(False)
    return model


def pack(windows: Sequence[Window]) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """The rows of many windows as one: ids, shapes, gaps ([tokens] each) and the windows' lengths."""
    ids, shapes, gaps = (
        torch.from_numpy(np.concatenate([getattr(w, field) for w in windows])) for field in ("ids", "shapes", "gaps")
    )
    return ids, shapes, gaps, [w.tokens for w in windows]


@torch.inference_mode()
def encode(model: EventModel, windows: Sequence[Window]) -> list[Tensor]:
    """One pass of the encoder; a float32 tensor [tokens, hidden] for each window.

    The vectors of a window are the same bits whatever else is in the pass.
    """
    ids, shapes, gaps, lengths = pack(windows)
    short = max(0, _FEWEST - sum(lengths))
    if short:
        ids, shapes, gaps = (torch.nn.functional.pad(x, (0, short)) for x in (ids, shapes, gaps))
    vectors = model(ids, shapes, gaps, [*lengths, short] if short else lengths).float()
    return list(vectors.split([*lengths, short] if short else lengths)[: len(windows)])


def stitch(segmented: Segmented, vectors: Sequence[Tensor]) -> Tensor:
    """The windows' vectors as one row for the document, [tokens, hidden], title first."""
    title = [v[1 : 1 + w.title] for w, v in zip(segmented.windows[:1], vectors[:1], strict=True)]
    return torch.cat([*title, *(v[w.first : w.stop] for w, v in zip(segmented.windows, vectors, strict=True))])


class Heads:
    """The heads of the model on one document's vectors, [tokens, hidden]; numpy out."""

    def __init__(self, model: EventModel, segmented: Segmented, vectors: Tensor) -> None:
        self._model = model
        self._tokens = vectors
        self._sentences = torch.from_numpy(segmented.sentences)
        self._title = segmented.title_tokens

    @torch.inference_mode()
    def triggers(self) -> Floats:
        """Probabilities, [tokens, trigger labels]."""
        return _numpy(self._model.trigger_logits(self._tokens).softmax(-1))

    @torch.inference_mode()
    def trigger_vectors(self, spans: Ints, types: Ints) -> Tensor:
        """Opaque vectors of triggers (spans [triggers, 2], last inclusive; types [triggers]) for the other heads."""
        return self._model.trigger_vectors(self._tokens, torch.from_numpy(spans), torch.from_numpy(types))

    @torch.inference_mode()
    def statuses(self, triggers: Tensor) -> Floats:
        """Probabilities, [triggers, statuses]."""
        return _numpy(self._model.status_logits(triggers).softmax(-1))

    @torch.inference_mode()
    def arguments(self, spans: Ints, triggers: Tensor) -> list[tuple[slice, Ints, Floats]]:
        """Slices of ascending triggers: which, the tokens looked at, and probabilities [triggers, tokens, labels]."""
        out = []
        count, first = len(self._tokens), 0
        while first < len(spans):
            stop = first + 1
            while stop < len(spans) and spans[stop, 0] - spans[first, 0] <= _SPREAD and stop - first < 32:
                stop += 1
            low = max(self._title, int(spans[first, 0]) - REACH)
            high = min(count, int(spans[stop - 1, 1]) + REACH + 1)
            index = torch.cat([torch.arange(self._title), torch.arange(low, high)])
            here = torch.from_numpy(spans[first:stop])
            distance = torch.cat(
                [distance_buckets(here, 0, self._title), distance_buckets(here, low, high - low)], dim=1
            )
            sentence = sentence_buckets(self._sentences[here[:, 0]], self._sentences[index])
            logits = self._model.argument_logits(self._tokens[index], triggers[first:stop], distance, sentence)
            out.append((slice(first, stop), index.numpy(), _numpy(logits.softmax(-1))))
            first = stop
        return out

    @torch.inference_mode()
    def links(self, triggers: Tensor, left: Ints, right: Ints, features: Floats) -> Floats:
        """Probability that two triggers name one event, [pairs]."""
        a, b = triggers[torch.from_numpy(left)], triggers[torch.from_numpy(right)]
        return _numpy(self._model.link_logits(a, b, torch.from_numpy(features)).sigmoid())

    @torch.inference_mode()
    def names(self, spans: Ints, left: Ints, right: Ints, features: Floats) -> Floats:
        """Probability that two mentions (spans [mentions, 2], last inclusive) name one participant, [pairs]."""
        means = span_means(self._tokens, torch.from_numpy(spans))
        a, b = means[torch.from_numpy(left)], means[torch.from_numpy(right)]
        return _numpy(self._model.name_logits(a, b, torch.from_numpy(features)).sigmoid())


def special_ids(config: EventConfig) -> tuple[int, int]:
    return config.cls_id, config.sep_id


def _numpy(tensor: Tensor) -> Floats:
    array: Floats = tensor.numpy()
    return array
