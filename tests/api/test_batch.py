from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from conftest import Running, problem_of, running, wait_for

from app.api.incoming import body_lines
from app.api.schemas import BatchAnswer
from app.serving.admission import Admission

pytestmark = pytest.mark.anyio

LINES = {"Content-Type": "application/x-ndjson"}


async def post_lines(service: Running, *lines: str | bytes, **more: Any) -> list[Any]:
    content = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    response = await service.client.post("/v1/extract/batch", content=content, headers=LINES, **more)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content == b"" or response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.splitlines()]


async def post_batch(service: Running, *articles: object, **more: Any) -> Any:
    return await service.client.post("/v1/extract/batch", json={"articles": articles}, **more)


async def test_bad_article_has_its_problem_in_its_place(service: Running) -> None:
    response = await post_batch(service, {"text": "Rossi met"}, {"text": " "}, 5, {"text": "b", "x": 1}, {"text": "c"})
    assert response.status_code == 200
    BatchAnswer.model_validate(response.json())
    results = response.json()["results"]
    assert [list(result) for result in results] == [
        ["events", "document", "model"],
        ["error"],
        ["error"],
        ["error"],
        ["events", "document", "model"],
    ]
    errors = [results[index]["error"] for index in (1, 2, 3)]
    assert [error["status"] for error in errors] == [422, 422, 422]
    assert {error["request_id"] for error in errors} == {response.headers["x-request-id"]}
    assert [error["errors"][0]["loc"] for error in errors] == [
        ["body", "articles", 1, "text"],
        ["body", "articles", 2],
        ["body", "articles", 3, "x"],
    ]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "articles"]),
        ({"articles": []}, ["body", "articles"]),
        ({"articles": [{"text": "a"}] * 4}, ["body", "articles"]),
        ({"articles": {"text": "a"}}, ["body", "articles"]),
        ({"articles": None}, ["body", "articles"]),
        ({"articles": [{"text": "a"}], "model": "x"}, ["body", "model"]),
        ([{"text": "a"}], ["body"]),
    ],
)
async def test_a_batch_that_is_none_gets_422(body: object, loc: list[str]) -> None:
    async with running(max_articles=3) as service:
        problem = problem_of(await service.client.post("/v1/extract/batch", json=body), 422)
        assert [error.loc for error in problem.errors] == [loc]


async def test_batch_may_have_as_many_articles_as_the_contract_says(service: Running) -> None:
    response = await post_batch(service, *({"text": f"{n} met"} for n in range(256)))
    names = [result["events"][0]["participants"][0]["name"] for result in response.json()["results"]]
    assert names == [str(n) for n in range(256)]
    problem_of(await post_batch(service, *({"text": "a"} for _ in range(257))), 422)


async def test_failure_in_a_batch_spares_its_neighbours(service: Running) -> None:
    articles = ["Rossi met", "a poison b", "Weber met", "unfinishable"]
    results = (await post_batch(service, *({"text": text} for text in articles))).json()["results"]
    assert [result.get("error", {}).get("status") for result in results] == [None, 500, None, 500]
    lines = await post_lines(service, *(json.dumps({"text": text}) for text in articles))
    assert [result.get("error", {}).get("status") for result in lines] == [None, 500, None, 500]


async def test_deadline_leaves_what_was_ready(service: Running) -> None:
    async with running(batch_tokens=8) as service:
        stuck = asyncio.Event()
        encode = service.extractor.encode

        def hold(windows: Sequence[Any]) -> Any:
            if any("stuck" in window.words for window in windows):
                service.extractor.gate.clear()
            return encode(windows)

        service.extractor.encode = hold  # type: ignore[method-assign]
        response = await post_batch(
            service, {"text": "Rossi met"}, {"text": "stuck " * 8}, headers={"X-Request-Timeout": "0.3"}
        )
        results = response.json()["results"]
        assert len(results[0]["events"]) == 1
        assert results[1]["error"]["status"] == 504
        assert not stuck.is_set()
        problem_of(await post_batch(service, {"text": "never"}, headers={"X-Request-Timeout": "0.05"}), 504)
        service.extractor.gate.set()


