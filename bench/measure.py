"""The parts of the benchmark: each drives a running service or a peer for a bounded time and gives its figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.articles import Sample, joined
from bench.load import Outcome, Plan, generate
from bench.processes import Peer, ProcessError, Server, Usage

LENGTHS = (20_000, 50_000, 100_000, 200_000)  # characters
LONE = 3_000
SHORT = 1_500
WARM_UP_S = 2.0
ALONE_S = 3600.0  # by then each article must have been answered once, ...
FLAT_S = 3600.0  # ... and after that the look at the memory ends


@dataclass(frozen=True)
class Phase:
    """One stretch of load. Latencies in milliseconds; None where there is nothing to count.

    ``encoder_cores``: how many of its threads ran at a time, ``stage_ms``: a stage's time for each article;
    ``server_cores`` and ``generator_cores``: processor seconds a second. ``lag_p99``: how late requests were sent.
    """

    name: str
    concurrency: int | None
    rate: float | None
    seconds: float
    articles_per_s: float
    tokens_per_s: float
    p50: float | None
    p95: float | None
    p99: float | None
    answered: int
    refused: int
    refusal_p99: float | None
    failed: int
    wrong: int
    lost: int
    rss_mb: float
    server_cores: float
    generator_cores: float
    lag_p99: float | None
    encoder_cores: float | None
    stage_ms: dict[str, float]


@dataclass(frozen=True)
class Bodies:
    """Articles in a file, as the load generator takes them, with the tokens of their windows."""

    file: Path
    samples: Sequence[Sample]
    tokens: Sequence[int]

    def mean_tokens(self) -> float:
        """Tokens an article."""
        return sum(self.tokens) / len(self.tokens)


def write(samples: Sequence[Sample], file: Path) -> Path:
    """The request bodies, one a line."""
    file.write_bytes(b"\n".join(sample.body for sample in samples) + b"\n")
    return file


def percentile(seconds: Sequence[float], percent: float) -> float | None:
    """In milliseconds."""
    return round(1000 * float(np.percentile(seconds, percent)), 2) if seconds else None


def phase(name: str, server: Server, plan: Plan, tokens: Sequence[int]) -> Phase:
    """Carries a plan out and puts the figures of its measured time together; ``tokens``: of each body."""
    return _watched(name, server, plan, generate(plan), tokens)


def _watched(name: str, server: Server, plan: Plan, outcome: Outcome, tokens: Sequence[int]) -> Phase:
    until = outcome.started + outcome.seconds
    before, after = server.used(outcome.started, until)
    return summarise(name, plan, outcome, tokens, before, after, server.peak_mb(outcome.started, until))


def summarise(
    name: str, plan: Plan, outcome: Outcome, tokens: Sequence[int], before: Usage, after: Usage, peak_mb: float
) -> Phase:
    """The figures of an outcome, and of what the server had used at the begin and the end of it."""
    seconds = outcome.seconds
    spent = {stage: total - before.stage_s.get(stage, 0.0) for stage, total in after.stage_s.items()}
    articles = after.stage_runs.get("segment", 0.0) - before.stage_runs.get("segment", 0.0)
    return Phase(
        name=name,
        concurrency=None if plan.rate else plan.concurrency,
        rate=plan.rate,
        seconds=round(seconds, 2),
        articles_per_s=round(len(outcome.done) / seconds, 2),
        tokens_per_s=round(sum(tokens[index] for index in outcome.done) / seconds, 1),
        p50=percentile(outcome.latencies, 50),
        p95=percentile(outcome.latencies, 95),
        p99=percentile(outcome.latencies, 99),
        answered=len(outcome.done),
        refused=len(outcome.refusals),
        refusal_p99=percentile(outcome.refusals, 99),
        failed=sum(outcome.failed.values()),
        wrong=outcome.wrong,
        lost=outcome.lost,
        rss_mb=round(peak_mb, 1),
        server_cores=round((after.cpu_s - before.cpu_s) / seconds, 3),
        generator_cores=round(outcome.cpu_seconds / seconds, 3),
        lag_p99=percentile(outcome.lags, 99),
        encoder_cores=round(spent["encode"] / seconds, 3) if "encode" in spent else None,
        stage_ms={stage: round(1000 * s / articles, 3) for stage, s in spent.items()} if articles > 0 else {},
    )


def alone(server: Server, bodies: Path, answers: Path, count: int) -> None:
    """Writes the answer to each article as it is given with nothing beside it."""
    outcome = generate(Plan(server.port, bodies, count=count, seconds=ALONE_S, keep=answers))
    if len(outcome.done) != count:
        raise ProcessError(f"{count - len(outcome.done)} of {count} articles were not answered: {outcome.failed}")


@dataclass(frozen=True)
class Lone:
    """A lone article, end to end and in the encoder by itself; medians in milliseconds, and those of each round."""

    p50: float
    encoder_p50: float
    rounds: list[tuple[float, float]]


def lone(server: Server, encoder: Peer, samples: Sequence[Sample], folder: Path, *, rounds: int, articles: int) -> Lone:
    """Articles of 3,000 characters, one at a time, in turns with the encoder's passes over their windows."""
    bodies = write([joined(samples, LONE, first=7 * i) for i in range(articles)], folder / "lone.jsonl")
    plan = Plan(server.port, bodies, count=articles, seconds=120)
    generate(plan)
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        whole = percentile(generate(plan).latencies, 50)
        own = encoder.ask(what="lone", path=str(bodies), repeats=1)["p50_ms"]
        if whole is None:
            raise ProcessError("lone articles were not answered")
        found.append((whole, own))
    whole_p50, own_p50 = (round(statistics.median(column), 2) for column in zip(*found, strict=True))
    return Lone(whole_p50, own_p50, found)


@dataclass(frozen=True)
class LongArticle:
    """An article alone: the best of some times, in seconds, and the memory of the server by then."""

    characters: int
    seconds: float
    rss_mb: float


def long_articles(server: Server, samples: Sequence[Sample], folder: Path, repeats: int) -> list[LongArticle]:
    """One article of each length, by itself."""
    found = []
    for characters in LENGTHS:
        bodies = write([joined(samples, characters)], folder / f"long-{characters}.jsonl")
        outcome = generate(Plan(server.port, bodies, count=repeats, seconds=300))
        if not outcome.latencies:
            raise ProcessError(f"an article of {characters} characters was not answered: {outcome.failed}")
        best = min(outcome.latencies)
        found.append(LongArticle(characters, round(best, 3), round(server.peak_mb(outcome.started), 1)))
    return found


@dataclass(frozen=True)
class Beside:
    """Short articles with nothing beside them, and while one of 200,000 characters is always being worked on."""

    normal: Phase
    beside: Phase
    long_answered: int


def beside_long(server: Server, short: Bodies, folder: Path, *, rate: float, seconds: float, answers: Path) -> Beside:
    """Short articles come at ``rate`` a second both times. Needs the file that `long_articles` wrote."""
    plan = Plan(server.port, short.file, rate=rate, seconds=seconds, warm_up_s=WARM_UP_S, answers=answers)
    normal = phase("short articles", server, plan, short.tokens)
    long = Plan(server.port, folder / f"long-{LENGTHS[-1]}.jsonl", seconds=seconds + 2 * WARM_UP_S)
    with ThreadPoolExecutor() as pool:
        background = pool.submit(generate, long)
        beside = phase("short beside a long one", server, plan, short.tokens)
        return Beside(normal, beside, len(background.result().done))


@dataclass(frozen=True)
class Flatness:
    """Memory (megabytes) while many requests went through: of the first tenth of the time, and of the last."""

    phase: Phase
    first_mb: float
    last_mb: float
    series: list[tuple[float, float]]  # seconds, megabytes


def flatness(server: Server, short: Bodies, requests: int, answers: Path) -> Flatness:
    """So many short articles, 16 at a time."""
    plan = Plan(server.port, short.file, concurrency=16, count=requests, seconds=FLAT_S, answers=answers)
    outcome = generate(plan)
    figures = _watched("flatness", server, plan, outcome, short.tokens)
    samples = [(u.at - outcome.started, u.rss_mb) for u in server.usage]
    series = [(round(at, 2), round(mb, 1)) for at, mb in samples if 0 <= at <= outcome.seconds]
    tenth = max(1, len(series) // 10)
    first, last = (statistics.median(mb for _, mb in part) for part in (series[:tenth], series[-tenth:]))
    return Flatness(figures, first, last, series)


@dataclass(frozen=True)
class Round:
    """One round of the comparison: everything measured, one after the other, on the same articles."""

    service: Phase
    encoder_tokens_per_s: float
    naive: Phase
    spacy_articles_per_s: float | None
    deberta_tokens_per_s: float
