"""Chooses a model's thresholds and fits its confidences: ``python -m training.calibrate MODEL FILE...``.

Thresholds climb, one at a time, to the best mean composite over the files of annotated articles; then the confidences
of events and of arguments are scaled to how often they are right there. ``config.json`` of the model is written anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from app.extraction.encode import Heads, load
from app.extraction.extractor import Extractor
from app.extraction.link import Floats, Slice
from app.extraction.model import THRESHOLDS, EventModel
from app.extraction.segment import Ints, Segmented, load_tokenizer
from app.serving.cpus import available_cpus
from training.corpus import read
from training.evaluate import Document, argument_confidences, as_article, by_id, event_confidences
from training.scoring import Table, score

GRID = tuple(k / 20 for k in range(2, 20))  # a step at a time would stop in the first dip
LEAST_GAIN = 0.02  # of the composite, in points: less is chance


class _KnownHeads(Heads):
    """Heads that read each trigger once, for thresholds do not change what they say."""

    def __init__(self, model: EventModel, segmented: Segmented, vectors: Sequence[Tensor], lanes: Executor) -> None:
        super().__init__(model, segmented, vectors, lanes)
        self._seen: dict[tuple[int, int, int], tuple[Ints, Floats, Floats]] = {}

    def read(self, spans: Ints, types: Ints) -> tuple[list[Slice], Floats]:
        keys = [(int(a), int(b), int(t)) for (a, b), t in zip(spans, types, strict=True)]
        new = [k for k, key in enumerate(keys) if key not in self._seen]
        slices, statuses = super().read(spans[new], types[new])
        for k, (_, index, labels), status in zip(new, slices, statuses, strict=True):
            self._seen[keys[k]] = index, labels, status
        known = [self._seen[key] for key in keys]
        parts: list[Slice] = [(slice(k, k + 1), index, labels) for k, (index, labels, _) in enumerate(known)]
        return parts, np.array([status for _, _, status in known], np.float32).reshape(-1, statuses.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Articles as the model sees them, for extracting from them again and again."""

    extractor: Extractor
    documents: Mapping[str, Document]
    known: Mapping[str, tuple[Segmented, Heads]]

    @classmethod
    def of(cls, model: EventModel, extractor: Extractor, documents: Mapping[str, Document], lanes: Executor) -> Reader:
        known = {}
        for i, document in documents.items():
            segmented = extractor.segment(as_article(document), min_confidence=0.0)
            vectors = extractor.encode_abreast(segmented.windows)
            known[i] = segmented, _KnownHeads(model, segmented, vectors, lanes)
        return cls(extractor, documents, known)

    def table(self, min_confidence: float | None = None) -> Table:
        """The scores with the extractor's present thresholds."""
        found = {
            i: [asdict(event) for event in self.extractor.conclude(segmented, heads, None, min_confidence).events]
            for i, (segmented, heads) in self.known.items()
        }
        return score(self.documents, found)


def choose_thresholds(thresholds: dict[str, float], readers: Sequence[Reader]) -> float:
    """Changes ``thresholds``, those of the readers' extractor, for the best; returns the mean composite."""

    def composite() -> float:
        return fmean(reader.table().composite for reader in readers)

    best, gained = composite(), True
    while gained:
        gained = False
        for name in THRESHOLDS:
            kept = thresholds[name]
            for value in GRID:
                thresholds[name] = value
                found = composite()
                if found > best + LEAST_GAIN:
                    best, kept, gained = found, value, True
                    print(f"{name} {value}: {best:.2f}", flush=True)
            thresholds[name] = kept
    return best


def fit(scored: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Slope and bias of the logits of the scores under which the (score, right) pairs are likeliest."""
    pairs = np.array(scored, np.float64).clip(1e-6, 1 - 1e-6)
    logits, right = np.log(pairs[:, 0] / (1 - pairs[:, 0])), pairs[:, 1]

    def loss(line: npt.NDArray[np.float64]) -> float:
        z = line[0] * logits + line[1]
        return float(np.mean(np.logaddexp(0, z) - right * z) + 1e-3 * (line[0] - 1) ** 2)

    slope, bias = minimize(loss, (1.0, 0.0), bounds=((0.05, None), (None, None))).x
    return round(float(slope), 4), round(float(bias), 4)


def main(model_dir: Path, files: Sequence[Path]) -> None:
    """Calibrates the model in ``model_dir`` on the files."""
    model = load(model_dir, "float32")
    model.config = replace(model.config, scales={})  # the scores as they are
    extractor = Extractor.from_parts(model, load_tokenizer(model_dir), lanes=available_cpus())
    with ThreadPoolExecutor(available_cpus()) as lanes:
        readers = [Reader.of(model, extractor, by_id(read(file)), lanes) for file in files]
        print(f"composite {choose_thresholds(model.config.thresholds, readers):.2f}")
        tables = [reader.table() for reader in readers]
    scales = {
        "event": fit([pair for table in tables for pair in event_confidences(table)]),
        "argument": fit([pair for table in tables for pair in argument_confidences(table)]),
    }
    config = replace(model.config, scales=scales)
    config.write(model_dir)
    print(json.dumps({"thresholds": config.thresholds, "scales": config.scales}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
