"""The shape of a DeBERTa-v3-base encoder, with weights of chance, as a peer: ``python -m bench.deberta``.

What a window costs depends on its number of tokens and not on which they are, so random ones do.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2Model

from bench.processes import answer_lines

VOCABULARY = 128_100


def config() -> DebertaV2Config:
    """The sizes of `microsoft/deberta-v3-base`."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": True,
        "position_buckets": 256,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    }
    return DebertaV2Config(**sizes)


@torch.inference_mode()
def tokens_per_s(model: DebertaV2Model, lengths: Sequence[int], size: int, seconds: float) -> float:
    """Tokens (without padding) a second, over batches of ``size`` windows of like lengths, for at least one batch."""
    chance = torch.Generator().manual_seed(0)
    ordered = sorted(lengths)
    batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    random.Random(0).shuffle(batches)
    done, turn, started = 0, 0, time.perf_counter()
    while turn == 0 or time.perf_counter() - started < seconds:
        batch = batches[turn % len(batches)]
        ids = torch.randint(VOCABULARY, (len(batch), max(batch)), generator=chance)
        mask = (torch.arange(max(batch))[None] < torch.tensor(batch)[:, None]).long()
        model(input_ids=ids, attention_mask=mask)
        done += sum(batch)
        turn += 1
    return done / (time.perf_counter() - started)


def main() -> None:
    """Answers with the tokens a second over windows of given ``lengths``, with what was fastest on the first of them.

    The first argument is the number of threads.
    """
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    models = {dtype: DebertaV2Model(config()).train(False).to(dtype) for dtype in (torch.float32, torch.bfloat16)}
    best: tuple[torch.dtype, int] | None = None

    def answer(lengths: list[int], seconds: float) -> dict[str, Any]:
        nonlocal best
        if best is None:
            trials = {
                (dtype, size): tokens_per_s(model, lengths[:size], size, 0)
                for dtype, model in models.items()
                for size in (1, 1, 4, 8)  # the first one twice: it allocates
            }
            best = max(trials, key=lambda trial: trials[trial])
        dtype, size = best
        speed = tokens_per_s(models[dtype], lengths, size, seconds)
        return {"tokens_per_s": speed, "dtype": str(dtype).removeprefix("torch."), "windows_a_batch": size}

    answer_lines({}, answer)


if __name__ == "__main__":
    main()
