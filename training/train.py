"""Trains the model: ``python -m training.train --help``.

Seeded; prints progress; keeps the best epoch on the dev articles; stops early when dev no longer gains.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from app.extraction import checksums, link, weights
from app.extraction.encode import (
    argument_logits,
    by_trigger,
    load,
    look_around,
    pack,
    read_views,
    special_ids,
    stitch,
)
from app.extraction.link import Slice
from app.extraction.model import TRANSFORMER, EventModel, span_means
from app.extraction.names import pair_features
from app.extraction.segment import Segmented, load_tokenizer, segment
from app.extraction.values import EVENT_TYPES, Article
from app.serving.cpus import available_cpus
from training import corpus
from training.augment import distort, project
from training.pretrained import initialise
from training.standoff import Gold, attach
from training.targets import IGNORE, Targets, build

MAX_NAME_PAIRS = 200
SYNC = 8  # steps between two meetings of the workers


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One annotated article, ready to be encoded."""

    segmented: Segmented
    targets: Targets


def gather(data: list[Path], standoff: list[Path], texts: list[Path]) -> list[Gold]:
    """The annotated articles of JSONL files, and those of stand-off files whose texts lie in others.

    Raises ValueError for a stand-off record without its text.
    """
    articles = {a["id"]: a for path in texts for a in corpus.read(path)}
    documents = [d for path in data for d in corpus.read(path)]
    for record in (r for path in standoff for r in corpus.read(path)):
        if record["id"] not in articles:
            raise ValueError(f"{record['id']}: no text for this stand-off record")
        documents.append(attach(record, articles[record["id"]]))
    return documents


def losses(model: EventModel, vectors: Tensor, example: Example, rng: random.Random) -> dict[str, Tensor]:
    """The loss of each head on one document's vectors, [tokens, hidden]."""
    seg, targets = example.segmented, example.targets
    out = {
        "trigger": F.cross_entropy(
            model.trigger_logits(vectors),
            torch.from_numpy(targets.trigger_labels),
            ignore_index=IGNORE,
            reduction="sum",
        )
    }
    if not len(targets.spans):
        return out
    spans = torch.from_numpy(targets.spans)
    types = torch.tensor([EVENT_TYPES.index(t) for t in targets.types])
    triggers = model.trigger_vectors(vectors, spans, types)
    views = look_around(targets.spans, types.numpy(), seg.sentences, seg.title_tokens)
    read = read_views(model, vectors, views)
    statuses = model.status_logits(span_means(read, views.triggers))
    out["status"] = F.cross_entropy(statuses, torch.from_numpy(targets.statuses), reduction="sum")
    owner = torch.repeat_interleave(torch.tensor(views.lengths))
    logits = argument_logits(model, read, views, types.numpy())
    labels = torch.from_numpy(targets.argument_labels)[owner, views.index]
    out["argument"] = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    slices = by_trigger(views.lengths, views.index.numpy(), logits.detach().softmax(-1).numpy())
    out.update(_link_loss(model, triggers, slices, example))
    out.update(_name_loss(model, vectors, example, rng))
    return out


def _link_loss(model: EventModel, triggers: Tensor, slices: list[Slice], example: Example) -> dict[str, Tensor]:
    seg, targets = example.segmented, example.targets
    pairs = [
        (a, b)
        for a in range(len(targets.spans))
        for b in range(a + 1, len(targets.spans))
        if targets.types[a] == targets.types[b]
    ]
    if not pairs:
        return {}
    left, right = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    overlap = link.overlaps(slices, len(slices), seg.ids)
    features = torch.from_numpy(link.trigger_features(seg, targets.spans, left, right, overlap))
    scores = model.link_logits(triggers, torch.from_numpy(left), torch.from_numpy(right), features)
    wanted = torch.tensor([float(bool(targets.events[a] & targets.events[b])) for a, b in pairs])
    return {"link": F.binary_cross_entropy_with_logits(scores.float(), wanted, reduction="sum")}


def _name_loss(model: EventModel, vectors: Tensor, example: Example, rng: random.Random) -> dict[str, Tensor]:
    seg, targets = example.segmented, example.targets
    pairs = [
        (a, b, float(i == j))
        for a, (_, i) in enumerate(targets.names)
        for b, (_, j) in enumerate(targets.names[:a])
        if i == j or (i, j) in targets.rivals
    ]
    if not pairs:
        return {}
    pairs = rng.sample(pairs, min(len(pairs), MAX_NAME_PAIRS))
    surfaces = [seg.surface(*span) for span, _ in targets.names]
    means = span_means(vectors, torch.tensor([span for span, _ in targets.names]))
    features = torch.tensor([pair_features(surfaces[a], surfaces[b]) for a, b, _ in pairs])
    left, right = (torch.tensor([pair[side] for pair in pairs]) for side in (0, 1))
    wanted = torch.tensor([w for _, _, w in pairs])
    loss = F.binary_cross_entropy_with_logits(
        model.name_logits(means, left, right, features).float(), wanted, reduction="mean"
    )
    return {"name": loss * 4}


