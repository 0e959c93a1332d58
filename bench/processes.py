"""The processes that the benchmark starts, watches and ends: the service, and the peers beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import HOST

START_S = 180.0  # by then a process must be ready
STOP_S = 15.0
ANSWER_S = 600.0  # a peer's time for one answer
SAMPLE_S = 0.5
POLL_S = 0.05  # between looks at whether a server is ready; each of them holds its start up a little
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
_STAGE = re.compile(r'^events_stage_seconds_(sum|count)\{stage="(\w+)"\} (\S+)$', re.MULTILINE)


class ProcessError(Exception):
    """A process did not do what it was started for."""


@contextmanager
def process(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, that ends with the block and takes its children along."""
    with (
        log.open("a") as errors,
        subprocess.Popen(command, stderr=errors, text=True, start_new_session=True, **options) as it,
    ):
        try:
            yield it
        finally:
            it.terminate()
            with suppress(subprocess.TimeoutExpired):
                it.wait(STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(it.pid, signal.SIGKILL)  # the children, and itself where it did not end


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used up to a time of ``time.time``; by stage: seconds and runs."""

    at: float
    rss_mb: float
    cpu_s: float
    stage_s: Mapping[str, float]
    stage_runs: Mapping[str, float]


class Server:
    """A server on a port of this machine's own, watched all along; without ``metrics`` nothing is known of stages."""

    def __init__(self, it: subprocess.Popen[str], port: int, metrics: bool) -> None:
        self._process = it
        self._metrics = metrics
        self.port = port
        self.ready_s = 0.0
        self.usage: list[Usage] = []
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def get(self, path: str) -> str:
        """A page's text; raises OSError, also for an answer of 400 and above."""
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def await_ready(self, started: float) -> None:
        """Waits until ``/readyz`` answers; ProcessError where the process ends or takes too long."""
        while self._process.poll() is None and time.monotonic() - started < START_S:
            try:
                self.get("/readyz")
            except OSError:
                time.sleep(POLL_S)
            else:
                self.ready_s = time.monotonic() - started
                self.usage.append(self.sample())
                self._watcher.start()
                return
        raise ProcessError(f"the server did not get ready: {self._process.args!r}")

    def sample(self) -> Usage:
        """As of now; OSError where the process is gone."""
        values = parse_stages(self.get("/metrics")) if self._metrics else {"sum": {}, "count": {}}
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(stat[11]) + int(stat[12])) / _TICK
        return Usage(time.time(), int(stat[21]) * _PAGE / 1e6, cpu, values["sum"], values["count"])

    def used(self, since: float, until: float) -> tuple[Usage, Usage]:
        """The usage at two times of ``time.time``, reckoned from the samples around them; ProcessError where it ended.

        Waits for the sample that comes after.
        """
        while self.usage[-1].at < until:
            if self._process.poll() is not None:
                raise ProcessError(f"the server has ended: {self._process.args!r}")
            time.sleep(SAMPLE_S / 10)
        return between(self.usage, since), between(self.usage, until)

    def peak_mb(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The most memory seen in a time."""
        return max(u.rss_mb for u in self.usage if since - SAMPLE_S <= u.at <= until + SAMPLE_S)

    def close(self) -> None:
        """Ends the watching."""
        self._over.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            try:
                self.usage.append(self.sample())
            except (OSError, IndexError):  # it is ending, or too busy to tell
                continue


def parse_stages(metrics: str) -> dict[str, dict[str, float]]:
    """ "sum" (seconds) and "count" (runs) by stage, from Prometheus' text format."""
    values: dict[str, dict[str, float]] = {"sum": {}, "count": {}}
    for what, stage, value in _STAGE.findall(metrics):
        values[what][stage] = float(value)
    return values


def between(usage: Sequence[Usage], at: float) -> Usage:
    """The usage at a time, reckoned in a straight line from the samples before and after it."""
    place = min(max(bisect_left(usage, at, key=lambda u: u.at), 1), len(usage) - 1)
    if len(usage) < 2:
        return usage[0]
    a, b = usage[place - 1], usage[place]
    share = min(1.0, max(0.0, (at - a.at) / (b.at - a.at)))

    def mixed(x: float, y: float) -> float:
        return x + share * (y - x)

    def each(x: Mapping[str, float], y: Mapping[str, float]) -> dict[str, float]:
        return {stage: mixed(x.get(stage, 0.0), y[stage]) for stage in y}

    return Usage(
        at=at,
        rss_mb=mixed(a.rss_mb, b.rss_mb),
        cpu_s=mixed(a.cpu_s, b.cpu_s),
        stage_s=each(a.stage_s, b.stage_s),
        stage_runs=each(a.stage_runs, b.stage_runs),
    )


@contextmanager
def server(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, metrics: bool = False
) -> Iterator[Server]:
    """A ready server, whose ``command`` ends in ``--port``; the port is put behind it."""
    port = free_port()
    started = time.monotonic()
    with process([*command, str(port)], log, env={**os.environ, **environment}, stdout=subprocess.DEVNULL) as it:
        found = Server(it, port, metrics)
        try:
            found.await_ready(started)
            yield found
        finally:
            found.close()


def service(environment: Mapping[str, str], log: Path) -> AbstractContextManager[Server]:
    """The service, as it is started by hand."""
    command = [sys.executable, "-m", "app", "serve", "--host", HOST, "--port"]
    return server(command, environment, log, metrics=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Peer:
    """A process that answers each line of JSON with another, see :func:`answer_lines`."""

    def __init__(self, it: subprocess.Popen[str]) -> None:
        if it.stdin is None or it.stdout is None:
            raise ValueError("a peer needs pipes")
        self._process, self._questions, self._answers = it, it.stdin, it.stdout
        self.hello = self._read(START_S)

    def ask(self, **question: Any) -> dict[str, Any]:
        """The answer; ProcessError where the process ends or takes too long."""
        try:
            print(json.dumps(question), file=self._questions, flush=True)
        except OSError as error:
            raise ProcessError(f"the peer has ended: {self._process.args!r}") from error
        return self._read(ANSWER_S)

    def _read(self, seconds: float) -> dict[str, Any]:
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            line = self._answers.readline()
        finally:
            timer.cancel()
        if not line:
            raise ProcessError(f"the peer has ended: {self._process.args!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def peer(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Peer]:
    """A peer that has said hello."""
    pipe = subprocess.PIPE
    with process(command, log, env={**os.environ, **environment}, stdin=pipe, stdout=pipe) as it:
        yield Peer(it)


def answer_lines(hello: Mapping[str, Any], answer: Callable[..., Mapping[str, Any]]) -> None:
    """The peer's side: says hello, then answers questions until standard input ends."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)
