"""What only a real socket shows: streams both ways at once, callers that leave, early answers, and the drain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Served, served, wait_for
from fake_extractor import FakeExtractor

from app.main import serve
from app.serving.queue import TURN_TOKENS
from app.settings import Settings

ROOT = Path(__file__).parents[2]


class Wire:
    """A connection on which a test says each byte itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._socket.makefile("rb")

    def send(self, *parts: str | bytes) -> None:
        self._socket.sendall(b"".join(part.encode() if isinstance(part, str) else part for part in parts))

    def post(self, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        self.head(path, content_type, Content_Length=str(len(body)), **headers)
        self.send(body)

    def head(self, path: str, content_type: str = "application/json", **headers: str) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"POST {path} HTTP/1.1\r\nHost: service\r\nContent-Type: {content_type}\r\n{lines}\r\n")

    def chunk(self, data: str) -> None:
        self.send(f"{len(data.encode()):x}\r\n{data}\r\n")

    def answer_head(self) -> tuple[int, dict[str, str]]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers

    def answer_chunk(self) -> bytes:
        size = int(self._file.readline(), 16)
        data = self._file.read(size)
        self._file.readline()
        return data

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status, headers = self.answer_head()
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def ended(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextmanager
def wire(service: Served) -> Iterator[Wire]:
    it = Wire(service.port)
    try:
        yield it
    finally:
        it.close()


def article(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def metric(service: Served, name: str) -> float:
    lines = service.service.metrics.render().decode().splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), 0.0)


GONE = 'events_http_requests_total{{method="POST",route="{}",status="499"}}'


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served(max_body_bytes=100_000) as it:
        yield it


def test_lines_are_answered_while_more_are_sent(service: Served) -> None:
    with wire(service) as caller:
        caller.head("/v1/extract/batch", "application/x-ndjson", Transfer_Encoding="chunked")
        for number in range(5):
            line = json.dumps({"text": f"R{number} met"}) + "\n"
            caller.chunk(line[:5])
            caller.chunk(line[5:])
            if number == 0:
                status, headers = caller.answer_head()
                assert (status, headers["content-type"]) == (200, "application/x-ndjson")
                assert "connection" not in headers
            result = json.loads(caller.answer_chunk())
            assert result["events"][0]["participants"][0]["name"] == f"R{number}"
        caller.send("0\r\n\r\n")
        assert caller.answer_chunk() == b""
        # The connection is good for more.
        caller.post("/v1/extract", article("Rossi met"))
        assert caller.answer()[0] == 200


def test_too_large_is_told_by_its_length_before_a_byte_is_sent(service: Served) -> None:
    with wire(service) as caller:
        caller.head("/v1/extract", Content_Length="100001", Expect="100-continue")
        status, headers, problem = caller.answer()
        assert (status, problem["status"]) == (413, 413)
        assert headers["connection"] == "close"
        assert caller.ended()


def test_too_large_is_told_while_it_is_sent(service: Served) -> None:
    with wire(service) as caller:
        caller.head("/v1/extract", Transfer_Encoding="chunked")
        for _ in range(11):
            caller.chunk(" " * 10_000)
        status, headers, problem = caller.answer()
        assert (status, problem["status"]) == (413, 413)
        assert headers["connection"] == "close"
        # Who sends on for a while does not lose the answer to a reset; the connection ends with the body.
        for _ in range(100):
            caller.chunk(" " * 10_000)
        caller.send("0\r\n\r\n")
        assert caller.ended()