def batches(examples: list[Example], tokens: int, rng: random.Random) -> Iterator[list[Example]]:
    """Random batches of about ``tokens`` tokens."""
    order = list(examples)
    rng.shuffle(order)
    batch: list[Example] = []
    for example in order:
        if batch and sum(e.segmented.tokens for e in batch) + example.segmented.tokens > tokens:
            yield batch
            batch = []
        batch.append(example)
    yield batch


def schedule(step: int, total: int, warmup: float = 0.08) -> float:
    """Linear warm-up, then linear decay to a tenth."""
    start = total * warmup
    return step / start if step < start else 0.1 + 0.9 * (total - step) / (total - start)


def train(
    arguments: argparse.Namespace, evaluate: Callable[[EventModel, Tokenizer], float] | None, rank: int = 0
) -> tuple[float, list[dict[str, float]]]:
    """Trains and writes the best epoch's model to ``arguments.output``; returns its dev score and the history.

    Of ``arguments.workers`` processes this is number ``rank``; the first one alone evaluates and writes.
    """
    torch.manual_seed(arguments.seed)
    shared, noise = random.Random(arguments.seed), random.Random(f"{arguments.seed} {rank}")
    if arguments.init:
        model, source = load(arguments.init, "float32"), arguments.init
        model.drop_exit()
    else:
        model, source = initialise(arguments.encoder, arguments.layers, arguments.reader_layers)
    torch.manual_seed(arguments.seed * 1000 + rank)  # for dropout
    tokenizer = load_tokenizer(source)
    special = special_ids(model.config)
    own = gather(arguments.data, [], [])
    documents = own + gather(arguments.extra, arguments.standoff, arguments.texts)
    headlines = [d["title"] for d in documents if d.get("title")]
    examples = []
    for d in documents:
        segmented = segment(Article(d["text"], d.get("title")), tokenizer, special)
        examples.append(Example(segmented, build(d, segmented)))
    pools = [
        ([e for e in examples[: len(own)] if len(e.targets.spans)], arguments.share),
        ([e for e in examples[len(own) :] if len(e.targets.spans)], 1.0),
        ([e for e in examples if not len(e.targets.spans)], arguments.empty_share),
    ]
    sizes = [round(len(pool) * share) for pool, share in pools]
    tokens = sum(sum(e.segmented.tokens for e in pool) * share for pool, share in pools)
    sample = [e for (pool, _), size in zip(pools, sizes, strict=True) for e in pool[:size]]
    an_epoch = sum(1 for _ in batches(sample, arguments.batch_tokens, random.Random(0)))
    total = arguments.epochs * an_epoch // arguments.workers
    if rank == 0:
        print(f"{sizes} own, extra and empty articles, {tokens:.0f} tokens an epoch; {total} steps", flush=True)

    model.encoder.words.requires_grad_(False)  # keeps the rare words' vectors where pretraining put them
    if model.encoder.relative is not None:
        model.encoder.relative.requires_grad_(False)  # attention with a fixed mask is several times as fast
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    encoder = [p for n, p in named if n.startswith(TRANSFORMER)]
    heads = [p for n, p in named if not n.startswith(TRANSFORMER)]
    optimizer = torch.optim.AdamW(
        [{"params": encoder, "lr": arguments.lr}, {"params": heads, "lr": arguments.head_lr}],
        weight_decay=0.01,
        fused=True,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: schedule(s, total))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(arguments.ema**SYNC))  # type: ignore[no-untyped-call]
    averaged = cast(EventModel, average.module.eval())
    best, stale, history, step = -1.0, 0, [], 0
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        started, sums = time.perf_counter(), dict.fromkeys(("trigger", "status", "argument", "link", "name"), 0.0)
        chosen = [e for (pool, _), size in zip(pools, sizes, strict=True) for e in shared.sample(pool, size)]
        for batch in own_share(list(batches(chosen, arguments.batch_tokens, shared)), rank, arguments.workers):
            seen = [_seen(e, headlines, tokenizer, special, arguments.triggers, noise) for e in batch]
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
                windows = [w for e in seen for w in e.segmented.windows]
                parts = model(*pack(windows)).float().split([w.tokens for w in windows])
                loss, at = torch.zeros(()), 0
                mentions = max(4, sum(len(e.targets.spans) for e in seen))
                for example in seen:
                    count = len(example.segmented.windows)
                    document, _ = stitch(example.segmented, parts[at : at + count])
                    at += count
                    for name, value in losses(model, document, example, noise).items():
                        part = value / mentions * arguments.weights[name]
                        loss = loss + part
                        sums[name] += part.item()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step < total:
                scheduler.step()
            step += 1
            if arguments.workers > 1 and step % SYNC == 0:
                share_means([*encoder, *heads])
            if rank == 0 and step % SYNC == 0:
                average.update_parameters(model)
            if rank == 0 and step % 50 == 0:
                print(f"  step {step}/{total} loss={loss.item():.3g} {time.perf_counter() - started:.0f} s", flush=True)
        row = {"epoch": epoch, "seconds": time.perf_counter() - started, **sums}
        if rank == 0:
            row["dev"] = evaluate(averaged, tokenizer) if evaluate else float(epoch)
            history.append(row)
            print(" ".join(f"{k}={v:.4g}" for k, v in row.items()), flush=True)
            stale = stale + 1 if row["dev"] <= best else 0
            if not stale:
                best = row["dev"]
                save(averaged, source, arguments.output)
        if agreed(stale >= arguments.patience, arguments.workers):
            break
    return best, history


