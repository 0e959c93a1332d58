"""The whole service with a shipped model, from HTTP to HTTP: the small one, which is the quicker to test."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import wait_for

from app.extraction import checksums
from app.extraction.extractor import Extractor
from app.extraction.values import Article
from app.main import create_app
from app.settings import MODELS, Settings
from training.examples import EXAMPLES, README, readme_with_answer, refresh

VISIT = """Foreign Minister Leila Haddad arrived in Warsaw on Monday for a two-day visit to Poland.
On Monday she held talks with Polish Defence Minister Marek Zielonka at the Belweder Palace.
He said the alliance “ had never been closer“.
Bakery chain Kromka to open forty shops by summer
Poland pledged 40 million euros for demining in the region, and it wants to raise defence spending to 5% of GDP by 2030.
Haddad will meet Prime Minister Ewa Sokolowska on Tuesday before flying home.
Source: https://news.example/2025/04/07/haddad-varsovia-visita/
"""
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"  # one sign of five code points
QUIET = """The river fell by half a metre overnight and the ferries run again.
Fishermen said the catch met their hopes. The exhibition about the bridge was visited by 3,000 people last year.
A budget airline reported a profit of 12 million euros. The court hears the case in May.
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(model="small", threads=2, dtype="float32", max_wait_s=600))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service", timeout=120) as client,
    ):
        await asyncio.to_thread(wait_for, lambda: app.state.service.lifecycle.state == "ready", 60)
        yield client


