"""The benchmark's report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bench.machine import Machine, describe
from bench.measure import Beside, Flatness, Lone, LongArticle, Phase, Round
from bench.report import Report, markdown, targets, warnings, write


def phase(name: str = "4 callers", **changes: object) -> Phase:
    values: dict[str, object] = {
        "name": name, "concurrency": 4, "rate": None, "seconds": 10.0, "articles_per_s": 50.0, "tokens_per_s": 20_000.0,
        "p50": 20.0, "p95": 40.0, "p99": 60.0, "answered": 500, "refused": 0, "refusal_p99": None, "failed": 0,
        "wrong": 0, "lost": 0, "rss_mb": 500.0, "server_cores": 1.9, "generator_cores": 0.02, "lag_p99": 1.0,
        "encoder_cores": 1.8, "stage_ms": {"encode": 15.0, "link": 1.0},
    }  # fmt: skip
    return Phase(**values | changes)  # type: ignore[arg-type]


def report() -> Report:
    open_ = [
        phase("0.5x", rate=25.0, concurrency=None),
        phase("0.9x", rate=45.0, concurrency=None, p99=150.0),
        phase("2x", rate=100.0, concurrency=None, articles_per_s=49.0, refused=400, refusal_p99=9.0),
    ]
    rounds = [Round(phase(tokens_per_s=t), 25_000.0, phase(articles_per_s=9.0), 18.0, 750.0) for t in (2e4, 1e3, 21e3)]
    return Report(
        machine=Machine("A processor", 2, 24.0, ["avx512_bf16"], "Linux", "3.11", 0.01),
        setup={"model": "m 1", "dtype": "bfloat16", "threads": 2, "torch": "2"},
        corpus={"articles": 9, "tokens an article": 400.0},
        ready_s=[3.0, 3.5],
        closed=[phase("1 caller", concurrency=1), phase(articles_per_s=51.0)],
        open=open_,
        lone=Lone(30.0, 20.0, [(30.0, 20.0)]),
        rounds=rounds,
        long=[LongArticle(20_000, 0.5, 500.0), LongArticle(200_000, 5.0, 600.0)],
        beside=Beside(phase("short"), phase("beside"), 3),
        flatness=Flatness(phase("flatness"), 500.0, 501.0, [(0.0, 500.0), (1.0, 501.0)]),
        peak_rss_mb=650.0,
        notes=[],
    )


def test_targets_that_are_met() -> None:
    found = {target.name: target for target in targets(report())}
    assert all(target.met for target in found.values()), found
    assert found["throughput / (a) the encoder alone, perfectly batched"].value == 0.8  # the middle of the rounds
    assert found["p99 at 0.9x / p50 of one caller"].value == 7.5
    assert found["slowest start to ready"].value == 3.5


def test_targets_that_are_missed_or_not_measured() -> None:
    good = report()
    over = replace(good.open[2], refusal_p99=None, lost=1)
    rounds = [replace(r, spacy_articles_per_s=None) for r in good.rounds]
    bad = replace(good, peak_rss_mb=701.0, open=[*good.open[:2], over], rounds=rounds)
    met = {target.name: target.met for target in targets(bad)}
    assert met["most memory"] is False
    assert met["lost requests"] is False
    assert met["p99 of refusals at 2x"] is None
    assert met["throughput / (c) spaCy en_core_web_md, two processes"] is None
    assert met["throughput / (b) one model call for each request"] is True
    text = markdown(bad)
    assert "| most memory | 701 MB | at most 700 MB | **no** |" in text
    assert "| p99 of refusals at 2x |  | at most 50 ms | not measured |" in text


def test_bounds_are_those_of_the_model() -> None:
    small = replace(report(), peak_rss_mb=900.0, ready_s=[5.0])
    base = replace(small, setup=small.setup | {"model": "event-extraction-base 1"})
    names = ("most memory", "slowest start to ready", "throughput / (d) DeBERTa-v3-base's encoder")
    met = [{target.name: target.met for target in targets(each)} for each in (small, base)]
    assert [[each[name] for name in names] for each in met] == [[False, False, True], [True, True, True]]
    assert "(c)" not in "".join(met[1])


def test_short_articles_held_up_and_memory_that_grows_are_told() -> None:
    good = report()
    bad = replace(
        good,
        beside=Beside(phase("short"), phase("beside", p99=301.0), 3),
        flatness=replace(good.flatness, last_mb=530.0),
        long=[LongArticle(20_000, 0.5, 500.0), LongArticle(200_000, 6.5, 600.0)],
    )
    missed = {target.name for target in targets(bad)} - {target.name for target in targets(bad) if target.met}
    assert missed == {
        "short articles beside a long one, p99 / p99 without it",
        "time for a character of 200,000 / of 20,000",
        "memory after 500 requests / before",
    }


def test_doubts_are_told() -> None:
    assert warnings(report()) == []
    doubtful = replace(report(), machine=replace(report().machine, busy=0.4), notes=["No spaCy."],
                       closed=[phase(generator_cores=0.3)])  # fmt: skip
    assert len(warnings(doubtful)) == 3
    assert all(warning in markdown(doubtful) for warning in warnings(doubtful))


def test_what_is_written(tmp_path: Path) -> None:
    write(report(), tmp_path)
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["closed"][0]["p99"] == 60.0
    assert all(target["met"] for target in content["targets"])
    assert (tmp_path / "bench.md").read_text() == markdown(report())
    plots = {file.name: file.read_text() for file in tmp_path.glob("*.svg")}
    assert {"closed-latency.svg", "closed-throughput.svg", "open-latency.svg", "open-throughput.svg"} <= set(plots)
    assert all("<svg" in plot for plot in plots.values())


def test_the_machine() -> None:
    machine = describe(watch_s=0.1)
    assert machine.cores >= 1
    assert machine.memory_gb > 0
    assert 0 <= machine.busy <= 1
