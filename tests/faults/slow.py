"""Callers that trickle, that never read, and that vanish: others are served, and what they held is given back."""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time

from app.serving.server import HEAD_TIMEOUT_S

from .harness import HTTP, Report, Running, articles, service

MANY = 300
BODY_DEADLINE_S = 10


def latency_ms(running: Running, count: int = 20) -> float:
    """Median of single articles, one after the other."""
    times = []
    for text in (articles() * 2)[:count]:
        started = time.monotonic()
        HTTP.post(f"{running.url}/v1/extract", json={"text": text}).raise_for_status()
        times.append(time.monotonic() - started)
    return statistics.median(times) * 1000


def connect(running: Running, begin: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=20)
    connection.sendall(begin)
    return connection


def head(length: int) -> bytes:
    return (
        "POST /v1/extract HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"X-Request-Timeout: {BODY_DEADLINE_S}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def trickle(connections: list[socket.socket], started: float, seconds: float) -> list[float]:
    """A byte a second on each; when, after the start, each was ended by the service."""
    left, ended = dict(enumerate(connections)), []
    while left and time.monotonic() < started + seconds:
        for number, connection in list(left.items()):
            try:
                connection.send(b"a")
                connection.setblocking(False)
                connection.recv(1)  # an answer, or the end
                over = True
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                ended.append(time.monotonic() - started)
                left.pop(number).close()
        time.sleep(1)
    for connection in left.values():
        connection.close()
    return ended


def vanished(report: Report, running: Running) -> None:
    """Long articles whose callers go at once: next to none of their tokens reach the encoder."""
    text = " ".join(articles())[:190_000]
    body = json.dumps({"text": text}).encode()
    request = head(len(body)).replace(f"X-Request-Timeout: {BODY_DEADLINE_S}".encode(), b"X-Request-Timeout: 600")
    before = running.metrics()["events_batch_tokens_sum"]
    for _ in range(5):
        connection = connect(running, request + body)
        time.sleep(0.3)
        connection.close()
    end = time.monotonic() + 60
    while time.monotonic() < end and running.metrics()["events_admitted_tokens"] > 0:
        time.sleep(0.05)
    done = running.metrics()["events_batch_tokens_sum"] - before
    waiting = running.metrics()["events_admitted_tokens"]
    HTTP.post(f"{running.url}/v1/extract", json={"text": text}, headers={"X-Request-Timeout": "600"}, timeout=600)
    whole = running.metrics()["events_batch_tokens_sum"] - before - done
    report.check(
        "the work of callers that vanish is skipped",
        waiting == 0 and done < 0.7 * 5 * whole,
        f"5 articles of {whole:.0f} tokens each: {done:.0f} were encoded; {waiting:.0f} left admitted",
    )


def main() -> int:
    report = Report("slow callers and callers that vanish")
    with service() as running:
        latency_ms(running)
        alone = latency_ms(running)
        started = time.monotonic()
        connections = [connect(running, b"GET /livez HTTP/1.1\r\nHost: a\r\nX-") for _ in range(MANY)]
        connections += [connect(running, head(10_000) + b'{"text": "') for _ in range(MANY)]
        beside = latency_ms(running)
        memory = running.memory_mb()
        longest = max(HEAD_TIMEOUT_S, BODY_DEADLINE_S)
        ended = trickle(connections, started, longest + 15)
        report.check(
            f"{MANY} heads and {MANY} bodies that trickle do not keep others from an answer",
            True,
            f"median of an article {beside:.0f} ms, {alone:.0f} ms without them; {memory:.0f} MB",
        )
        report.check(
            f"heads are cut after {HEAD_TIMEOUT_S} s, bodies at their deadline",
            len(ended) == 2 * MANY,
            f"{len(ended)} of {2 * MANY} ended, the last after {max(ended, default=0):.0f} s",
        )
        held = running.metrics()["events_buffered_bytes"]
        report.check("what they held is given back", held == 0, f"{held:.0f} bytes")
        vanished(report, running)
        status, seconds = running.end()
        report.check("the drain ends", status == 0, f"{status} after {seconds:.1f} s")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
