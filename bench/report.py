"""What was measured, as figures against their targets, a table, JSON and plots."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.machine import BUSY, Machine
from bench.measure import Beside, Flatness, Lone, LongArticle, Phase, Round


@dataclass(frozen=True)
class Report:
    """All of one run. ``setup``: model, number type, threads, versions; ``corpus``: articles and their mean sizes."""

    machine: Machine
    setup: dict[str, Any]
    corpus: dict[str, float]
    ready_s: list[float]
    closed: list[Phase]
    open: list[Phase]
    lone: Lone
    rounds: list[Round]
    long: list[LongArticle]
    beside: Beside
    flatness: Flatness
    peak_rss_mb: float
    notes: list[str]

    @property
    def saturation(self) -> Phase:
        """The closed loop with the best throughput."""
        return max(self.closed, key=lambda phase: phase.articles_per_s)

    @property
    def phases(self) -> list[Phase]:
        """Every stretch of load on the service."""
        rest = [self.beside.normal, self.beside.beside, self.flatness.phase]
        return [*self.closed, *self.open, *(r.service for r in self.rounds), *rest]


@dataclass(frozen=True)
class Bounds:
    """The bounds that differ between the models; ``spacy`` and ``deberta``: of the ratios to these peers, or none."""

    spacy: float | None
    deberta: float
    memory_mb: float
    ready_s: float


BOUNDS = {
    "base": Bounds(spacy=None, deberta=7, memory_mb=1100, ready_s=6),
    "small": Bounds(spacy=2.5, deberta=25, memory_mb=700, ready_s=4),
}


@dataclass(frozen=True)
class Target:
    """A figure and the bound that it should keep; ``value`` is None where it could not be measured."""

    name: str
    value: float | None
    bound: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """None where it could not be measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def targets(report: Report) -> list[Target]:
    """What is asked of the service, and what it does."""

    def ratio(of: Callable[[Round], float | None]) -> float | None:
        values = [value for r in report.rounds if (value := of(r)) is not None]
        return statistics.median(values) if values else None

    def share(a: float | None, b: float | None) -> float | None:
        return a / b if a is not None and b else None

    bounds = BOUNDS["base" if "base" in report.setup["model"] else "small"]
    lone, near, over, beside = report.lone, report.open[-2], report.open[-1], report.beside
    # In tokens, for in so short a time one more long article makes fewer articles.
    held = share(over.tokens_per_s, max(phase.tokens_per_s for phase in report.closed))
    first, last = report.long[0], report.long[-1]
    spacy = [
        Target("throughput / (c) spaCy en_core_web_md, two processes",
               ratio(lambda r: share(r.service.articles_per_s, r.spacy_articles_per_s)), bounds.spacy, True)
    ] if bounds.spacy is not None else []  # fmt: skip
    return [
        Target("throughput / (a) the encoder alone, perfectly batched",
               ratio(lambda r: share(r.service.tokens_per_s, r.encoder_tokens_per_s)), 0.75, True),
        Target("throughput / (b) one model call for each request",
               ratio(lambda r: share(r.service.articles_per_s, r.naive.articles_per_s)), 5, True),
        *spacy,
        Target("throughput / (d) DeBERTa-v3-base's encoder",
               ratio(lambda r: share(r.service.tokens_per_s, r.deberta_tokens_per_s)), bounds.deberta, True),
        Target("lone article, p50 / the encoder's own time", share(lone.p50, lone.encoder_p50), 1.6, False),
        Target("p99 at 0.9x / p50 of one caller", share(near.p99, report.closed[0].p50), 10, False),
        Target("p99 of refusals at 2x", over.refusal_p99, 50, False, "ms"),
        Target("throughput at 2x / saturation", held, 0.95, True),
        Target("short articles beside a long one, p99 / p99 without it",
               share(beside.beside.p99, beside.normal.p99), 5, False),
        Target(f"time for a character of {last.characters:,} / of {first.characters:,}",
               share(last.seconds / last.characters, first.seconds / first.characters), 1.25, False),
        Target("most memory", report.peak_rss_mb, bounds.memory_mb, False, "MB"),
        Target(f"memory after {report.flatness.phase.answered:,} requests / before",
               share(report.flatness.last_mb, report.flatness.first_mb), 1.05, False),
        Target("slowest start to ready", max(report.ready_s), bounds.ready_s, False, "s"),
        Target("wrong answers", sum(phase.wrong for phase in report.phases), 0, False),
        Target("lost requests", sum(phase.lost for phase in report.phases), 0, False),
    ]  # fmt: skip


