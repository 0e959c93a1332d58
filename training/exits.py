"""Fits a model's early exit: ``python -m training.exits --help``.

Early exit (BranchyNet, Teerapittayanon 2016): a head behind one of the first layers learns from annotated articles
which windows hold a trigger; the encoder stays as it is. Then the threshold is set by articles that were not learnt
from, well below what the exit says of any window in which the whole model rightly finds an event. The head is written
beside the model's weights, its sizes and threshold into ``config.json``.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from app.extraction import checksums, weights
from app.extraction.encode import Heads, early, encode, exit_score, load, special_ids
from app.extraction.model import EventModel, ExitHead
from app.extraction.segment import Segmented, load_tokenizer, segment
from app.extraction.values import Article
from app.serving.cpus import available_cpus
from training.corpus import read
from training.targets import build
from training.train import gather, schedule

BATCH = 16  # windows
TOKEN_WEIGHT = 0.1  # of the loss at each token, beside that of whole windows
NOISE = 0.1  # share of the early vectors' elements that training sets to 0

Gold = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The early vectors of a window's own tokens, [tokens, hidden] in float16, and which of them are in triggers."""

    early: Tensor
    triggers: Tensor  # [tokens], 0 or 1


def samples(model: EventModel, tokenizer: Tokenizer, documents: Sequence[Gold], layer: int) -> list[Sample]:
    """All windows of annotated articles that have tokens of their own."""

    def of(document: Gold) -> list[Sample]:
        segmented = _segment(document, tokenizer, model)
        labels = torch.from_numpy(build(document, segmented).trigger_labels > 0).float()
        found = []
        for window, own in segmented.owned():
            if own.stop > own.start:
                vectors = early(model, window, layer)[window.first : window.stop]
                found.append(Sample(vectors.half(), labels[own]))
        return found

    with ThreadPoolExecutor(available_cpus()) as threads:
        return [sample for some in threads.map(of, documents) for sample in some]


def fit(head: ExitHead, learnt: Sequence[Sample], epochs: int, rate: float, seed: int) -> Iterator[float]:
    """Trains the head; yields the mean loss of each epoch."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    steps = -(-len(learnt) // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step + 1, epochs * steps))
    head.train()
    for _ in range(epochs):
        total = 0.0
        order = rng.sample(range(len(learnt)), len(learnt))
        for begin in range(0, len(order), BATCH):
            batch = [learnt[k] for k in order[begin : begin + BATCH]]
            lengths = [len(sample.triggers) for sample in batch]
            vectors = F.dropout(torch.cat([sample.early for sample in batch]).float(), NOISE)
            logits, triggers = head(vectors, lengths), torch.cat([sample.triggers for sample in batch])
            windows = torch.stack([part.logsumexp(0) for part in torch.split(logits, lengths)])
            wanted = torch.stack([part.amax() for part in torch.split(triggers, lengths)])
            tokens = F.binary_cross_entropy_with_logits(logits, triggers, reduction="sum") / len(batch)
            loss = F.binary_cross_entropy_with_logits(windows, wanted) + TOKEN_WEIGHT * tokens
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            total += loss.item()
        yield total / steps
    head.eval()


@dataclass(frozen=True, slots=True)
class Seen:
    """A window's tokens, what the exit says of it, whether the whole model finds an event in it, and a right one."""

    tokens: int
    exit: float
    found: bool
    right: bool


def look(model: EventModel, head: ExitHead, layer: int, tokenizer: Tokenizer, documents: Sequence[Gold]) -> list[Seen]:
    """What the exit and the whole model say of each window; the model has no exit of its own."""

    def of(document: Gold) -> list[Seen]:
        segmented = _segment(document, tokenizer, model)
        with ThreadPoolExecutor(1) as lane:
            heads = Heads(model, segmented, encode(model, segmented.windows), lane)
            found = 1 - heads.triggers()[:, 0] >= model.config.thresholds["event"]
            right = found & (build(document, segmented).trigger_labels > 0)
            seen = []
            for window, own in segmented.owned():
                score = exit_score(head, early(model, window, layer)[window.first : window.stop])
                seen.append(Seen(window.tokens, score, bool(found[own].any()), bool(right[own].any())))
        return seen

    with ThreadPoolExecutor(available_cpus()) as threads:
        return [seen for some in threads.map(of, documents) for seen in some]


def choose(seen: Iterable[Seen], margin: float) -> float:
    """The threshold: a ``margin``-th of the least score of the windows in which the model rightly finds an event."""
    right = [one.exit for one in seen if one.right]
    if not right:
        raise ValueError("the model finds no event in the articles by which the threshold is set")
    return round(min(right) / margin, 6)


def tell(name: str, seen: Sequence[Seen], threshold: float) -> str:
    """What the exit does on a file, in a line."""
    left = [one for one in seen if one.exit < threshold]
    tokens = sum(one.tokens for one in seen)
    return (
        f"{name}: {sum(one.tokens for one in left) / tokens:.1%} of the tokens left, "
        f"{sum(one.tokens for one in seen if not one.found) / tokens:.1%} are in windows without an event; lost "
        f"{sum(one.right for one in left)} of {sum(one.right for one in seen)} windows with a right one, "
        f"{sum(one.found and not one.right for one in left)} of {sum(one.found and not one.right for one in seen)} "
        "with wrong ones alone"
    )


def _segment(document: Gold, tokenizer: Tokenizer, model: EventModel) -> Segmented:
    return segment(Article(document["text"], document.get("title")), tokenizer, special_ids(model.config))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="annotated articles to learn from, JSONL")
    parser.add_argument("--standoff", type=Path, nargs="*", default=[], help="annotations of articles in --texts")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="articles without annotations, JSONL")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="articles that set the threshold")
    parser.add_argument("--layer", type=int, required=True, help="of the encoder, behind which windows are left")
    parser.add_argument("--size", type=int, default=192, help="of the head")
    parser.add_argument("--margin", type=float, default=3.0, help="by which unseen windows with events may score less")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)

    model, tokenizer = load(options.model, "float32"), load_tokenizer(options.model)
    model.drop_exit()
    torch.set_num_threads(1)
    learnt = samples(model, tokenizer, gather(options.data, options.standoff, options.texts), options.layer)
    print(f"{len(learnt)} windows, {sum(bool(s.triggers.any()) for s in learnt)} with triggers", flush=True)
    torch.set_num_threads(available_cpus())
    torch.manual_seed(options.seed)
    config = replace(model.config, exit_layer=options.layer, exit_size=options.size)
    head = ExitHead(config)
    for epoch, loss in enumerate(fit(head, learnt, options.epochs, options.lr, options.seed), 1):
        print(f"epoch {epoch} loss={loss:.4g}", flush=True)
    torch.set_num_threads(1)
    files = {path.name: look(model, head, options.layer, tokenizer, read(path)) for path in options.dev}
    threshold = choose((one for seen in files.values() for one in seen), options.margin)
    print(f"threshold {threshold}")
    for name, seen in files.items():
        print(tell(name, seen, threshold))
    weights.add({f"exit.{name}": tensor for name, tensor in head.state_dict().items()}, options.model, "exit")
    replace(config, exit_threshold=threshold).write(options.model)
    checksums.write(options.model)


if __name__ == "__main__":
    main()