def own_share(batches: list[list[Example]], rank: int, workers: int) -> list[list[Example]]:
    """Every ``workers``-th batch, as many for each worker."""
    return batches[rank : len(batches) - len(batches) % workers : workers]


def share_means(parameters: Sequence[Tensor]) -> None:
    """Replaces parameters by their means over all workers, as in local SGD (Stich 2019)."""
    with torch.no_grad():
        flat = torch.cat([p.reshape(-1) for p in parameters])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        at = 0
        for parameter in parameters:
            parameter.copy_(flat[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()


def agreed(stop: bool, workers: int) -> bool:
    """What the first worker says, to all of them."""
    if workers == 1:
        return stop
    flag = torch.tensor([int(stop)])
    torch.distributed.broadcast(flag, 0)
    return bool(flag.item())


def _seen(
    e: Example,
    headlines: list[str],
    tokenizer: Tokenizer,
    special: tuple[int, int],
    triggers: int,
    rng: random.Random,
) -> Example:
    """The example as training sees it this time: with noise, and with some of its triggers read."""
    noisy = distort(e.segmented.article, headlines, rng)
    segmented, targets = project(e.targets, e.segmented, noisy, tokenizer, special)
    return Example(segmented, sample_triggers(targets, triggers, rng))


def sample_triggers(targets: Targets, most: int, rng: random.Random) -> Targets:
    """At most so many of the triggers for the heads that read them one by one; the tagging keeps all."""
    count = len(targets.spans)
    if count <= most:
        return targets
    kept = sorted(rng.sample(range(count), most))
    return replace(
        targets,
        spans=targets.spans[kept],
        types=tuple(targets.types[k] for k in kept),
        statuses=targets.statuses[kept],
        events=tuple(targets.events[k] for k in kept),
        argument_labels=targets.argument_labels[kept],
    )


def save(model: EventModel, source: Path, output: Path) -> None:
    """Writes config, tokenizer, weights and checksums."""
    output.mkdir(parents=True, exist_ok=True)
    model.config.write(output)
    weights.write(model.state_dict(), output)
    shutil.copy(source / "tokenizer.json", output / "tokenizer.json")
    checksums.write(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="annotated articles, JSONL")
    parser.add_argument("--extra", type=Path, nargs="*", default=[], help="further annotated articles, JSONL")
    parser.add_argument("--share", type=float, default=1.0, help="part of the --data articles seen an epoch")
    parser.add_argument("--init", type=Path, help="folder of a trained model to go on from")
    parser.add_argument("--standoff", type=Path, nargs="*", default=[], help="annotations of articles in --texts")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="articles without annotations, JSONL")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="articles for early stopping")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--encoder", default="minilm", choices=("minilm", "mpnet"))
    parser.add_argument("--layers", type=int, default=0, help="keep this many layers, the first ones; 0 = all")
    parser.add_argument("--reader-layers", type=int, default=1, help="layers that re-read a trigger's surroundings")
    parser.add_argument("--triggers", type=int, default=6, help="triggers of an article whose arguments are read")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--patience", type=int, default=4)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=1.2e-4)
    parser.add_argument("--head-lr", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.995, help="decay of the averaged weights, the ones kept")
    parser.add_argument("--empty-share", type=float, default=0.4, help="articles without events seen an epoch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that train side by side")
    parser.add_argument("--threads", type=int, default=0, help="of each worker; 0 = its part of the cores")
    parser.add_argument("--no-bfloat16", dest="bfloat16", action="store_false")
    parser.add_argument("--weights", type=json.loads, default={})
    arguments = parser.parse_args()
    arguments.weights = {"trigger": 1.0, "status": 0.5, "argument": 0.5, "link": 0.5, "name": 0.5, **arguments.weights}
    if arguments.workers > 1:
        with tempfile.TemporaryDirectory() as folder:
            spawn(_work, (arguments, f"{folder}/meeting"), nprocs=arguments.workers)  # type: ignore[no-untyped-call]
    else:
        _work(0, arguments, None)


def _work(rank: int, arguments: argparse.Namespace, meeting: str | None) -> None:
    """One worker; more than one meet over a file."""
    from training.evaluate import dev_score

    torch.set_num_threads(arguments.threads or max(1, available_cpus() // arguments.workers))
    if meeting:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=arguments.workers, timeout=timedelta(hours=1)
        )
    best, history = train(arguments, dev_score(arguments.dev) if rank == 0 else None, rank)
    if rank == 0:
        report = {"best": best, "history": history, "arguments": {k: str(v) for k, v in vars(arguments).items()}}
        (arguments.output / "training.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
