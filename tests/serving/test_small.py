"""The cores, the lifecycle, the logs and the settings."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.serving.cpus import available_cpus, number_type
from app.serving.errors import RefusedError
from app.serving.lifecycle import Lifecycle
from app.serving.logs import RequestInfo, current_request, log_config
from app.settings import VERSION, Settings, settings_table


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "99900000 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({}, None),
        ({"cpu.max": "what\n"}, None),
    ],
)
def test_cores_follow_affinity_and_quota(tmp_path: Path, files: dict[str, str], quota: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path) == (quota or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("flags", "fastest"),
    [
        ("flags : fpu avx2 avx512_bf16 amx_tile", "bfloat16"),
        ("flags : fpu avx avx2 fma", "int8"),
        ("flags : fpu avx", "float32"),
        ("Features : fp bf16", "bfloat16"),
        ("Features : fp asimd", "float32"),
    ],
)
def test_number_types_follow_the_processor(tmp_path: Path, flags: str, fastest: str) -> None:
    (tmp_path / "cpuinfo").write_text(flags + "\n")
    assert number_type(tmp_path / "cpuinfo") == fastest
    assert number_type(tmp_path / "nothing") == "float32"


def test_lifecycle_has_no_way_back() -> None:
    lifecycle = Lifecycle()
    with pytest.raises(RefusedError) as refused:
        lifecycle.check()
    assert refused.value.reason == "not_ready"
    lifecycle.ready()
    lifecycle.check()
    lifecycle.fail()
    lifecycle.check()
    lifecycle.drain()
    lifecycle.ready()
    with pytest.raises(RefusedError) as refused:
        lifecycle.check()
    assert refused.value.reason == "draining"


@pytest.mark.anyio
async def test_abort_cancels_what_is_open_and_nothing_else() -> None:
    lifecycle = Lifecycle()

    async def request() -> None:
        with lifecycle.request():
            await asyncio.sleep(30)

    tasks = [asyncio.create_task(request()) for _ in range(2)]
    await asyncio.sleep(0)
    assert lifecycle.in_flight == 2
    lifecycle.abort()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert lifecycle.in_flight == 0


def test_logs_are_json_with_the_request_and_without_messages_of_exceptions() -> None:
    config = log_config("info")
    stream = io.StringIO()
    config["handlers"]["stderr"]["stream"] = stream
    root = logging.getLogger()
    before = root.handlers[:], root.level
    token = current_request.set(RequestInfo("id-1", "a" * 32, "b" * 16, 0.0))
    try:
        logging.config.dictConfig(config)
        logging.getLogger("app.test").info("hello %s", "there", extra={"events": 3})
        logging.getLogger("app.test").debug("unheard")
        logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
        logging.getLogger("uvicorn.access").info("GET /?q=secret")
        try:
            try:
                raise KeyError("Zanzi" + "barium")
            except KeyError as error:
                raise RuntimeError(str(error)) from error
        except RuntimeError:
            logging.getLogger("app.test").exception("it failed")
        current_request.reset(token)
        logging.getLogger("app.test").warning("alone")
    finally:
        root.handlers[:], root.level = before
        for name in ("uvicorn", "uvicorn.access"):
            logging.getLogger(name).propagate = True
    hello, started, failed, alone = map(json.loads, stream.getvalue().splitlines())
    assert hello["message"] == "hello there"
    assert (hello["level"], hello["logger"], hello["events"]) == ("INFO", "app.test", 3)
    assert (hello["request_id"], hello["trace_id"]) == ("id-1", "a" * 32)
    assert re.match(r"\d{4}-\d\d-\d\dT", hello["timestamp"])
    assert started["message"] == "started"
    assert "color_message" not in started
    assert "builtins.KeyError" in failed["exc_info"]
    assert "builtins.RuntimeError" in failed["exc_info"]
    assert "test_small.py" in failed["exc_info"]
    assert "Zanzibarium" not in stream.getvalue()
    assert "request_id" not in alone


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVENTS_PORT", "9000")
    monkeypatch.setenv("EVENTS_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("EVENTS_ROOT_PATH", "/events/")
    settings = Settings()
    assert (settings.port, settings.model_dir, settings.root_path) == (9000, tmp_path, "/events")
    assert settings.forwarded_allow_ips == "127.0.0.1"


def test_a_shipped_model_is_chosen_by_name_and_another_by_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Settings().model_folder.name == "base"
    monkeypatch.setenv("EVENTS_MODEL", "small")
    monkeypatch.setenv("EVENTS_MODEL_DIR", "")
    assert Settings().model_folder == Settings(model="base").model_folder.parent / "small"
    monkeypatch.setenv("EVENTS_MODEL_DIR", str(tmp_path))
    assert Settings().model_folder == tmp_path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "large"),
        ("root_path", "events"),
        ("port", 70_000),
        ("max_articles", 257),
        ("batch_tokens", 0),
        ("request_timeout_s", 601),
        ("request_timeout_s", float("nan")),
        ("dtype", "int4"),
        ("log_level", "loud"),
    ],
)
def test_senseless_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})


def test_every_setting_is_in_the_table() -> None:
    table = settings_table()
    for name in Settings.model_fields:
        assert f"| `EVENTS_{name.upper()}` |" in table
    assert "None" not in table
    assert str(Path.cwd()) not in table
    assert "| `base` |" in table


def test_version_is_the_projects() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION
