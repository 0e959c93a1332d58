from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Served, served
from fake_extractor import FakeExtractor

from app.__main__ import main, openapi_document, table
from app.client import Model
from app.extraction.values import Amount, Document, Event, EventDate, Extraction, Location, Participant, Span
from app.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = "Ana met Tom.\r\nThen Eve met Tom – twice."


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.fixture
def url(service: Served) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def article(tmp_path: Path) -> str:
    path = tmp_path / "article.txt"
    path.write_bytes(TEXT.encode())
    return str(path)


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.load_extractor", FakeExtractor().load)


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


# ------------------------------------------------------------------------------------------------------- extract


@pytest.mark.parametrize("flags", [["--published-at", "2025-04-08T23:00:00+09:00"], ["--min-confidence", "1"]])
def test_json_is_the_service_s_answer_byte_for_byte(
    flags: list[str], article: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = flags[0].removeprefix("--").replace("-", "_")
    value = float(flags[1]) if name == "min_confidence" else flags[1]
    answer = httpx.post(f"{url}/v1/extract", json={"text": TEXT, name: value}).text + "\n"
    assert main(["extract", article, *flags]) == 0
    assert capsys.readouterr().out == answer
    assert main(["extract", article, *flags, "--json", "--url", url]) == 0
    assert capsys.readouterr().out == answer


def test_standard_input_without_its_byte_order_mark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin(monkeypatch, b"\xef\xbb\xbf" + TEXT.encode())
    assert main(["extract", "-"]) == 0
    document = json.loads(capsys.readouterr().out)["document"]
    assert document["characters"] == len(TEXT)


def test_types_are_chosen(article: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", article, "--types", "visit,budget_commitment"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == []
    assert main(["extract", article, "--types", "visit,meeting"]) == 0
    assert len(json.loads(capsys.readouterr().out)["events"]) == 2


@pytest.mark.parametrize("where", ["here", "there"])
def test_table_tells_each_event(where: str, article: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", article, "--table", *(["--url", url] if where == "there" else [])]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split("  ")[0] == "type"
    for word in ("meeting", "occurred", "Ana", "(participant)", "Eve", "40,000,000", "EUR", "2.5 %", "fake 1.2.3"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "cannot read missing.txt: No such file or directory"),
        (["."], "cannot read .: Is a directory"),
        (["blank.txt"], "text: Text must not be blank"),
        (["latin.txt"], "cannot read latin.txt: byte 1 is not UTF-8"),
        (["good.txt", "--types", "visit,war"], "types.1: Input should be 'meeting', 'visit' or 'budget_commitment'"),
        (["good.txt", "--published-at", "yesterday"], "published_at: Input should be YYYY-MM-DD"),
        (["good.txt", "--min-confidence", "3"], "min_confidence: Input should be less than or equal to 1"),
    ],
)
def test_bad_input_is_told_without_a_trace(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.txt").write_text("Ana met Tom.", "utf-8")
    Path("blank.txt").write_text(" \n", "utf-8")
    Path("latin.txt").write_bytes(b"r\xe9sum\xe9")
    assert main(["extract", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {message}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("kind", [OSError, ValueError, RuntimeError])
def test_model_that_cannot_be_loaded(
    kind: type[Exception], article: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.main.load_extractor", FakeExtractor(load_error=kind("no config.json")).load)
    monkeypatch.setenv("EVENTS_MODEL_DIR", "elsewhere")
    assert main(["extract", article]) == 1
    assert capsys.readouterr().err == "error: the model in elsewhere cannot be loaded: no config.json\n"


def test_service_that_refuses_or_is_not_there(article: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", article, "--url", f"{url}/elsewhere"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {url}/elsewhere answered 404 Not Found")
    for bad in ("http://127.0.0.1:1", "ftp://127.0.0.1", "http://[", "127.0.0.1"):
        assert main(["extract", article, "--url", bad]) == 1
        assert capsys.readouterr().err.startswith(f"error: {bad} cannot be reached: ")


# --------------------------------------------------------------------------------------------------------- table

SPAN = Span("Ana", 0, 3)


def event(**fields: Any) -> Event:
    plain: dict[str, Any] = {
        "type": "budget_commitment",
        "status": "cancelled",
        "confidence": 0.9,
        "mentions": (SPAN, SPAN),
        "participants": (),
        "locations": (),
        "dates": (),
        "amounts": (),
        "purpose": None,
    }
    return Event(**plain | fields)


def shown(events: Sequence[Event], document: Document | None = None) -> list[str]:
    document = document or Document(None, None, "en", 10)
    return table(Extraction(tuple(events), document), Model("m", "1")).splitlines()


def test_table_stays_within_100_columns_whatever_it_holds() -> None:
    long = "Supercalifragilisticexpialidocious\nAssociation of the Friends of " + "x" * 200
    full = event(
        mentions=(Span(long, 0, len(long)),),
        participants=(Participant(long, "participant", "group", 0.9, ()), Participant("B", "host", "person", 0.9, ())),
        locations=(Location(long, "JP", 0.9, (SPAN,)), Location("Oslo", None, 0.9, (SPAN,))),
        dates=(
            EventDate("May", 0, 3, "2025-05-01/2025-06-30", "target", 0.9),
            EventDate(long, 0, 3, None, "when", 0.9),
        ),
        amounts=(Amount("x", 0, 1, 1.5e15, "EUR", "decrease", 0.9),),
        purpose=SPAN,
    )
    lines = shown([full, event()])
    assert max(map(len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)
    assert "".join(lines).count("x") == 4 * long.count("x"), "something was cut"


def test_amounts_read_like_amounts() -> None:
    def cell(value: float, unit: str, kind: Any = "total") -> str:
        lines = shown([event(amounts=(Amount("x", 0, 1, value, unit, kind, 0.9),))])[2:-2]
        return " ".join(" ".join(line[88:].split()) for line in lines).strip()

    assert cell(5e8, "EUR") == "500,000,000 EUR"
    assert cell(0.5, "factor", "decrease") == "0.5 times (decrease)"
    assert cell(2.1, "percent_of_gdp", "target") == "2.1 % of GDP (target)"
    assert cell(1234.56, "percent_of_budget") == "1,234.56 % of budget"


def test_repeated_triggers_are_told_once_and_dates_without_a_value_by_their_text() -> None:
    lines = shown([event(dates=(EventDate("next May", 0, 3, None, "target", 0.9),))])
    assert "".join(lines[2:-1]).count("Ana") == 1
    assert "next May" in lines[2]
    assert any("(target)" in line for line in lines)


def test_no_events() -> None:
    assert shown([])[0] == "No events."


# ----------------------------------------------------------------------------------------------- serve and openapi


def test_flags_of_serve_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    served_with: list[Settings] = []

    def serve(settings: Settings) -> int:
        served_with.append(settings)
        return 3

    monkeypatch.setattr("app.main.serve", serve)
    monkeypatch.setenv("EVENTS_HOST", "10.0.0.1")
    monkeypatch.setenv("EVENTS_PORT", "7000")
    assert main(["serve", "--port", "7001"]) == 3
    [settings] = served_with
    assert (settings.host, settings.port) == ("10.0.0.1", 7001)


def test_bad_settings_are_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENTS_THREADS", "many")
    assert main(["serve", "--port", "70000"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: bad settings: ")
    assert "threads: " in err
    assert "port: " in err


def test_openapi_document_depends_on_no_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = openapi_document()
    monkeypatch.setenv("EVENTS_MAX_ARTICLES", "3")
    monkeypatch.setenv("EVENTS_ROOT_PATH", "/events")
    assert main(["openapi"]) == 0
    assert capsys.readouterr().out == before


@pytest.mark.parametrize("command", ["['--help']", "['openapi']"])
def test_nothing_heavy_is_loaded_for_little(command: str) -> None:
    code = (
        "import sys, app.__main__\n"
        f"try: app.__main__.main({command})\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def test_reader_that_leaves_early_sees_no_trace() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "app", "openapi"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, cwd=ROOT)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("way", ["flag", "environment", "none"])
def test_a_service_with_keys_is_asked_with_one(
    way: str, article: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").write_text("0123456789abcdef")
    if way == "environment":
        monkeypatch.setenv("EVENTS_API_KEY", "0123456789abcdef")
    flags = ["--api-key", "0123456789abcdef"] if way == "flag" else []
    with served(api_keys_file=tmp_path / "keys") as service:
        code = main(["extract", article, "--url", f"http://127.0.0.1:{service.port}", *flags])
    captured = capsys.readouterr()
    if way == "none":
        assert code == 1
        assert "401 Unauthorized: An API key is needed." in captured.err
    else:
        assert code == 0
        assert len(json.loads(captured.out)["events"]) == 2
