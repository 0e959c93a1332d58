"""A real process of the service, load on it, and the record of what was promised and what was measured."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
APP = ("-m", "app", "serve")
FAKE = (str(ROOT / "tests" / "fake_extractor.py"), "serve")
START_S = 120.0
HTTP = httpx.Client(
    timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
)  # each call on a connection of its own


class Report:
    """Promises, each with what was measured; the exit status tells whether all were kept."""

    def __init__(self, title: str) -> None:
        self._broken = 0
        print(f"== {title}", flush=True)

    def check(self, promise: str, kept: object, measured: object = "") -> None:
        """Prints one promise."""
        self._broken += not kept
        print(f"{'kept  ' if kept else 'BROKEN'} {promise}{f': {measured}' if measured != '' else ''}", flush=True)

    def skip(self, promise: str, reason: str) -> None:
        """Prints one that cannot be tested here."""
        print(f"skip   {promise}: {reason}", flush=True)

    def status(self) -> int:
        return 1 if self._broken else 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Running:
    """A process of the service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, seconds: float = START_S) -> float:
        """Seconds until it was ready; fails where it never was."""
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            if self.process.poll() is not None:
                break
            try:
                if HTTP.get(f"{self.url}/readyz").status_code == 200:
                    return time.monotonic() - started
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        told = self.log.read_text()[-2000:] if self.log.exists() else ""
        raise SystemExit(f"the service did not get ready, exit {self.process.poll()}:\n{told}")

    def metrics(self) -> dict[str, float]:
        lines = HTTP.get(f"{self.url}/metrics").text.splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def memory_mb(self) -> float:
        """Resident memory; 0 of a process that has ended."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def logs(self) -> list[dict[str, Any]]:
        """The log's lines; fails where one is no JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self, sig: signal.Signals = signal.SIGTERM, seconds: float = 60) -> tuple[int, float]:
        """Sends a signal; the exit status and the seconds until it came."""
        started = time.monotonic()
        self.process.send_signal(sig)
        return self.process.wait(seconds), time.monotonic() - started


def start(
    program: Sequence[str] = APP, *, port: int = 0, log: Path, stderr: Path | None = None, **settings: object
) -> Running:
    """Starts the service, not waiting for anything; ``settings`` go into its environment."""
    port = port or free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVENTS_")}
    environment |= {f"EVENTS_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"EVENTS_PORT": str(port), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    with (stderr or log).open("ab") as sink:
        process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=environment, stdout=sink, stderr=sink)
    return Running(process, port, log)


@contextmanager
def service(program: Sequence[str] = APP, *, ready: bool = True, **more: Any) -> Iterator[Running]:
    """A process of the service, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        running = start(program, log=Path(folder) / "log", **more)
        try:
            if ready:
                running.wait_ready()
            yield running
        finally:
            running.process.kill()
            running.process.wait(20)


def articles() -> list[str]:
    """Texts of news, of many lengths."""
    lines = (ROOT / "corpus" / "dev-written.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


@dataclass
class Call:
    """One request and how it ended: its status, else the name of the exception."""

    sent: float
    done: float = 0.0
    outcome: int | str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Load:
    """Threads that send one article after the other until told to end."""

    def __init__(self, url: str, threads: int = 16, pause_s: float = 0.0) -> None:
        self.calls: list[Call] = []
        self._url = url
        self._pause_s = pause_s
        self._end = threading.Event()
        self._texts = articles()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._end.is_set():
                call = Call(time.monotonic())
                self.calls.append(call)
                text = self._texts[(len(self.calls) * 7 + number) % len(self._texts)]
                try:
                    response = client.post("/v1/extract", json={"text": text, "published_at": "2025-04-08"})
                    call.outcome, call.headers = response.status_code, dict(response.headers)
                except httpx.TransportError as error:
                    call.outcome = type(error).__name__
                    self._end.wait(0.05)
                call.done = time.monotonic()
                self._end.wait(self._pause_s)


def outcomes(calls: Sequence[Call]) -> str:
    counts = Counter(str(call.outcome) for call in calls)
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))


def have(tool: str) -> bool:
    return shutil.which(tool) is not None