def warnings(report: Report) -> list[str]:
    """What makes the figures doubtful."""
    found = list(report.notes)
    if report.machine.busy > BUSY:
        found.append(f"The machine was busy to {report.machine.busy:.0%} before anything was started.")
    eager = max(phase.generator_cores for phase in report.phases)
    if eager > 0.1:
        found.append(f"The load generator took up to {eager:.2f} cores.")
    return found


def markdown(report: Report) -> str:
    """The report for reading."""
    machine, setup = report.machine, report.setup
    lines = [
        "# Benchmark",
        "",
        f"{machine.cpu}, {machine.cores} cores ({', '.join(machine.flags) or 'no flags of note'}), "
        f"{machine.memory_gb} GB; {machine.system}; Python {machine.python}, torch {setup['torch']}. "
        f"Model {setup['model']} in {setup['dtype']} on {setup['threads']} threads.",
        "",
        ", ".join(f"{name}: {value:,.6g}" for name, value in report.corpus.items()) + ".",
        "",
        *(f"- **{warning}**" for warning in warnings(report)),
        "",
        "## Targets",
        "",
        *_table(["figure", "measured", "target", "met"], [_target_row(target) for target in targets(report)]),
        "",
        "The ratios are medians over rounds in which each side ran in turn.",
        "",
        "## Load",
        "",
        *_table(_PHASE_HEAD, [_phase_row(phase, setup["threads"]) for phase in report.phases]),
        "",
        "Latencies in milliseconds, of an open loop from when a request was due. Cores: processor seconds a second. "
        "Encoder share: of the time of its threads.",
        "",
        "## Stages, ms an article",
        "",
        *_stage_table(report),
        "",
        "## Peers, by round",
        "",
        *_table(
            ["", *(f"round {n}" for n, _ in enumerate(report.rounds, 1))],
            [
                ["service, articles/s", *(_n(r.service.articles_per_s) for r in report.rounds)],
                ["service, tokens/s", *(_n(r.service.tokens_per_s) for r in report.rounds)],
                ["(a) encoder alone, tokens/s", *(_n(r.encoder_tokens_per_s) for r in report.rounds)],
                ["(b) naive service, articles/s", *(_n(r.naive.articles_per_s) for r in report.rounds)],
                ["(c) spaCy, articles/s", *(_n(r.spacy_articles_per_s) for r in report.rounds)],
                ["(d) DeBERTa-v3-base, tokens/s", *(_n(r.deberta_tokens_per_s) for r in report.rounds)],
            ],
        ),
        "",
        "## Long articles, alone",
        "",
        *_table(
            ["characters", "seconds", "ms per 1,000", "memory, MB"],
            [
                [f"{x.characters:,}", f"{x.seconds:.3f}", f"{1e6 * x.seconds / x.characters:.1f}", _n(x.rss_mb)]
                for x in report.long
            ],
        ),
        "",
        f"Short articles beside one of 200,000 characters ({report.beside.long_answered} of them were answered): p99 "
        f"{_n(report.beside.beside.p99)} ms, else {_n(report.beside.normal.p99)} ms.",
        "",
        "## Start and memory",
        "",
        f"Start to ready: {', '.join(f'{s:.2f}' for s in report.ready_s)} s. Memory over "
        f"{report.flatness.phase.answered:,} requests: {_n(report.flatness.first_mb)} MB in the first tenth, "
        f"{_n(report.flatness.last_mb)} MB in the last.",
        "",
        f"A lone article of 3,000 characters: p50 {_n(report.lone.p50)} ms, its windows in the encoder alone "
        f"{_n(report.lone.encoder_p50)} ms.",
    ]
    return "\n".join(lines) + "\n"


_PHASE_HEAD = ["load", "articles/s", "tokens/s", "p50", "p95", "p99", "answered", "refused", "refusal p99", "failed",
               "wrong", "lost", "MB", "server cores", "generator cores", "lag p99", "encoder share"]  # fmt: skip


def _phase_row(phase: Phase, threads: int) -> list[str]:
    share = "" if phase.encoder_cores is None else f"{phase.encoder_cores / threads:.0%}"
    return [
        phase.name, _n(phase.articles_per_s), _n(phase.tokens_per_s), _n(phase.p50), _n(phase.p95), _n(phase.p99),
        str(phase.answered), str(phase.refused), _n(phase.refusal_p99), str(phase.failed), str(phase.wrong),
        str(phase.lost), _n(phase.rss_mb), f"{phase.server_cores:.2f}", f"{phase.generator_cores:.2f}",
        _n(phase.lag_p99), share,
    ]  # fmt: skip