async def extract(client: httpx.AsyncClient, **article: Any) -> dict[str, Any]:
    response = await client.post("/v1/extract", json=article)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def spans(value: Any) -> list[dict[str, Any]]:
    """Every object with text, start and end, at any depth."""
    if isinstance(value, list):
        return [s for item in value for s in spans(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if {"text", "start", "end"} <= value.keys() else []
    return own + [s for item in value.values() for s in spans(item)]


def find(answer: dict[str, Any], kind: str, name: str) -> list[dict[str, Any]]:
    """The events of a type that somebody takes part in."""
    return [e for e in answer["events"] if e["type"] == kind and name in {p["name"] for p in e["participants"]}]


@pytest.mark.anyio
async def test_scraped_article_gives_its_events(client: httpx.AsyncClient) -> None:
    answer = await extract(client, text=VISIT)
    assert answer["document"]["published_at"] == "2025-04-07"
    assert answer["document"]["published_from"] == "text"
    assert answer["document"]["language"] == "en"
    assert answer["document"]["characters"] == len(VISIT)
    [talks] = find(answer, "meeting", "Marek Zielonka")
    assert talks["status"] == "occurred"
    assert "Leila Haddad" in {p["name"] for p in talks["participants"]}
    assert {d["value"] for d in talks["dates"]} == {"2025-04-07"}
    [later] = find(answer, "meeting", "Ewa Sokolowska")
    assert later["status"] == "planned"
    assert {d["value"] for d in later["dates"]} == {"2025-04-08"}
    assert any(place["country"] == "PL" for e in find(answer, "visit", "Leila Haddad") for place in e["locations"])
    money = [a for e in answer["events"] if e["type"] == "budget_commitment" for a in e["amounts"]]
    assert (40_000_000, "EUR") in {(a["value"], a["unit"]) for a in money}
    assert (5, "percent_of_gdp") in {(a["value"], a["unit"]) for a in money}
    starts = [e["mentions"][0]["start"] for e in answer["events"]]
    assert starts == sorted(starts)
    assert [e["id"] for e in answer["events"]] == [f"e{n + 1}" for n in range(len(starts))]


@pytest.mark.anyio
async def test_article_without_events_gives_none(client: httpx.AsyncClient) -> None:
    assert (await extract(client, text=QUIET))["events"] == []


@pytest.mark.anyio
async def test_without_a_date_relative_ones_keep_their_text_alone(client: httpx.AsyncClient) -> None:
    text = VISIT[: VISIT.index("Source:")]
    answer = await extract(client, text=text)
    assert answer["document"]["published_at"] is None
    assert answer["document"]["published_from"] is None
    dates = [d for e in answer["events"] if e["type"] != "budget_commitment" for d in e["dates"]]
    assert dates
    assert all(d["value"] is None for d in dates)


@pytest.mark.anyio
async def test_types_and_confidence_filter(client: httpx.AsyncClient) -> None:
    visits = await extract(client, text=VISIT, types=["visit"])
    assert {e["type"] for e in visits["events"]} == {"visit"}
    assert (await extract(client, text=VISIT, types=[]))["events"] == []
    sure = await extract(client, text=VISIT, min_confidence=0.9)
    assert all(e["confidence"] >= 0.9 for e in sure["events"])
    unsure = await extract(client, text=VISIT, min_confidence=0.05)
    assert len(unsure["events"]) >= len(sure["events"])


@pytest.mark.anyio
async def test_same_bytes_alone_in_a_batch_and_under_load(client: httpx.AsyncClient) -> None:
    rng = random.Random(5)
    lines = [*VISIT.splitlines(), *QUIET.splitlines()]
    texts = ["\n".join(rng.choices(lines, k=rng.randrange(1, 40))) for _ in range(24)]
    alone = [(await client.post("/v1/extract", json={"text": t})).content for t in texts]
    order = rng.sample(range(len(texts)), len(texts))
    together = await asyncio.gather(*(client.post("/v1/extract", json={"text": texts[i]}) for i in order))
    assert [r.content for r in together] == [alone[i] for i in order]
    batch = await client.post("/v1/extract/batch", json={"articles": [{"text": t} for t in texts]})
    assert batch.content == b'{"results":[' + b",".join(alone) + b"]}"
    ndjson = "\n".join(json.dumps({"text": t}) for t in texts).encode()
    streamed = await client.post("/v1/extract/batch", content=ndjson, headers={"Content-Type": "application/x-ndjson"})
    assert streamed.content.splitlines() == alone


@pytest.mark.anyio
async def test_spans_are_exact_in_odd_text(client: httpx.AsyncClient) -> None:
    odd = [*"é\x00\u200b\u202eİßﬁ\u0301\U0001f600ḉ\ufeff", "ｆｕ", "\r\n", FAMILY]
    rng = random.Random(7)
    for _ in range(10):
        words = VISIT.split(" ")
        for _ in range(60):
            words.insert(rng.randrange(len(words)), rng.choice(odd))
        text = rng.choice(["", " "]).join(words) if rng.random() < 0.2 else " ".join(words)
        answer = await extract(client, text=text, title=rng.choice([None, FAMILY]), min_confidence=0.1)
        for span in spans(answer):
            assert text[span["start"] : span["end"]] == span["text"]


@pytest.mark.anyio
async def test_long_article_repeats_no_event_at_the_borders_of_windows(client: httpx.AsyncClient) -> None:
    filler = QUIET * 12
    text = filler + VISIT.splitlines()[1] + "\n" + filler
    answer = await extract(client, text=text, published_at="2025-04-07")
    assert len(find(answer, "meeting", "Marek Zielonka")) == 1


@pytest.mark.anyio
async def test_longest_article_is_answered(client: httpx.AsyncClient) -> None:
    text = ((VISIT + QUIET) * 300)[:200_000]
    answer = await extract(client, text=text)
    assert answer["document"]["characters"] == 200_000
    assert answer["events"]


@pytest.mark.parametrize("size", ["base", "small"])
def test_weights_are_safetensors_alone(size: str) -> None:
    folder = MODELS / size
    weights = [p for p in folder.iterdir() if p.suffix != ".json" and p.name != checksums.NAME]
    assert weights
    assert {p.suffix for p in weights} == {".safetensors"}
    assert all(p.stat().st_size < 60_000_000 for p in weights)
    assert (folder / checksums.NAME).is_file()  # what it lists is verified at each load


def test_the_base_model_finds_the_events_too() -> None:
    extraction = Extractor.load(MODELS / "base", "float32").extract(Article(VISIT))
    assert {"meeting", "visit", "budget_commitment"} == {event.type for event in extraction.events}
    people = {who.name for event in extraction.events for who in event.participants}
    assert {"Leila Haddad", "Marek Zielonka", "Ewa Sokolowska"} <= people


def test_documented_answers_are_the_models() -> None:
    extractor = Extractor.load(Settings().model_folder, "float32")
    stored = json.loads(EXAMPLES.read_text("utf-8"))
    assert _without_scores(refresh(extractor, json.loads(EXAMPLES.read_text("utf-8")))) == _without_scores(stored), (
        "run `make examples`"
    )
    readme = Path(README).read_text("utf-8")
    assert _without_scores(readme_with_answer(extractor, readme)) == _without_scores(readme), "run `make examples`"


def _without_scores(value: Any) -> Any:
    """Confidences left out: their last digits differ between processors."""
    text = value if isinstance(value, str) else json.dumps(value)
    return [line for line in text.replace(",", ",\n").splitlines() if '"confidence"' not in line]
