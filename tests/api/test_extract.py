from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Any

import pytest
from conftest import Running, problem_of, running, wait_for
from fake_extractor import FakeExtractor, FakeInfo, answer_of

from app.api.schemas import BatchAnswer, ExtractionAnswer, render

pytestmark = pytest.mark.anyio

TEXT = "Today 🙂 Rossi met Weber. Then Weber met Khan at noon, and they spoke of ferries until the evening came."


async def test_answer_has_the_contracts_shape(service: Running) -> None:
    response = await service.extract(TEXT)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    ExtractionAnswer.model_validate(answer)
    assert [event["id"] for event in answer["events"]] == ["e1", "e2"]
    assert answer["document"] == {
        "published_at": None,
        "published_from": None,
        "language": "en",
        "characters": len(TEXT),
    }
    assert answer["model"] == {"name": "fake", "version": "1.2.3"}
    first = answer["events"][0]
    assert list(first) == [
        "id",
        "type",
        "status",
        "confidence",
        "mentions",
        "participants",
        "locations",
        "dates",
        "amounts",
        "purpose",
    ]
    assert first["confidence"] == 0.9877
    assert first["dates"][0]["value"] is None
    assert [json.dumps(amount["value"]) for amount in first["amounts"]] == ["40000000", "2.5"]
    spans = [*first["mentions"], *first["participants"][0]["mentions"], first["purpose"], *first["dates"]]
    assert all(TEXT[span["start"] : span["end"]] == span["text"] for span in spans)


async def test_article_gets_the_same_bytes_alone_in_a_batch_and_in_lines_under_load(service: Running) -> None:
    alone = (await service.extract(TEXT)).content
    assert alone == render(answer_of(TEXT), FakeInfo()).json
    articles = [{"text": f"Article {n} is about how {n} met someone. " * n} for n in range(1, 30)]
    articles[7] = articles[20] = {"text": TEXT}
    lines = "\n".join(map(json.dumps, articles))
    batch, streamed, *others = await asyncio.gather(
        service.client.post("/v1/extract/batch", json={"articles": articles}),
        service.client.post("/v1/extract/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}),
        *(service.extract(TEXT) for _ in range(20)),
    )
    assert all(other.content == alone for other in others)
    BatchAnswer.model_validate(batch.json())
    results = streamed.content.splitlines()
    assert len(results) == len(articles)
    assert results[7] == results[20] == alone
    assert batch.content == b'{"results":[' + b",".join(results) + b"]}"


@pytest.mark.parametrize(
    ("sent", "day"),
    [
        ("2025-04-08", date(2025, 4, 8)),
        ("2025-04-08T23:30:00-05:00", date(2025, 4, 8)),
        ("2025-04-08t00:10:59.123z", date(2025, 4, 8)),
        ("2016-12-31T23:59:60Z", date(2016, 12, 31)),
    ],
)
async def test_publication_date_is_read_as_written(service: Running, sent: str, day: date) -> None:
    response = await service.client.post("/v1/extract", json={"text": TEXT, "published_at": sent})
    assert response.json()["document"]["published_at"] == day.isoformat()


@pytest.mark.parametrize(
    "sent",
    [
        "2025-02-30",
        "0000-01-01",
        "2025-4-8",
        "8 April 2025",
        "2025-04-08T10:00:00",
        "2025-04-08T25:00:00Z",
        "2025-04-08T10:00:00+25:00",
        "20250408",
        "",
        20250408,
        True,
        ["2025-04-08"],
    ],
)
async def test_no_date_is_refused(service: Running, sent: object) -> None:
    response = await service.client.post("/v1/extract", json={"text": TEXT, "published_at": sent})
    problem = problem_of(response, 422)
    assert [error.loc for error in problem.errors] == [["body", "published_at"]]


async def test_types_and_threshold_reach_the_extractor(service: Running) -> None:
    async def found(**more: object) -> int:
        response = await service.client.post("/v1/extract", json={"text": TEXT, **more})
        assert response.status_code == 200
        return len(response.json()["events"])

    assert await found(types=None, min_confidence=None, title=None, source_url=None) == 2
    assert await found(types=["visit", "meeting", "meeting"]) == 2
    assert await found(types=["visit"]) == 0
    assert await found(types=[]) == 0
    assert await found(min_confidence=1) == 0
    assert await found(min_confidence=0) == 2


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "text"]),
        ({"text": ""}, ["body", "text"]),
        ({"text": " \n\t\u2003"}, ["body", "text"]),
        ({"text": None}, ["body", "text"]),
        ({"text": 5}, ["body", "text"]),
        ({"text": "a" * 200_001}, ["body", "text"]),
        ({"text": "a", "language": "en"}, ["body", "language"]),
        ({"text": "a", "title": 5}, ["body", "title"]),
        ({"text": "a", "source_url": "news"}, ["body", "source_url"]),
        ({"text": "a", "types": ["party"]}, ["body", "types", 0]),
        ({"text": "a", "types": "meeting"}, ["body", "types"]),
        ({"text": "a", "min_confidence": 1.5}, ["body", "min_confidence"]),
        ({"text": "a", "min_confidence": -0.1}, ["body", "min_confidence"]),
        ({"text": "a", "min_confidence": "0.5"}, ["body", "min_confidence"]),
        ({"text": "a", "min_confidence": True}, ["body", "min_confidence"]),
        ([], ["body"]),
        ("text", ["body"]),
        (None, ["body"]),
    ],
)
async def test_bad_fields_are_named(service: Running, body: object, loc: list[str | int]) -> None:
    headers = {"Content-Type": "application/json"}
    response = await service.client.post("/v1/extract", content=json.dumps(body), headers=headers)
    problem = problem_of(response, 422)
    assert [error.loc for error in problem.errors] == [loc]
    assert problem.errors[0].msg