def test_linger_ends(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.middleware.LINGER_S", 0.05)
    with wire(service) as caller:
        caller.head("/v1/extract", "text/plain", Content_Length="1000")
        assert caller.answer()[0] == 415
        assert caller.ended()


def test_caller_that_leaves_frees_its_place(service: Served) -> None:
    extractor = service.extractor
    before = metric(service, GONE.format("/v1/extract"))
    extractor.gate.clear()
    with wire(service) as first, wire(service) as second:
        first.post("/v1/extract", article("holds the encoder"))
        wait_for(lambda: extractor.passes and "holds" in extractor.passes[-1][0].words)
        second.post("/v1/extract", article("gone " * 100))
        engine = service.service._engine
        assert engine is not None
        wait_for(lambda: engine.queue.tokens == 100)
        passes = len(extractor.passes)
        second.close()
        wait_for(lambda: engine.queue.tokens == 0)
        extractor.gate.set()
        assert first.answer()[0] == 200
    assert len(extractor.passes) == passes
    wait_for(lambda: metric(service, GONE.format("/v1/extract")) == before + 1)
    assert service.service.admission.tokens == 0


def test_caller_that_leaves_in_its_lines_frees_all(service: Served) -> None:
    extractor = service.extractor
    before = metric(service, GONE.format("/v1/extract/batch"))
    for body_ended in (False, True):
        extractor.gate.clear()
        with wire(service) as caller:
            caller.head("/v1/extract/batch", "application/x-ndjson", Transfer_Encoding="chunked")
            caller.chunk(json.dumps({"text": "word " * 100}) + "\n")
            wait_for(lambda: service.service.admission.tokens == 100)
            if body_ended:
                caller.send("0\r\n\r\n")
        wait_for(lambda: service.service.admission.tokens == 0)
        extractor.gate.set()
    wait_for(lambda: metric(service, GONE.format("/v1/extract/batch")) == before + 2)


def test_caller_that_leaves_in_its_body_is_no_error(service: Served) -> None:
    before = metric(service, GONE.format("/v1/extract"))
    with wire(service) as caller:
        caller.head("/v1/extract", Content_Length="1000")
        caller.send(b'{"text"')
    wait_for(lambda: metric(service, GONE.format("/v1/extract")) == before + 1)
    assert service.service._buffered == 0


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1", "203.0.113.9"), ("", "127.0.0.1"), ("10.0.0.1", "127.0.0.1")]
)
def test_forwarding_is_trusted_from_told_addresses_only(
    trusted: str, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with served(forwarded_allow_ips=trusted) as service, wire(service) as caller:
        caller.post("/v1/extract", article("text"), X_Forwarded_For="203.0.113.9")
        assert caller.answer()[0] == 200
    assert [record.__dict__["client"] for record in caplog.records if record.name == "app.access"] == [client]


def test_what_is_no_http_gets_a_problem_too(service: Served) -> None:
    with wire(service) as caller:
        caller.send("what is this?\r\n\r\n")
        status, headers, problem = caller.answer()
        assert (status, headers["content-type"]) == (400, "application/problem+json")
        assert headers["x-request-id"] == problem["request_id"]
        assert headers["x-content-type-options"] == "nosniff"
        assert caller.ended()


@pytest.mark.parametrize(
    "begun", ["", "GET /livez HTTP/1.1\r\nHost: ", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /li"]
)
def test_a_head_that_does_not_end_gets_408(begun: str, service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serving.server.HEAD_TIMEOUT_S", 0.2)
    with wire(service) as caller:
        caller.send(begun)
        if begun.count("GET") == 2:
            assert caller.answer()[0] == 200
        for _ in range(3):  # bytes that trickle in win no time
            caller.send("a" if begun else "")
        status, headers, problem = caller.answer()
        assert (status, headers["connection"], problem["status"]) == (408, "close", 408)
        assert caller.ended()


def test_a_second_head_that_does_not_end_breaks_into_no_answer(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serving.server.HEAD_TIMEOUT_S", 0.2)
    service.extractor.gate.clear()
    with wire(service) as caller:
        caller.post("/v1/extract", article("holds the encoder"))
        caller.send("GET /livez HTTP/1.1\r\nHost: ")
        time.sleep(0.4)
        service.extractor.gate.set()
        assert caller.answer()[0] == 200
        assert caller.answer()[0] == 408


def test_a_slow_answer_or_an_idle_connection_is_no_late_head(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serving.server.HEAD_TIMEOUT_S", 0.2)
    service.extractor.gate.clear()
    with wire(service) as caller:
        caller.post("/v1/extract", article("Rossi met"))
        time.sleep(0.4)
        service.extractor.gate.set()
        assert caller.answer()[0] == 200
        time.sleep(0.4)
        caller.post("/v1/extract", article("Rossi met"))
        assert caller.answer()[0] == 200


def test_long_article_does_not_hold_up_a_short_one() -> None:
    with served(batch_tokens=16) as service, wire(service) as long, wire(service) as short:
        extractor = service.extractor
        extractor.passes.clear()
        extractor.gate.clear()
        long.post("/v1/extract", article("long " * 8000))
        engine = service.service._engine
        assert engine is not None
        wait_for(lambda: engine.queue.windows > 900)
        short.post("/v1/extract", article("short"))
        wait_for(lambda: service.service.admission.tokens == 8001)
        extractor.gate.set()
        assert short.answer()[0] == 200
        assert long.answer()[0] == 200
        when = next(n for n, windows in enumerate(extractor.passes) if any("short" in w.words for w in windows))
        assert when < TURN_TOKENS / 16 + 5
        assert len(extractor.passes) > 400


def test_drain_answers_what_was_accepted_and_nothing_new() -> None:
    with served() as service, wire(service) as accepted, wire(service) as lines, wire(service) as late:
        extractor = service.extractor
        late.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert late.answer()[0] == 200
        extractor.gate.clear()
        accepted.post("/v1/extract", article("Rossi met"))
        lines.head("/v1/extract/batch", "application/x-ndjson", Transfer_Encoding="chunked")
        lines.chunk(json.dumps({"text": "Weber met"}) + "\n")
        wait_for(lambda: service.service.admission.tokens == 4)
        service.server.handle_exit(signal.SIGTERM, None)
        late.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert late.answer()[0] == 503
        with wire(service) as new:
            new.post("/v1/extract", article("new"))
            status, headers, _ = new.answer()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        extractor.gate.set()
        status, _, answer = accepted.answer()
        assert (status, len(answer["events"])) == (200, 1)
        assert lines.answer_head()[0] == 200
        assert len(json.loads(lines.answer_chunk())["events"]) == 1
        lines.chunk(json.dumps({"text": "Khan met"}) + "\n")
        assert len(json.loads(lines.answer_chunk())["events"]) == 1
        lines.send("0\r\n\r\n")
        assert lines.answer_chunk() == b""
        wait_for(lambda: not service.server.servers[0].is_serving())


def test_end_of_the_grace_answers_503() -> None:
    with served(drain_grace_s=0.2) as service, wire(service) as accepted, wire(service) as lines:
        service.extractor.gate.clear()
        accepted.post("/v1/extract", article("never"))
        lines.head("/v1/extract/batch", "application/x-ndjson", Transfer_Encoding="chunked")
        lines.chunk(json.dumps({"text": "never"}) + "\n")
        wait_for(lambda: service.service.admission.tokens == 2)
        service.server.handle_exit(signal.SIGTERM, None)
        status, headers, problem = accepted.answer()
        assert (status, headers["retry-after"]) == (503, "1")
        assert problem["detail"] == "The service is shutting down."
        assert lines.answer()[0] == 503
        service.extractor.gate.set()


def test_second_signal_ends_the_grace() -> None:
    with served(drain_grace_s=3000) as service, wire(service) as accepted:
        service.extractor.gate.clear()
        accepted.post("/v1/extract", article("never"))
        wait_for(lambda: service.service.admission.tokens == 1)
        service.server.handle_exit(signal.SIGTERM, None)
        service.server.handle_exit(signal.SIGTERM, None)
        assert accepted.answer()[0] == 503
        service.extractor.gate.set()


def start(argument: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "tests" / "fake_extractor.py"), argument],
        env=os.environ | {"PYTHONPATH": path},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_process_drains_on_sigterm_and_exits_with_0() -> None:
    process = start("serve")
    assert process.stdout is not None
    assert process.stderr is not None
    port = None
    try:
        logs: list[dict[str, Any]] = []
        while not any(log["message"] == "ready" for log in logs) or port is None:
            logs.append(json.loads(process.stderr.readline()))
            if "running on" in logs[-1]["message"]:
                port = int(logs[-1]["message"].split(":")[-1].split()[0])
        caller = Wire(port)
        caller.post("/v1/extract", article("slow Rossi met"))
        assert process.stdout.readline() == "encoding\n"
        process.send_signal(signal.SIGTERM)
        status, _, answer = caller.answer()
        assert (status, len(answer["events"])) == (200, 1)
        caller.close()
        assert process.wait(20) == 0
        rest = [json.loads(line) for line in process.stderr]
        [access] = [log for log in rest if log["logger"] == "app.access"]
        assert (access["route"], access["status"]) == ("/v1/extract", 200)
    finally:
        process.kill()
        process.communicate()


def test_process_whose_model_is_missing_says_so_and_exits_with_1() -> None:
    process = start("broken")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    [critical] = [log for log in map(json.loads, err.splitlines()) if log["level"] == "CRITICAL"]
    assert critical["message"] == "the model could not be loaded: OSError: no such folder"
    assert "Traceback" not in err


@pytest.mark.parametrize("broken", [False, True])
def test_serve_gives_the_exit_status(broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.configure_logging", lambda level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if not broken else 0
        extractor = FakeExtractor(load_error=OSError("no") if broken else None)
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(serve(Settings(port=port), extractor.load)))
        thread.start()
        thread.join(20)
        assert statuses == [1]