async def test_batch_is_admitted_whole_or_not_at_all() -> None:
    async with running(max_queued_tokens=100) as service:
        service.extractor.gate.clear()
        first = asyncio.create_task(service.extract("word " * 45))
        await asyncio.to_thread(service.extractor.entered.acquire)
        refused = await post_batch(service, {"text": "word " * 40}, {"text": "word " * 60})
        problem_of(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        service.extractor.gate.set()
        assert (await first).status_code == 200
        assert len(service.extractor.passes) == 1
        # One that is larger than the bound by itself gets in when nothing waits, or it never would.
        assert (await post_batch(service, {"text": "word " * 400})).status_code == 200
        assert service.service.admission.tokens == 0


async def test_a_large_batch_keeps_nobody_out() -> None:
    async with running(max_queued_tokens=100, batch_tokens=8) as service:
        service.extractor.gate.clear()
        batch = asyncio.create_task(post_batch(service, *[{"text": "word " * 10}] * 60))
        await asyncio.to_thread(service.extractor.entered.acquire)
        singles = [asyncio.create_task(service.extract("Rossi met")) for _ in range(5)]
        for _ in range(1000):
            if service.service.admission.tokens >= 100 // 4 + 5:
                break
            await asyncio.sleep(0.01)
        service.extractor.gate.set()
        assert [(await single).status_code for single in singles] == [200] * 5
        assert not batch.done()
        assert all("events" in result for result in (await batch).json()["results"])
        assert service.service.admission.tokens == 0


async def test_nobody_is_let_in_to_wait_for_longer_than_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(max_wait_s=2.5) as service:
        service.extractor.gate.clear()
        first = asyncio.create_task(service.extract("word " * 1500))
        await asyncio.to_thread(service.extractor.entered.acquire)
        monkeypatch.setattr(Admission, "tokens_per_s", 500.0)
        second = asyncio.create_task(service.extract("word " * 600))  # a turn of 1,024 tokens goes before it
        await asyncio.to_thread(wait_for, lambda: service.service.admission.tokens == 2100)
        refused = await service.extract("word " * 600)
        problem_of(refused, 429)
        assert refused.headers["retry-after"] == "5"
        service.extractor.gate.set()
        assert [(await each).status_code for each in (first, second)] == [200, 200]


async def test_who_could_not_be_answered_in_time_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as service:
        service.extractor.gate.clear()
        first = asyncio.create_task(service.extract("word " * 3000))
        await asyncio.to_thread(service.extractor.entered.acquire)
        monkeypatch.setattr(Admission, "tokens_per_s", 1000.0)
        refused = await service.extract("word " * 3000, headers={"X-Request-Timeout": "0.5"})
        problem_of(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        service.extractor.gate.set()
        assert (await first).status_code == 200


async def test_lines_with_mistakes_between_good_ones() -> None:
    async with running(max_body_bytes=200) as service:
        results = await post_lines(
            service,
            '{"text": "Rossi met"}\r',
            "",
            "{'text': 1}",
            "  \t",
            json.dumps({"text": "long " * 60}),
            b'{"text": "\xff"}',
            rb'{"text": "\ud800"}',
            "[" * 201,
            '{"text": "a", "nope": 1}',
            '{"text": "Weber met"}',
        )
    shown = [result.get("error", {}).get("status") or len(result["events"]) for result in results]
    assert shown == [1, 400, 413, 400, 422, 413, 422, 1]
    assert results[6]["error"]["errors"][0]["loc"] == ["body", "nope"]


async def test_no_lines_give_no_results(service: Running) -> None:
    assert await post_lines(service) == []
    assert await post_lines(service, "\n\n  \n") == []


async def test_lines_without_an_end_of_the_last(service: Running) -> None:
    assert len(await post_lines(service, '{"text": "a"}', '{"text": "b"}\n')) == 2


async def test_many_lines_come_in_order_and_share_passes(service: Running) -> None:
    results = await post_lines(service, *(json.dumps({"text": f"{n} met " + "x " * (n % 40)}) for n in range(500)))
    names = [result["events"][0]["participants"][0]["name"] for result in results]
    assert names == [str(n) for n in range(500)]
    assert len(service.extractor.passes) < 250


async def test_a_full_queue_holds_lines_back_instead_of_failing_them() -> None:
    async with running(max_queued_tokens=30) as service:
        results = await post_lines(service, *(json.dumps({"text": "word " * 20}) for _ in range(20)))
        assert [len(result["events"]) for result in results] == [0] * 20
        assert service.service.admission.tokens == 0


async def test_deadline_of_lines_holds_for_each() -> None:
    async with running() as service:
        service.extractor.gate.clear()
        headers = LINES | {"X-Request-Timeout": "0.05"}
        response = await service.client.post("/v1/extract/batch", content=b'{"text": "a"}\n' * 3, headers=headers)
        assert [json.loads(line)["error"]["status"] for line in response.content.splitlines()] == [504] * 3


async def test_other_content_types_get_415(service: Running) -> None:
    headers = {"Content-Type": "application/jsonl"}
    problem_of(await service.client.post("/v1/extract/batch", content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
async def test_lines_are_found_however_the_body_is_cut(size: int) -> None:
    body = b"ab\n\nabcdefgh\nabcde\nabcdef\nxyz"

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    assert [line async for line in body_lines(chunks(), 5)] == [b"ab", b"", None, b"abcde", None, b"xyz"]


async def test_a_last_line_over_the_limit_is_told() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abcdef"
        yield b""

    assert [line async for line in body_lines(chunks(), 5)] == [None]
