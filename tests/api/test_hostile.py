"""What hostile callers send, against the real pipeline with a small model."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from conftest import problem_of, wait_for
from small_model import small_extractor

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
NEWS = "Foreign Minister Ana Duarte met Tom Keller in Oslo on Monday. Finland pledged $5 million for roads."
# Marks of direction, of no width, of other lines, combining ones, and the two halves of what looks like one letter.
ODD = "\u202e\u202a\u2066\u2069\u200b\u200d\u200e\ufeff\u2028\x85\x00\x1b\u0301\u0335\ufe0f\U000e0041\uffff\U0010ffff"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(), lambda settings, observe: small_extractor())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service", timeout=120) as client,
    ):
        await asyncio.to_thread(wait_for, lambda: app.state.service.lifecycle.state == "ready", 60)
        yield client


async def events(client: httpx.AsyncClient, text: str, **more: Any) -> list[dict[str, Any]]:
    """The events; fails where a span is not the text's."""
    response = await client.post("/v1/extract", json={"text": text, "published_at": "2025-04-08", **more})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["document"]["characters"] == len(text)

    def check(value: Any) -> None:
        if isinstance(value, dict):
            if "start" in value:
                assert text[value["start"] : value["end"]] == value["text"] != ""
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                check(part)

    check(answer["events"])
    found: list[dict[str, Any]] = answer["events"]
    return found


async def test_odd_characters_are_text_like_any_other(client: httpx.AsyncClient) -> None:
    assert await events(client, NEWS)
    for odd in ODD:
        await events(client, "a" + odd)
        await events(client, "a" + odd * 5000)
        assert await events(client, odd + NEWS + odd, title=odd * 100)
        await events(client, NEWS.replace(" ", odd))
        await events(client, odd.join(NEWS))


@pytest.mark.parametrize("path", ["/v1/extract", "/v1/extract/batch"])
@pytest.mark.parametrize(
    "coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "identity, gzip", "nonsense"]
)
async def test_compressed_bodies_are_refused_unread(client: httpx.AsyncClient, path: str, coding: str) -> None:
    bomb = gzip.compress(b" " * 50_000_000) if "gzip" in coding else zlib.compress(b" " * 50_000_000)
    response = await client.post(path, content=bomb, headers=JSON | {"Content-Encoding": coding})
    assert "not compressed" in problem_of(response, 415).detail


@pytest.mark.parametrize("nesting", ["[", '{"a":', '{"text":', '[{"articles":'])
@pytest.mark.parametrize("path", ["/v1/extract", "/v1/extract/batch"])
async def test_deep_nesting_is_refused(client: httpx.AsyncClient, path: str, nesting: str) -> None:
    response = await client.post(path, content=nesting * 200_000, headers=JSON)
    assert problem_of(response, 400).detail in ("The JSON is nested too deep.", "The body is not JSON.")
    await events(client, NEWS)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 100_000, "0." + "0" * 100_000 + "1", "1e-999999999"])
async def test_huge_numbers_are_no_confidences(client: httpx.AsyncClient, number: str) -> None:
    response = await client.post("/v1/extract", content=f'{{"text": "a", "min_confidence": {number}}}', headers=JSON)
    if number.startswith("0.") or "e-" in number:
        assert response.status_code == 200
    else:
        assert response.status_code in (400, 422)
        assert len(response.content) < 1000


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff", r"\ud83d\ud83d", r"\ude42\ud83d"])
async def test_halves_of_surrogate_pairs_are_refused_everywhere(client: httpx.AsyncClient, half: str) -> None:
    for body in (f'{{"text": "a{half}"}}', f'{{"text": "a", "title": "{half}"}}', f'{{"text": "a", "{half}": 1}}'):
        problem_of(await client.post("/v1/extract", content=body, headers=JSON), 422)
    lines = f'{{"text": "a{half}"}}\n{json.dumps({"text": NEWS})}\n'
    answer = await client.post("/v1/extract/batch", content=lines, headers={"Content-Type": "application/x-ndjson"})
    bad, good = map(json.loads, answer.text.splitlines())
    assert bad["error"]["status"] == 422
    assert good["events"]


@pytest.mark.parametrize(
    "unit", ["a", "A", "1", "$", ".", "met", "\u0301", "\u4e2d", "\U0001f642", "e\u0301", "-", "\t."]
)
async def test_the_longest_text_of_one_token_is_answered(client: httpx.AsyncClient, unit: str) -> None:
    await events(client, (unit * 200_000)[:200_000], min_confidence=0.0)


async def test_a_megabyte_of_one_token_is_too_long(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/extract", json={"text": "a" * 1_000_000})
    assert problem_of(response, 422).errors[0].loc == ["body", "text"]
    for value in ("9" * 1_000_000, "[" * 1_000_000, '"' + "a" * 1_000_000):
        response = await client.post("/v1/extract", content=f'{{"text": {value}}}', headers=JSON)
        assert response.status_code in (400, 422)
        assert len(response.content) < 1000
