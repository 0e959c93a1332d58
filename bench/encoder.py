"""The service's encoder by itself, as a peer process: ``python -m bench.encoder FILE`` of request bodies.

Same model, number type and threads as the service has under the same environment.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from app.api.schemas import ArticleRequest
from app.extraction.segment import Window
from app.main import load_extractor
from app.serving.cpus import number_type
from app.settings import Settings
from bench.processes import answer_lines

PASS_TOKENS = 4096  # so many that no thread is often without a window at the end of a pass


def batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Passes of up to ``batch_tokens``, over the windows by length: the best that batching could do."""
    batch: list[Window] = []
    tokens = 0
    for window in sorted(windows, key=lambda w: w.tokens):
        if batch and tokens + window.tokens > batch_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(window)
        tokens += window.tokens
    if batch:
        yield batch


def main() -> None:
    """Answers ``throughput`` (tokens a second, for some seconds) and ``lone`` (seconds for each article's windows)."""
    settings = Settings()
    extractor = load_extractor(settings, lambda stage, seconds: None)
    threads = ThreadPoolExecutor(settings.encoder_threads)

    def encode(windows: Sequence[Window]) -> None:
        for _ in threads.map(lambda window: extractor.encode([window]), windows):
            pass

    def windows_of(path: str) -> list[list[Window]]:
        lines = Path(path).read_bytes().splitlines()
        articles = [ArticleRequest.model_validate_json(line).query().article for line in lines]
        return [list(extractor.segment(article).windows) for article in articles]

    articles = windows_of(sys.argv[1])
    passes = list(batches([w for windows in articles for w in windows], PASS_TOKENS))
    random.Random(0).shuffle(passes)  # or a short run would see the short windows alone
    turn = 0

    def throughput(seconds: float) -> dict[str, Any]:
        nonlocal turn
        tokens, started = 0, time.perf_counter()
        while (now := time.perf_counter()) - started < seconds:
            batch = passes[turn % len(passes)]
            turn += 1
            encode(batch)
            tokens += sum(w.tokens for w in batch)
        return {"tokens_per_s": tokens / (now - started)}

    def lone(path: str, repeats: int) -> dict[str, Any]:
        times = []
        for windows in windows_of(path):
            for _ in range(repeats):
                started = time.perf_counter()
                encode(windows)
                times.append(time.perf_counter() - started)
        return {"p50_ms": 1000 * statistics.median(times)}

    def answer(what: str, **how: Any) -> dict[str, Any]:
        return throughput(**how) if what == "throughput" else lone(**how)

    throughput(0.5)
    answer_lines(
        {
            "tokens": [sum(w.tokens for w in windows) for windows in articles],
            "windows": [[w.tokens for w in windows] for windows in articles],
            "dtype": number_type() if settings.dtype == "auto" else settings.dtype,
            "threads": settings.encoder_threads,
            "torch": torch.__version__,
            "model": f"{extractor.info.name} {extractor.info.version}",
        },
        answer,
    )


if __name__ == "__main__":
    main()
