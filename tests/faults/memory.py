"""More work than memory would hold, under the limit of the manifests: refused with 429, and nothing is killed.

The limit is a cgroup's where one can be made, as in a container; else one on the process's data (RLIMIT_DATA).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from manifests import base, env_file
from test_kubernetes import container, in_bytes

from .harness import HTTP, Report, Running, articles, service

LIMIT = in_bytes(container(base("Deployment"))["resources"]["limits"]["memory"])
CALLERS = 24
SECONDS = 30
HEADERS = {"Content-Type": "application/json", "X-Request-Timeout": "300"}
SETTINGS = {
    name.removeprefix("EVENTS_").lower(): value
    for name, value in env_file().items()
    if name not in ("EVENTS_HOST", "EVENTS_PORT")
}


@contextmanager
def cgroup() -> Iterator[Path | None]:
    """A memory cgroup with the limit (v2, else v1); None where none can be made."""
    root = Path("/sys/fs/cgroup")
    v2 = (root / "cgroup.controllers").exists()
    folder = (root if v2 else root / "memory") / f"events-faults-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(LIMIT))
        if not v2:
            with suppress(OSError):  # where swap is counted
                (folder / "memory.memsw.limit_in_bytes").write_text(str(LIMIT))
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        for _ in range(50):
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def flood(url: str, requests: Sequence[tuple[str, bytes]], first: int, until: float, seen: Counter[str]) -> None:
    """Sends one after the other, beginning with another one in each thread."""
    with httpx.Client(base_url=url, timeout=320, headers=HEADERS) as client:
        number = first
        while time.monotonic() < until:
            path, body = requests[number % len(requests)]
            number += 1
            try:
                status = client.post(path, content=body).status_code
                seen[str(status)] += 1
                time.sleep(0.2 if status == 429 else 0)  # the callers share the processor with the service
            except httpx.TransportError as error:
                seen[type(error).__name__] += 1


def heavy_requests() -> list[tuple[str, bytes]]:
    """As large as they may be: long articles, alone and many at once, and JSON that is far larger once it is read."""
    texts = [
        " ".join(articles() * 40)[:190_000],
        "\U0001f642 met \u0301" * 20_000,
        "$ met " * 30_000,
        "\u4e2d" * 200_000,
    ]
    alone = [("/v1/extract", json.dumps({"text": text}, ensure_ascii=False).encode()) for text in texts]
    batch = {"articles": [{"text": texts[0][n * 1000 : n * 1000 + 20_000]} for n in range(20)]}
    full = json.dumps({"articles": [{"text": texts[0]}] * 40}).encode()
    nothing = b'{"articles": [' + b"[]," * 2_600_000 + b"[]]}"
    return [
        *alone,
        ("/v1/extract/batch", json.dumps(batch).encode()),
        *[("/v1/extract/batch", b) for b in (full, nothing)],
    ]


def main() -> int:
    report = Report("memory: more work than fits")
    with cgroup() as folder:
        kind = "a cgroup" if folder else "RLIMIT_DATA"
        if folder is None:
            old = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, old[1]))
        with service(threads=2, ready=False, **SETTINGS) as running:
            if folder is None:
                resource.setrlimit(resource.RLIMIT_DATA, old)
            else:
                (folder / "cgroup.procs").write_text(str(running.process.pid))
            running.wait_ready()
            press(report, running, kind)
    return report.status()


def press(report: Report, running: Running, kind: str) -> None:
    seen: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    requests = heavy_requests()
    threads = [threading.Thread(target=flood, args=(running.url, requests, n, until, seen)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    most = 0.0
    while any(thread.is_alive() for thread in threads) and running.process.poll() is None:
        most = max(most, running.memory_mb())
        time.sleep(0.1)
    for thread in threads:
        thread.join(330)
    alive = running.process.poll() is None
    told = ", ".join(f"{count} x {what}" for what, count in sorted(seen.items()))
    report.check(
        f"under {kind} of {LIMIT / 1024**3:g} GiB the process lives",
        alive,
        f"{most:.0f} MB at most, exit {running.process.poll()}",
    )
    report.check("what does not fit gets 429", seen["429"] > 0 and not seen["500"], told)
    report.check("no connection is broken", set(seen) <= {"200", "422", "429", "504"}, told)
    answer = HTTP.post(f"{running.url}/v1/extract", json={"text": articles()[0]}) if alive else None
    report.check("it serves on afterwards", answer is not None and answer.status_code == 200, answer)


if __name__ == "__main__":
    sys.exit(main())
