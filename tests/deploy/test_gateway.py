"""The example gateways, each run for real between a client and two replicas of the service."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import Served, problem_of, served, wait_for

from app.client import AsyncClient, Client, Extraction
from app.settings import Settings

GATEWAYS = Path(__file__).parents[2] / "deploy" / "gateway"
KINDS = ("haproxy", "nginx")


@dataclass(frozen=True)
class Gateway:
    kind: str
    port: int
    replicas: tuple[Served, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def client(self, source: str | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, transport=httpx.HTTPTransport(local_address=source))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def rendered(kind: str, folder: Path, port: int, replicas: list[int]) -> list[str]:
    """Writes the example with the test's addresses and paths; the command that runs it."""
    source = GATEWAYS / ("haproxy.cfg" if kind == "haproxy" else "nginx.conf")
    lines, listens = [], 0
    servers = iter(replicas)
    for line in source.read_text().splitlines():
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if word == "bind":
            line, listens = f"bind 127.0.0.1:{port}", listens + 1
        elif word == "listen":
            line, listens = f"listen 127.0.0.1:{port};", listens + 1
        elif word == "server-template":
            line = "\n".join(f"server pod{to} 127.0.0.1:{to}" for to in servers)
        elif word == "server" and "max_fails" in line:
            line = f"server 127.0.0.1:{next(servers)} max_fails=0;"
        lines.append(line.replace("/tmp/", f"{folder}/"))  # noqa: S108
    assert listens == 1
    assert next(servers, None) is None, "a replica was not put in"
    path = folder / source.name
    path.write_text("\n".join(lines) + "\n")
    if kind == "haproxy":
        return ["haproxy", "-db", "-f", str(path)]
    # One process, so that root's does not hand over to a user who may not enter the folder.
    return ["nginx", "-p", str(folder), "-c", str(path), "-g", "daemon off; master_process off;"]


@contextmanager
def behind(kind: str, folder: Path, replicas: tuple[Served, ...], ports: list[int] | None = None) -> Iterator[Gateway]:
    """A running gateway before the replicas, or before ``ports``."""
    if shutil.which(kind) is None:
        pytest.skip(f"no {kind} on PATH (Debian: apt-get install {'nginx-light' if kind == 'nginx' else kind})")
    port = free_port()
    command = rendered(kind, folder, port, ports or [replica.port for replica in replicas])
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with closing(socket.socket()) as trying:
            return trying.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listens)
        yield Gateway(kind, port, replicas)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:  # nginx without a master overlooks a signal that comes just before it waits
            process.kill()
            process.wait(5)


@contextmanager
def two_replicas() -> Iterator[tuple[Served, ...]]:
    with ExitStack() as stack:
        yield tuple(stack.enter_context(served(root_path="/events", forwarded_allow_ips="127.0.0.1")) for _ in range(2))


@pytest.fixture(scope="module")
def replicas() -> Iterator[tuple[Served, ...]]:
    with two_replicas() as it:
        yield it


@pytest.fixture(scope="module", params=KINDS)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, replicas: tuple[Served, ...]
) -> Iterator[Gateway]:
    with behind(request.param, tmp_path_factory.mktemp(request.param), replicas) as it:
        yield it


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy on PATH")
def test_haproxy_takes_the_example_as_it_stands() -> None:
    """With the names of pods, which the other tests put addresses in place of."""
    check = subprocess.run(
        ["haproxy", "-c", "-f", str(GATEWAYS / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
    assert "[WARNING]" not in check.stderr


def test_service_is_found_under_its_prefix_only(gateway: Gateway) -> None:
    with gateway.client() as http, Client(gateway.url) as client:
        assert len(client.extract("Rossi met").events) == 1
        assert len(client.extract_batch(["Rossi met", "Weber met"])) == 2
        assert http.get("/docs").status_code == 200
        assert http.get("/openapi.json").json()["servers"] == [{"url": "/events"}]
        assert http.get("/metrics").status_code == 404
        assert http.get(f"http://127.0.0.1:{gateway.port}/version").status_code == 404


def test_caller_is_known_by_its_address_not_by_its_word(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with gateway.client(source="127.0.0.2") as http:
        assert http.get("/version", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
    assert [record.__dict__["client"] for record in caplog.records if record.name == "app.access"] == ["127.0.0.2"]


@pytest.mark.parametrize(("sent", "kept"), [("abc.DEF-1_2", True), ("a b", False), ("x" * 129, False), (None, False)])
def test_request_id_is_the_same_from_caller_to_service(
    gateway: Gateway, sent: str | None, kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with gateway.client() as http:
        answer = http.post("/v1/extract", json={}, headers={"X-Request-ID": sent} if sent else None)
    told = problem_of(answer, 422).request_id
    assert (told == sent) == kept
    assert answer.headers.get_list("x-request-id") == [told]


def test_largest_body_passes_and_a_larger_one_is_told(gateway: Gateway) -> None:
    limit = Settings(port=0).max_body_bytes
    body = json.dumps({"text": "Rossi met"}).encode().ljust(limit)
    with gateway.client() as http:
        headers = {"Content-Type": "application/json", "X-Request-ID": "large"}
        assert http.post("/v1/extract", content=body, headers=headers).status_code == 200
        for path in ("/v1/extract", "/v1/extract/batch"):
            answer = http.post(path, content=body + b" ", headers=headers)
            assert problem_of(answer, 413).request_id == "large"


@pytest.mark.parametrize("gateway", ["haproxy"], indirect=True)
def test_lines_outrun_the_service_and_all_are_answered(gateway: Gateway) -> None:
    """More of them than sockets hold, and a service that stands still for a while after its first results."""
    lines = 3000
    read = 0

    def articles() -> Iterator[str]:
        nonlocal read
        for read in range(1, lines + 1):
            yield f"R{read} met " + "word " * 1000

    with Client(gateway.url, retry=False, timeout_s=15) as client:
        results = client.stream(articles())
        names = []
        for result in results:
            assert isinstance(result, Extraction)
            names.append(result.events[0].participants[0].name)
            if len(names) == 10:
                for replica in gateway.replicas:
                    replica.extractor.gate.clear()
                before = 0
                while read > before:  # until no more can be sent
                    before = read
                    time.sleep(0.3)
                for replica in gateway.replicas:
                    replica.extractor.gate.set()
    assert names == [f"R{number}" for number in range(1, lines + 1)]


@pytest.mark.anyio
@pytest.mark.parametrize("gateway", ["haproxy"], indirect=True)
async def test_line_is_answered_while_more_are_sent(gateway: Gateway) -> None:
    answered = asyncio.Semaphore(0)

    async def articles() -> AsyncIterator[str]:
        for number in range(5):
            yield f"R{number} met"
            await answered.acquire()  # the next is not sent before

    names = []
    async with AsyncClient(gateway.url, retry=False, timeout_s=10) as client:
        async for result in client.stream(articles()):
            assert isinstance(result, Extraction)
            names.append(result.events[0].participants[0].name)
            answered.release()
    assert names == ["R0", "R1", "R2", "R3", "R4"]


@pytest.mark.parametrize("gateway", ["nginx"], indirect=True)
def test_nginx_refuses_lines_which_it_could_not_carry(gateway: Gateway) -> None:
    with gateway.client() as http:
        headers = {"Content-Type": "application/x-ndjson", "X-Request-ID": "lines"}
        answer = http.post("/v1/extract/batch", content=b'{"text": "Rossi met"}\n', headers=headers)
    assert problem_of(answer, 415).request_id == "lines"


@pytest.mark.parametrize("kind", KINDS)
def test_drain_is_not_felt_while_another_replica_is_ready(kind: str, tmp_path: Path) -> None:
    with two_replicas() as both, behind(kind, tmp_path, both) as gateway, ThreadPoolExecutor(1) as pool:

        def hold_and_drain(candidates: tuple[Served, ...]) -> tuple[Served, Future[httpx.Response]]:
            """Lets one of them drain while it owes an answer."""
            for replica in candidates:
                replica.extractor.gate.clear()
            owed = pool.submit(http.post, "/v1/extract", json={"text": "Rossi met"})
            wait_for(lambda: any(replica.service.admission.tokens for replica in candidates))
            [holder] = [replica for replica in candidates if replica.service.admission.tokens]
            holder.server.handle_exit(signal.SIGTERM, None)
            return holder, owed

        with gateway.client() as http:
            assert http.get("/readyz").status_code == 200
            first, owed = hold_and_drain(both)
            [other] = [replica for replica in both if replica is not first]
            other.extractor.gate.set()
            for number in range(10):
                assert http.get("/readyz").status_code == 200
                assert http.post("/v1/extract", json={"text": f"R{number} met"}).status_code == 200
            first.extractor.gate.set()
            assert owed.result().status_code == 200

            _, owed = hold_and_drain((other,))
            problem_of(http.get("/readyz"), 503)
            late = http.post("/v1/extract", json={"text": "late"})
            problem_of(late, 503)
            assert int(late.headers["retry-after"]) >= 1
            other.extractor.gate.set()
            assert owed.result().status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_no_replica_at_all_is_told_as_a_problem(kind: str, tmp_path: Path) -> None:
    with behind(kind, tmp_path, (), ports=[free_port(), free_port()]) as gateway, gateway.client() as http:
        for path in ("/v1/extract", "/v1/extract/batch"):
            answer = http.post(path, json={"text": "met"}, headers={"X-Request-ID": "abc"})
            assert problem_of(answer, 503).request_id == "abc"
            assert int(answer.headers["retry-after"]) >= 1