def _target_row(target: Target) -> list[str]:
    unit = f" {target.unit}" if target.unit else ""
    met = {True: "yes", False: "**no**", None: "not measured"}[target.met]
    bound = f"{'at least' if target.at_least else 'at most'} {target.bound:g}{unit}"
    return [target.name, "" if target.value is None else f"{target.value:.4g}{unit}", bound, met]


def _stage_table(report: Report) -> list[str]:
    phases = [*report.closed, *report.open]
    stages = list(dict.fromkeys(stage for phase in phases for stage in phase.stage_ms))
    rows = [[phase.name, *(_n(phase.stage_ms.get(stage)) for stage in stages)] for phase in phases]
    return _table(["load", *stages], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _n(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def write(report: Report, folder: Path) -> None:
    """Puts `bench.json`, `bench.md` and the plots into a folder."""
    told = [asdict(target) | {"met": target.met} for target in targets(report)]
    content = {"targets": told, "warnings": warnings(report), **asdict(report)}
    (folder / "bench.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    (folder / "bench.md").write_text(markdown(report))
    plots(report, folder)


def plots(report: Report, folder: Path) -> None:
    """One SVG for each series of latencies and throughputs."""
    mpl.use("agg")
    callers = [str(phase.concurrency) for phase in report.closed]
    _plot(
        folder / "closed-latency.svg", "closed loop", "callers", "ms", lambda ax: _latencies(ax, callers, report.closed)
    )
    _plot(
        folder / "closed-throughput.svg",
        "closed loop",
        "callers",
        "articles/s",
        lambda ax: ax.plot(callers, [phase.articles_per_s for phase in report.closed], "o-"),
    )
    rates = [f"{phase.rate or 0:.0f}" for phase in report.open]
    _plot(
        folder / "open-latency.svg",
        "Poisson arrivals",
        "arrivals/s",
        "ms",
        lambda ax: _latencies(ax, rates, report.open),
    )

    def throughputs(ax: Axes) -> None:
        ax.plot(rates, [phase.articles_per_s for phase in report.open], "o-", label="answered")
        ax.plot(rates, [phase.refused / phase.seconds for phase in report.open], "o-", label="refused")
        ax.axhline(report.saturation.articles_per_s, linestyle=":", label="saturation")
        ax.legend()

    _plot(folder / "open-throughput.svg", "Poisson arrivals", "arrivals/s", "requests/s", throughputs)
    _plot(
        folder / "long.svg",
        "long articles, alone",
        "characters",
        "s",
        lambda ax: ax.plot([0, *(x.characters for x in report.long)], [0.0, *(x.seconds for x in report.long)], "o-"),
    )

    def memory(ax: Axes) -> None:
        ax.plot(*zip(*report.flatness.series, strict=True))
        ax.set_ylim(bottom=0)

    if report.flatness.series:
        title = f"memory over {report.flatness.phase.answered:,} requests"
        _plot(folder / "memory.svg", title, "s", "MB", memory)

    def peers(ax: Axes) -> None:
        mean = report.corpus["tokens an article"]
        sides: dict[str, list[float]] = {
            "service": [r.service.articles_per_s for r in report.rounds],
            "(a) encoder": [r.encoder_tokens_per_s / mean for r in report.rounds],
            "(b) naive": [r.naive.articles_per_s for r in report.rounds],
            "(c) spaCy": [r.spacy_articles_per_s for r in report.rounds if r.spacy_articles_per_s is not None],
            "(d) DeBERTa": [r.deberta_tokens_per_s / mean for r in report.rounds],
        }
        ax.bar([side for side in sides if sides[side]], [statistics.median(v) for v in sides.values() if v])

    _plot(folder / "peers.svg", "beside the peers, median of rounds", "", "articles/s", peers)  # fmt: skip


def _latencies(ax: Axes, labels: Sequence[str], phases: Sequence[Phase]) -> None:
    for name in ("p50", "p95", "p99"):
        ax.plot(labels, [getattr(phase, name) or float("nan") for phase in phases], "o-", label=name)
    ax.set_yscale("log")
    ax.legend()


def _plot(file: Path, title: str, x: str, y: str, draw: Callable[[Axes], object]) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    draw(ax)
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.grid(alpha=0.3)
    figure.savefig(file)
