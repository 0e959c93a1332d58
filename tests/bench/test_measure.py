"""What the benchmark makes of what came back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.extraction.segment import Window
from bench.encoder import batches
from bench.load import Outcome, Plan
from bench.measure import percentile, summarise
from bench.processes import Usage


def outcome(**changes: object) -> Outcome:
    values: dict[str, object] = {
        "started": 100.0, "seconds": 2.0, "cpu_seconds": 0.1, "done": [0, 1, 1], "latencies": [0.1, 0.2, 0.3],
        "refusals": [0.004], "failed": {504: 2, 500: 1}, "lost": 1, "wrong": 2, "lags": [0.001],
    }  # fmt: skip
    return Outcome(**values | changes)  # type: ignore[arg-type]


def test_figures_of_a_phase() -> None:
    before = Usage(100, 90, 5.0, {"segment": 1.0, "encode": 10.0}, {"segment": 10, "encode": 3})
    after = Usage(102, 95, 8.0, {"segment": 1.2, "encode": 11.0, "link": 0.4}, {"segment": 20, "encode": 5, "link": 10})
    found = summarise("x", Plan(1, Path("b"), concurrency=4), outcome(), [10, 100], before, after, 99.0)
    assert (found.articles_per_s, found.tokens_per_s) == (1.5, 105.0)
    assert (found.p50, found.refusal_p99, found.lag_p99) == (200.0, 4.0, 1.0)
    assert (found.answered, found.refused, found.failed, found.wrong, found.lost) == (3, 1, 3, 2, 1)
    assert (found.server_cores, found.generator_cores, found.rss_mb) == (1.5, 0.05, 99.0)
    assert found.encoder_cores == 0.5
    assert found.stage_ms == {"segment": 20.0, "encode": 100.0, "link": 40.0}
    assert (found.concurrency, found.rate) == (4, None)


def test_figures_where_nothing_came_back() -> None:
    nothing = outcome(done=[], latencies=[], refusals=[], failed={}, lags=[])
    usage = Usage(100, 90, 5.0, {}, {})
    found = summarise("x", Plan(1, Path("b"), rate=3.0), nothing, [], usage, usage, 90.0)
    assert (found.articles_per_s, found.p50, found.refusal_p99, found.encoder_cores) == (0.0, None, None, None)
    assert (found.concurrency, found.rate, found.stage_ms) == (None, 3.0, {})


def test_percentiles_are_in_milliseconds() -> None:
    assert percentile([0.001 * n for n in range(101)], 99) == 99.0
    assert percentile([], 99) is None


@pytest.mark.parametrize("budget", [1, 64, 4096])
def test_batches_hold_every_window_once_and_keep_the_budget(budget: int) -> None:
    def window(tokens: int) -> Window:
        row = np.zeros(tokens, np.int64)
        return Window(row, row, row, 0, tokens, 0)

    windows = [window(n) for n in (50, 3, 20, 3, 40, 64)]
    found = list(batches(windows, budget))
    assert sorted(id(w) for batch in found for w in batch) == sorted(map(id, windows))
    assert [w.tokens for batch in found for w in batch] == sorted(w.tokens for w in windows)
    assert all(len(batch) == 1 or sum(w.tokens for w in batch) <= budget for batch in found)
