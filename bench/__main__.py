"""The benchmark: ``python -m bench --help``. Starts what it measures itself, on this machine's own addresses only."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from app.settings import Settings
from bench import articles, measure, report
from bench.articles import Sample
from bench.load import Plan
from bench.machine import describe
from bench.measure import Bodies, Phase, Round
from bench.processes import Peer, ProcessError, Server, peer, server, service

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ("heldout.jsonl", "dev-written.jsonl", "train.jsonl")
CONCURRENCIES = (1, 4, 16, 64)
RATES = (0.5, 0.9, 2.0)  # of the saturated throughput
NAIVE_CONCURRENCY = 16
BESIDE_RATE = 0.2
FEW_WINDOWS = 16  # for the slow peer


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    seconds: float = 20.0
    articles: int | None = None
    starts: int = 5
    rounds: int = 3
    round_seconds: float = 10.0
    lone_articles: int = 20
    repeats: int = 3
    requests: int = 20_000


QUICK = Size(seconds=3.0, articles=64, starts=2, rounds=1, round_seconds=6.0, lone_articles=6, repeats=1, requests=400)


def run(files: Sequence[Path], model: Path, size: Size, spacy_python: Path, out: Path) -> report.Report:
    """Measures everything. Raises OSError and ValueError for what cannot be read, ProcessError for what fails."""
    machine = describe()
    out.mkdir(parents=True, exist_ok=True)
    log = out / "processes.log"
    log.write_text("")
    environment = {"EVENTS_MODEL_DIR": str(model.resolve())}
    samples = articles.read(files, size.articles)
    file = measure.write(samples, out / "articles.jsonl")
    answers = out / "answers.jsonl"
    peaks: list[float] = []
    with ExitStack() as peers:
        _tell("the encoder alone is being loaded")
        encoder = peers.enter_context(peer([sys.executable, "-m", "bench.encoder", str(file)], environment, log))
        bodies = Bodies(file, samples, encoder.hello["tokens"])

        ready = []
        for _ in range(size.starts):
            with service(environment, log) as it:
                ready.append(round(it.ready_s, 2))
            _tell(f"ready after {ready[-1]} s")

        with service(environment, log) as it:
            _tell(f"{len(samples)} articles, each alone")
            measure.alone(it, file, answers, len(samples))
            lone = measure.lone(it, encoder, samples, out, rounds=size.repeats, articles=size.lone_articles)
            closed = [_closed(it, bodies, answers, callers, size) for callers in CONCURRENCIES]
            best = max(closed, key=lambda phase: phase.articles_per_s)
            open_ = [_open(it, bodies, answers, factor, best, size) for factor in RATES]
            rounds, notes = _compare(peers, it, encoder, bodies, answers, best, spacy_python, environment, size, log)
            peers.close()
            _tell("long articles")
            long = measure.long_articles(it, samples, out, size.repeats)
            short, short_answers = _short(bodies, answers, out)
            rate = BESIDE_RATE * best.articles_per_s
            beside = measure.beside_long(it, short, out, rate=rate, seconds=size.seconds, answers=short_answers)
            peaks.append(it.peak_mb())

    with service(environment, log) as it:
        _tell(f"{size.requests} requests")
        flatness = measure.flatness(it, short, size.requests, short_answers)
        peaks.append(it.peak_mb())
    return report.Report(
        machine=machine,
        setup={key: encoder.hello[key] for key in ("model", "dtype", "threads", "torch")},
        corpus={
            "articles": len(samples),
            "characters an article": sum(len(s.article.text) for s in samples) / len(samples),
            "tokens an article": bodies.mean_tokens(),
        },
        ready_s=ready,
        closed=closed,
        open=open_,
        lone=lone,
        rounds=rounds,
        long=long,
        beside=beside,
        flatness=flatness,
        peak_rss_mb=max(peaks),
        notes=notes,
    )


def _closed(it: Server, bodies: Bodies, answers: Path, callers: int, size: Size) -> Phase:
    plan = Plan(it.port, bodies.file, concurrency=callers, seconds=size.seconds, warm_up_s=measure.WARM_UP_S,
                answers=answers)  # fmt: skip
    return _told(measure.phase(f"{callers} callers", it, plan, bodies.tokens))


def _open(it: Server, bodies: Bodies, answers: Path, factor: float, best: Phase, size: Size) -> Phase:
    plan = Plan(it.port, bodies.file, rate=factor * best.articles_per_s, seconds=size.seconds,
                warm_up_s=measure.WARM_UP_S, fill=factor > 1, answers=answers)  # fmt: skip
    return _told(measure.phase(f"{factor:g}x saturation", it, plan, bodies.tokens))


def _compare(
    peers: ExitStack,
    it: Server,
    encoder: Peer,
    bodies: Bodies,
    answers: Path,
    best: Phase,
    spacy_python: Path,
    environment: dict[str, str],
    size: Size,
    log: Path,
) -> tuple[list[Round], list[str]]:
    """The peers in turns with the service, and notes on those that could not run."""
    _tell("the peers are being loaded")
    notes = []
    naive = peers.enter_context(server([sys.executable, "-m", "bench.naive", "--port"], environment, log))
    deberta_command = [sys.executable, "-m", "bench.deberta", str(encoder.hello["threads"])]
    deberta = peers.enter_context(peer(deberta_command, environment, log))
    spacy: Peer | None = None
    try:
        command = [str(spacy_python), "-P", str(ROOT / "bench" / "spacy_peer.py"), str(bodies.file)]
        spacy = peers.enter_context(peer(command, environment, log))
    except (OSError, ProcessError) as error:
        notes.append(f"spaCy could not be run: {error}")
    lengths = sorted(length for windows in encoder.hello["windows"] for length in windows)
    few = lengths[:: max(1, len(lengths) // FEW_WINDOWS)]
    seconds = size.round_seconds
    rounds = []
    for number in range(1, size.rounds + 1):
        served = Plan(it.port, bodies.file, concurrency=best.concurrency or 1, seconds=seconds,
                      warm_up_s=measure.WARM_UP_S, answers=answers)  # fmt: skip
        naively = Plan(naive.port, bodies.file, concurrency=NAIVE_CONCURRENCY, seconds=seconds,
                       warm_up_s=measure.WARM_UP_S)  # fmt: skip
        rounds.append(
            Round(
                service=_told(measure.phase(f"round {number}", it, served, bodies.tokens)),
                encoder_tokens_per_s=encoder.ask(what="throughput", seconds=seconds)["tokens_per_s"],
                naive=_told(measure.phase(f"round {number}, naive", naive, naively, bodies.tokens)),
                spacy_articles_per_s=spacy.ask(seconds=seconds)["articles_per_s"] if spacy else None,
                deberta_tokens_per_s=deberta.ask(lengths=few, seconds=seconds)["tokens_per_s"],
            )
        )
    return rounds, notes


def _short(bodies: Bodies, answers: Path, out: Path) -> tuple[Bodies, Path]:
    """The shorter articles, and the answers to them."""
    sizes = [len(s.article.text) for s in bodies.samples]
    at = [i for i, size in enumerate(sizes) if size <= max(measure.SHORT, min(sizes))]
    kept: list[Sample] = [bodies.samples[i] for i in at]
    lines = answers.read_bytes().splitlines()
    short_answers = out / "short-answers.jsonl"
    short_answers.write_bytes(b"\n".join(lines[i] for i in at) + b"\n")
    return Bodies(measure.write(kept, out / "short.jsonl"), kept, [bodies.tokens[i] for i in at]), short_answers


def _told(phase: Phase) -> Phase:
    _tell(f"{phase.name}: {phase.articles_per_s} articles/s, p50 {phase.p50} ms, p99 {phase.p99} ms")
    return phase


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the service and its peers.")
    parser.add_argument("--articles", type=Path, nargs="+", metavar="FILE", help="JSONL files of articles; by default "
                        "those of corpus/ and those that EVENTS_BENCH_ARTICLES names, with colons between")  # fmt: skip
    parser.add_argument("--model", type=Path, help="folder of the model; the one that the settings name by default")
    parser.add_argument("--seconds", type=float, help=f"length of each stretch of load (default {Size.seconds:g})")
    parser.add_argument("--requests", type=int, help="of short articles, over which the memory is watched (default "
                        f"{Size.requests:,})")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="little of everything: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="folder for what comes out")
    parser.add_argument("--spacy-python", type=Path, default=ROOT / "build" / "bench" / "spacy-venv" / "bin" / "python",
                        help="Python with spaCy and its model")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 1 where it could not measure to the end. Targets that are missed are told, no more."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    more = [Path(name) for name in os.environ.get("EVENTS_BENCH_ARTICLES", "").split(":") if name]
    files = options.articles or [*(ROOT / "corpus" / name for name in CORPUS), *more]
    size = QUICK if options.quick else Size()
    if options.seconds:
        size = replace(size, seconds=options.seconds)
    if options.requests:
        size = replace(size, requests=options.requests)
    model = options.model or Settings().model_folder
    try:
        found = run(files, model, size, options.spacy_python, options.out)
    except (OSError, ValueError, ProcessError, subprocess.SubprocessError) as error:
        print(f"error: {error}; see {options.out / 'processes.log'}", file=sys.stderr)
        return 1
    report.write(found, options.out)
    print(report.markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