async def test_errors_quote_nothing_of_the_input(service: Running) -> None:
    secret = "Zanzibarium"  # noqa: S105
    body = {"text": [secret], "title": {"a": secret}, "types": [secret], "published_at": secret, "source_url": secret}
    response = await service.client.post("/v1/extract", json=body)
    assert len(problem_of(response, 422).errors) == 5
    assert secret not in response.text


async def test_a_million_mistakes_give_a_short_answer(service: Running) -> None:
    body = {"text": "a"} | {f"field{n}" * 30: 1 for n in range(5000)}
    problem = problem_of(await service.client.post("/v1/extract", json=body), 422)
    assert len(problem.errors) == 20
    assert max(len(str(error.loc[-1])) for error in problem.errors) == 100


async def test_longest_text_counts_code_points(service: Running) -> None:
    text = "🙂" * 199_990 + " Rossi met"
    response = await service.extract(text)
    assert response.json()["document"]["characters"] == 200_000
    assert response.json()["events"][0]["mentions"] == [{"text": "met", "start": 199_997, "end": 200_000}]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"text": "a"} x', "not JSON"),
        (b"{'text': 'a'}", "not JSON"),
        (b'{"text": "a", "min_confidence": NaN}', "not JSON"),
        (b'{"text": "a", "min_confidence": Infinity}', "not JSON"),
        (b'{"text": "\\x"}', "not JSON"),
        (b'{"text": "\\ud800", "min_confidence": NaN}', "not JSON"),
        (b'{"text": "\\ud800"', "not JSON"),
        (b'\xef\xbb\xbf{"text": "a"}', "not JSON"),
        (b'{"text": "\xff"}', "not UTF-8"),
        ('{"text": "a"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 500 + b"]" * 500, "nested too deep"),
        (b'["\\ud800", ' + b"[" * 5000 + b"]" * 5001, "not JSON"),
        (b'{"a":' * 100_000, "nested too deep"),
    ],
)
async def test_what_is_no_json_gets_400(service: Running, body: bytes, detail: str) -> None:
    headers = {"Content-Type": "application/json"}
    problem = problem_of(await service.client.post("/v1/extract", content=body, headers=headers), 400)
    assert detail in problem.detail


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (rb'{"text": "a \ud800"}', ["body", "text"]),
        (rb'{"text": "a", "types": ["\udc00"]}', ["body", "types", 0]),
        (rb'{"text": "a", "\ud800b": 1}', ["body"]),
    ],
)
async def test_half_a_surrogate_pair_gets_422(service: Running, body: bytes, loc: list[str | int]) -> None:
    headers = {"Content-Type": "application/json"}
    problem = problem_of(await service.client.post("/v1/extract", content=body, headers=headers), 422)
    assert [error.loc for error in problem.errors] == [loc]


async def test_whole_surrogate_pairs_and_nul_are_text(service: Running) -> None:
    body = rb'{"text": "\ud83d\ude42 \u0000 Rossi met"}'
    response = await service.client.post("/v1/extract", content=body, headers={"Content-Type": "application/json"})
    assert response.json()["events"][0]["mentions"] == [{"text": "met", "start": 10, "end": 13}]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_content_types_get_415(service: Running, headers: dict[str, str]) -> None:
    problem_of(await service.client.post("/v1/extract", content=b'{"text": "a"}', headers=headers), 415)


