from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Running, problem_of, running, wait_for
from fake_extractor import FakeExtractor

from app.api.ontology import TypesAnswer
from app.extraction.values import EVENT_TYPES, ROLES
from app.settings import VERSION

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def loaded(service: Running) -> None:
    await asyncio.to_thread(wait_for, lambda: service.service.lifecycle.state != "loading")


async def test_types_tell_the_ontology(service: Running) -> None:
    answer = TypesAnswer.model_validate_json((await service.client.get("/v1/types")).content)
    assert tuple(entry.type for entry in answer.types) == EVENT_TYPES
    for entry in answer.types:
        assert tuple(role.role for role in entry.roles) == ROLES[entry.type]
        assert ("amounts" in {field.field for field in entry.fields}) == (entry.type == "budget_commitment")


async def test_loading_is_alive_but_not_ready() -> None:
    extractor = FakeExtractor()
    extractor.loading.clear()
    async with running(extractor, ready=False) as service:
        assert (await service.client.get("/livez")).json() == {"status": "alive"}
        response = await service.client.get("/readyz")
        assert problem_of(response, 503).detail == "The model is being loaded."
        assert int(response.headers["retry-after"]) >= 1
        refused = await service.extract("text")
        problem_of(refused, 503)
        assert int(refused.headers["retry-after"]) >= 1
        assert (await service.client.get("/version")).json()["model"] is None
        metrics = (await service.client.get("/metrics")).text
        assert "events_ready 0.0" in metrics
        assert 'events_refusals_total{reason="not_ready"} 1.0' in metrics


async def test_model_that_cannot_be_loaded_is_told_without_a_path(caplog: pytest.LogCaptureFixture) -> None:
    extractor = FakeExtractor(load_error=FileNotFoundError("no /srv/models/config.json"))
    async with running(extractor, ready=False) as service:
        await loaded(service)
        response = await service.client.get("/readyz")
        assert problem_of(response, 503).detail == "The model could not be loaded."
        assert "/srv" not in response.text
        assert service.service.lifecycle.state == "failed"
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "no /srv/models/config.json" in record.getMessage()
    assert record.exc_info is None


async def test_model_that_cannot_answer_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeExtractor):
        def encode(self, windows: Any) -> Any:
            raise RuntimeError("shapes differ")

    async with running(Broken(), ready=False) as service:
        await loaded(service)
        assert service.service.lifecycle.state == "failed"
    assert "RuntimeError: shapes differ" in caplog.text


async def test_draining_refuses_work_and_readiness_but_lives(service: Running) -> None:
    service.service.lifecycle.drain()
    assert problem_of(await service.client.get("/readyz"), 503).detail == "The service is shutting down."
    refused = await service.extract("text")
    problem_of(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["connection"] == "close"
    assert (await service.client.get("/livez")).status_code == 200


async def test_version_names_service_model_build_and_weights(tmp_path: Path) -> None:
    """Of several files of weights: what sha256sum prints of their listing."""
    for name, content in (("b.safetensors", b"2"), ("a.safetensors", b"1"), ("config.json", b"{}")):
        (tmp_path / name).write_bytes(content)
    listing = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}.safetensors\n" for name, content in (("a", b"1"), ("b", b"2"))
    )
    async with running(build_revision="abc1234", model_dir=tmp_path) as service:
        assert (await service.client.get("/version")).json() == {
            "version": VERSION,
            "model": {"name": "fake", "version": "1.2.3"},
            "build": "abc1234",
            "weights_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        }


async def test_one_file_of_weights_is_known_by_its_own_hash(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    async with running(model_dir=tmp_path) as service:
        told = (await service.client.get("/version")).json()["weights_sha256"]
    assert told == hashlib.sha256(b"1").hexdigest()


async def test_metrics_tell_what_happened(service: Running) -> None:
    await service.extract("Rossi met Weber met " + "word " * 20)
    await service.extract("")
    await service.client.get("/wp-admin/123")
    await service.client.request("BREW", "/livez")
    response = await service.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    samples = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    expected = {
        'events_http_requests_total{method="POST",route="/v1/extract",status="200"}': 1,
        'events_http_requests_total{method="POST",route="/v1/extract",status="422"}': 1,
        'events_http_requests_total{method="GET",route="unmatched",status="404"}': 1,
        'events_http_requests_total{method="other",route="/livez",status="405"}': 1,
        'events_http_request_duration_seconds_count{method="POST",route="/v1/extract"}': 2,
        "events_http_requests_in_flight": 1,
        "events_queue_windows": 0,
        "events_queue_tokens": 0,
        "events_admitted_tokens": 0,
        "events_buffered_bytes": 0,
        "events_ready": 1,
        'events_extracted_total{type="meeting"}': 2,
        'events_articles_total{outcome="answered"}': 1,
        'events_model_info{name="fake",version="1.2.3"}': 1,
        f'events_build_info{{revision="unknown",version="{VERSION}"}}': 1,
        'events_refusals_total{reason="queue_full"}': 0,
        "events_deadline_misses_total": 0,
    }
    assert {name: float(samples[name]) for name in expected} == expected
    assert float(samples["events_batch_windows_count"]) >= 1
    assert float(samples["events_batch_tokens_sum"]) >= 24
    assert float(samples['events_stage_seconds_count{stage="segment"}']) >= 1
    assert float(samples["process_resident_memory_bytes"]) > 0
    assert "123" not in "".join(name for name in samples if name.startswith("events"))


async def test_two_applications_count_apart(service: Running) -> None:
    async with running() as other:
        await other.extract("text")
        assert 'route="/v1/extract"' in (await other.client.get("/metrics")).text
    assert 'route="/v1/extract"' not in (await service.client.get("/metrics")).text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/v1/extract/", 404), ("GET", "/v1/extract", 405), ("DELETE", "/livez", 405)],
)
async def test_wrong_paths_and_methods_are_problems(service: Running, method: str, path: str, status: int) -> None:
    response = await service.client.request(method, path)
    problem_of(response, status)
    assert ("allow" in response.headers) == (status == 405)


async def test_a_bug_gives_a_problem_that_tells_nothing(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    def bug() -> bytes:
        raise RuntimeError("the secret is in /etc/secret")

    service.service.metrics.render = bug  # type: ignore[method-assign]
    response = await service.client.get("/metrics")
    assert problem_of(response, 500).detail == "The service failed."
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert any(record.message == "a request failed" and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("sent", ["a", "A-b_c.9", "x" * 128])
async def test_sane_request_id_is_kept(service: Running, sent: str) -> None:
    response = await service.client.get("/nowhere", headers={"X-Request-ID": sent})
    assert problem_of(response, 404).request_id == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a b", "a\u00e9", "a;b", "a/b"])
async def test_other_request_id_is_replaced(service: Running, sent: str | None) -> None:
    headers = [] if sent is None else [(b"X-Request-ID", sent.encode("latin-1"))]
    got = [(await service.client.get("/livez", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert got[0] != got[1]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", request_id) for request_id in got)


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        (PARENT, "01"),
        (PARENT[:-2] + "00", "00"),
        (PARENT[:-2] + "ff", "01"),
        ("cc" + PARENT[2:] + "-what-the-future-brings", "01"),
    ],
)
async def test_valid_trace_is_joined(service: Running, sent: str, flags: str) -> None:
    response = await service.client.get("/livez", headers={"traceparent": sent})
    version, trace_id, span_id, sampled = response.headers["traceparent"].split("-")
    assert (version, trace_id, sampled) == ("00", TRACE, flags)
    assert span_id != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01",
        "ff" + PARENT[2:],
        PARENT + "-more",
        PARENT.upper(),
        PARENT[:-1],
    ],
)
async def test_other_trace_begins_anew(service: Running, sent: str | None) -> None:
    headers = {} if sent is None else {"traceparent": sent}
    got = (await service.client.get("/livez", headers=headers)).headers["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", got)
    assert TRACE not in got


async def test_two_traces_are_none(service: Running) -> None:
    headers = [("traceparent", PARENT), ("traceparent", PARENT)]
    assert TRACE not in (await service.client.get("/livez", headers=headers)).headers["traceparent"]


async def test_access_log_tells_the_request_but_not_the_article(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = "Zanzibarium met Quaxolotl"
    await service.extract(text, headers={"X-Request-ID": "me", "traceparent": PARENT})
    await service.extract(text + " poison")
    await service.client.post("/v1/extract", json={"text": [text]})
    [record] = [r for r in caplog.records if r.name == "app.access" and r.__dict__["status"] == 200 and r.levelno > 10]
    told = {name: record.__dict__[name] for name in ("method", "route", "status", "articles", "characters", "events")}
    assert told == {
        "method": "POST",
        "route": "/v1/extract",
        "status": 200,
        "articles": 1,
        "characters": len(text),
        "events": 1,
    }
    assert record.__dict__["duration_s"] > 0
    from app.serving.logs import DiscreetJsonFormatter

    everything = "".join(DiscreetJsonFormatter("%(message)s").format(record) for record in caplog.records)
    assert "Zanzibarium" not in everything
    assert "poison" not in everything


async def test_probes_are_logged_quietly(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await service.client.get("/livez")
    assert not [record for record in caplog.records if record.name == "app.access"]


async def test_docs_ask_no_foreign_host(service: Running) -> None:
    page = await service.client.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert "//" not in page.text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    for address in addresses:
        if not address.startswith("data:"):
            response = await service.client.get(httpx.URL("http://service/docs").join(address))
            assert response.status_code == 200
            assert len(response.content) > 50
    assert len(addresses) == 4
    assert 'url: "openapi.json"' in (await service.client.get("/docs/start.js")).text
    missing = await service.client.get("/docs/static/nothing.js")
    problem_of(missing, 404)
    problem_of(await service.client.get("/docs/static/../../../main.py"), 404)


@pytest.mark.parametrize("path", ["/news/events", ""])
async def test_prefix_of_a_gateway_may_be_stripped_or_not(path: str) -> None:
    async with running(root_path="/news/events") as service:
        assert (await service.client.get(f"{path}/livez")).status_code == 200
        response = await service.client.get(f"{path}/openapi.json")
        assert response.json()["servers"] == [{"url": "/news/events"}]
        assert (await service.client.get(f"{path}/docs/static/swagger-ui.css")).status_code == 200
        extracted = await service.client.post(f"{path}/v1/extract", json={"text": "a"})
        assert extracted.status_code == 200
        metrics = (await service.client.get(f"{path}/metrics")).text
        assert 'route="/v1/extract"' in metrics


async def test_answers_are_not_sniffed_or_stored(service: Running) -> None:
    answers = [await service.extract(text) for text in ("text", "", "poison")]
    for path in ("/docs", "/docs/start.js", "/docs/static/swagger-ui.css", "/openapi.json", "/metrics", "/nowhere"):
        answers.append(await service.client.get(path))  # noqa: PERF401 - await
    for response in answers:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


async def test_examples_are_true() -> None:
    from app.api.openapi import EXAMPLES
    from app.api.schemas import ArticleRequest, BatchAnswer, ExtractionAnswer, Problem

    def check(article: dict[str, Any], answer: dict[str, Any]) -> None:
        ArticleRequest.model_validate(article)
        ExtractionAnswer.model_validate(answer)
        text = article["text"]
        assert answer["document"]["characters"] == len(text)
        assert answer["events"]

        def spans(value: Any) -> None:
            if isinstance(value, dict):
                if "start" in value:
                    assert text[value["start"] : value["end"]] == value["text"]
                for part in value.values():
                    spans(part)
            elif isinstance(value, list):
                for part in value:
                    spans(part)

        spans(answer)

    for example in EXAMPLES["extract"].values():
        check(example["request"], example["response"])
    for example in EXAMPLES["batch"].values():
        BatchAnswer.model_validate(example["response"])
        for article, result in zip(example["request"]["articles"], example["response"]["results"], strict=True):
            if "error" not in result:
                check(article, result)
    for status, problem in EXAMPLES["problems"].items():
        assert Problem.model_validate(problem).status == int(status)
    assert json.dumps(EXAMPLES)
