from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from conftest import problem_of, running
from pydantic import ValidationError

from app.client import Client, ServiceError
from app.main import create_app
from app.serving.logs import DiscreetJsonFormatter
from app.settings import Settings

pytestmark = pytest.mark.anyio

KEY, SECOND, WRONG = "0123456789abcdef0123", "fedcba98765432100123", "0123456789abcdef0124"
WORK = [("POST", "/v1/extract"), ("POST", "/v1/extract/batch"), ("GET", "/v1/types")]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n{SECOND}\n")
    return path


def write(path: Path, content: str) -> None:
    path.write_text(content)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {SECOND}"},
        {"X-API-Key": KEY},
        {"Authorization": "Basic Z2F0ZXdheTpwYXNz", "X-API-Key": SECOND},
        {"Authorization": "Bearer of-the-gateway-itself", "X-API-Key": SECOND},
    ],
)
async def test_a_key_opens_all_work(headers: dict[str, str], keys: Path) -> None:
    async with running(api_keys_file=keys) as service:
        assert (await service.extract("Rossi met", headers=headers)).status_code == 200
        batch = await service.client.post("/v1/extract/batch", json={"articles": [{"text": "a"}]}, headers=headers)
        assert batch.status_code == 200
        assert (await service.client.get("/v1/types", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="events"'),
        ({"Authorization": f"Basic {KEY}"}, 'Bearer realm="events"'),
        ({"Authorization": KEY}, 'Bearer realm="events"'),
        ({"Authorization": f"Bearer {WRONG}"}, 'Bearer realm="events", error="invalid_token"'),
        ({"Authorization": "Bearer"}, 'Bearer realm="events", error="invalid_token"'),
        ({"Authorization": f"Bearer {KEY} {KEY}"}, 'Bearer realm="events", error="invalid_token"'),
        ({"X-API-Key": WRONG}, 'Bearer realm="events", error="invalid_token"'),
        ({"X-API-Key": "k\u00e9y"}, 'Bearer realm="events", error="invalid_token"'),
        ({"X-API-Key": f"{KEY}, {SECOND}"}, 'Bearer realm="events", error="invalid_token"'),
    ],
)
async def test_without_a_good_key_no_work_is_begun(headers: dict[str, str], challenge: str, keys: Path) -> None:
    sent = [(name, value.encode("latin-1")) for name, value in headers.items()]
    read = 0

    async def body() -> Any:
        nonlocal read
        read += 1
        yield b'{"text": "a"}'

    async with running(api_keys_file=keys) as service:
        for method, path in WORK:
            content = {"content": body()} if method == "POST" else {}
            response = await service.client.request(
                method,
                path,
                headers=[*sent, ("Content-Type", b"application/json"), ("Expect", b"100-continue")],  # type: ignore[arg-type]
                **content,
            )
            problem_of(response, 401)
            assert response.headers["www-authenticate"] == challenge
        assert read == 0
        assert service.extractor.passes == []


async def test_operation_stays_open(keys: Path) -> None:
    async with running(api_keys_file=keys) as service:
        for path in ("/livez", "/readyz", "/metrics", "/version", "/docs", "/openapi.json"):
            assert (await service.client.get(path)).status_code == 200
        problem_of(await service.client.get("/v1/nowhere"), 404)


async def test_keys_are_rotated_without_a_restart(keys: Path) -> None:
    async with running(api_keys_file=keys) as service:
        write(keys, f"{WRONG}\n{SECOND}\n")
        assert (await service.extract("a", headers={"X-API-Key": WRONG})).status_code == 200
        problem_of(await service.extract("a", headers={"X-API-Key": KEY}), 401)


async def test_no_key_gets_into_logs_metrics_or_errors(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(api_keys_file=keys) as service:
        answers = [
            await service.extract(text, headers={name: value})
            for text in ("Rossi met", "poison", "", "unfinishable")
            for name, value in (("X-API-Key", KEY), ("Authorization", f"Bearer {WRONG}"))
        ]
        write(keys, SECOND[:10])
        answers.append(await service.extract("a", headers={"X-API-Key": KEY}))
        answers += [await service.client.get(path) for path in ("/metrics", "/openapi.json")]
    told = "".join(DiscreetJsonFormatter("%(message)s").format(record) for record in caplog.records)
    told += "".join(answer.text + str(answer.headers) for answer in answers)
    assert not [key for key in (KEY, WRONG, SECOND[:10]) if key in told]


@pytest.mark.parametrize("content", [None, "short\n", ""])
def test_a_bad_file_ends_the_start(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValidationError) as caught:
        Settings(api_keys_file=path)
    assert "short" not in caught.value.errors(include_input=False)[0]["msg"]


def test_no_file_is_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_API_KEYS_FILE", "")
    assert Settings().api_keys_file is None


def test_document_tells_how_to_send_a_key(keys: Path) -> None:
    closed, opened = (create_app(Settings(api_keys_file=file)).openapi() for file in (keys, None))
    assert set(closed["components"]["securitySchemes"]) == {"bearer", "key"}
    either: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
    for document, wanted in ((closed, either), (opened, [{}, *either])):
        for path, operations in document["paths"].items():
            for operation in operations.values():
                assert operation.get("security") == (wanted if path.startswith("/v1/") else None)
                assert ("401" in operation["responses"]) == path.startswith("/v1/")


async def test_clients_send_their_key(keys: Path) -> None:
    from conftest import served

    def ask() -> None:
        with served(api_keys_file=keys) as service:
            url = f"http://127.0.0.1:{service.port}"
            with Client(url, api_key=KEY) as client:
                assert len(client.extract("Rossi met").events) == 1
                assert len(list(client.stream(["Rossi met"]))) == 1
            assert KEY not in repr(client._options)
            with Client(url, api_key=WRONG) as client, pytest.raises(ServiceError, match="401 Unauthorized"):
                client.extract("Rossi met")

    await asyncio.to_thread(ask)