async def test_charset_utf8_is_fine(service: Running) -> None:
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"', "Content-Encoding": "identity"}
    response = await service.client.post("/v1/extract", content=b'{"text": "a"}', headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1_0", "soon", "", "601"])
async def test_senseless_timeouts_get_422(service: Running, value: str) -> None:
    problem = problem_of(await service.extract(TEXT, headers={"X-Request-Timeout": value}), 422)
    assert [error.loc for error in problem.errors] == [["header", "X-Request-Timeout"]]


async def test_deadline_gets_504_and_drops_the_work(service: Running) -> None:
    service.extractor.gate.clear()
    first = asyncio.create_task(service.extract("one"))
    await asyncio.to_thread(service.extractor.entered.acquire)
    problem_of(await service.extract("two " * 50, headers={"X-Request-Timeout": "0.05"}), 504)
    engine = service.service._engine
    assert engine is not None
    assert (engine.queue.tokens, engine.queue.windows) == (0, 0)
    service.extractor.gate.set()
    assert (await first).status_code == 200
    assert len(service.extractor.passes) == 1
    assert service.service.admission.tokens == 0
    assert "events_deadline_misses_total 1.0" in (await service.client.get("/metrics")).text


async def test_deadline_holds_while_the_body_is_read(service: Running) -> None:
    async def body() -> Any:
        yield b'{"text": '
        await asyncio.sleep(30)

    headers = {"X-Request-Timeout": "0.05", "Content-Type": "application/json"}
    problem_of(await service.client.post("/v1/extract", content=body(), headers=headers), 504)


@pytest.mark.parametrize("word", ["poison", "unfinishable"])
async def test_failure_of_one_article_spares_the_others(
    service: Running, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.extractor.gate.clear()
    first = asyncio.create_task(service.extract("something first"))
    await asyncio.to_thread(service.extractor.entered.acquire)
    tasks = [asyncio.create_task(service.extract(text)) for text in ("Rossi met", f"a {word} b " * 20, "Weber met")]
    engine = service.service._engine
    assert engine is not None
    await asyncio.to_thread(wait_for, lambda: engine.queue.windows >= 10)
    service.extractor.gate.set()
    good, bad, also_good = await asyncio.gather(*tasks)
    assert (await first).status_code == 200
    assert len(good.json()["events"]) == len(also_good.json()["events"]) == 1
    problem = problem_of(bad, 500)
    assert word not in bad.text
    assert problem.detail == "The article could not be processed."
    assert service.service.admission.tokens == 0
    assert (engine.queue.tokens, engine.queue.windows) == (0, 0)


async def test_full_queue_gets_429_with_the_seconds_that_it_takes() -> None:
    async with running(max_queued_tokens=100) as service:
        service.extractor.gate.clear()
        first = asyncio.create_task(service.extract("word " * 90))
        await asyncio.to_thread(service.extractor.entered.acquire)
        service.service.admission._done_tokens, service.service.admission._busy_s = 10.0, 1.0
        passes = len(service.extractor.passes)
        refused = await service.extract("word " * 90)
        problem_of(refused, 429)
        assert refused.headers["retry-after"] == "9"
        assert len(service.extractor.passes) == passes
        service.extractor.gate.set()
        assert (await first).status_code == 200
        assert (await service.extract("word " * 90)).status_code == 200
        assert 'events_refusals_total{reason="queue_full"} 1.0' in (await service.client.get("/metrics")).text


async def test_full_queue_refuses_before_the_body_is_read() -> None:
    async with running(max_queued_tokens=10) as service:
        service.extractor.gate.clear()
        first = asyncio.create_task(service.extract("word " * 90))
        await asyncio.to_thread(service.extractor.entered.acquire)
        read = 0

        async def body() -> Any:
            nonlocal read
            read += 1
            yield b'{"text": "a"}'

        headers = {"Content-Type": "application/json", "Expect": "100-continue"}
        refused = await service.client.post("/v1/extract", content=body(), headers=headers)
        problem_of(refused, 429)
        assert read == 0
        assert refused.headers["connection"] == "close"
        service.extractor.gate.set()
        assert (await first).status_code == 200


async def test_bodies_held_at_one_time_are_bounded() -> None:
    async with running(max_buffered_bytes=1000) as service:
        refused = await service.extract("word " * 300)
        problem_of(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert service.service._buffered == 0
        assert (await service.extract("word " * 30)).status_code == 200


async def test_body_over_the_limit_gets_413() -> None:
    async with running(max_body_bytes=1000) as service:
        problem_of(await service.extract("word " * 300), 413)

        async def body() -> Any:
            for _ in range(20):
                yield b" " * 100

        headers = {"Content-Type": "application/json"}
        problem_of(await service.client.post("/v1/extract", content=body(), headers=headers), 413)
        assert service.service._buffered == 0


async def test_an_empty_segmentation_is_answered() -> None:
    class Blind(FakeExtractor):
        def segment(self, article: Any, min_confidence: float | None = None) -> Any:
            segmented = super().segment(article, min_confidence)
            return type(segmented)(type(article)("  "), ()) if article.text == "?" else segmented

    async with running(Blind()) as service:
        assert (await service.extract("?")).json()["events"] == []
