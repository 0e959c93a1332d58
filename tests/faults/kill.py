"""kill -9 under load: whoever tries again, as the client and the gateway do, sees no failure.

The service is one process without a supervisor of its own: the orchestrator starts it anew, and here a loop does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
from test_gateway import rendered

from app.client import Client, ServiceError

from .harness import HTTP, Load, Report, Running, articles, free_port, have, outcomes, service, start

CALLERS = 8
MODEL = "small"  # or a slow processor would have little to show


class Supervisor:
    """Starts a process anew on the same port whenever it has ended."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self.running = start(log=self._log, model=MODEL)
        self.restarts = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Supervisor:
        self._thread.start()
        self.running.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.running.process.kill()
        self.running.process.wait()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            if self.running.process.poll() is not None:
                self.restarts += 1
                self.running = start(port=self.running.port, log=self._log, model=MODEL)


def call_with_retries(url: str, ended: Callable[[], bool], results: list[str]) -> None:
    texts = articles()
    with Client(url, timeout_s=120) as client:
        while not ended():
            try:
                client.extract(texts[len(results) % len(texts)])
                results.append("answered")
            except (ServiceError, httpx.TransportError) as error:
                results.append(type(error).__name__)


def wait_for_more(results: list[str], than: int) -> int:
    """How many results there are once as many more came as there are callers, or half a minute passed."""
    began = time.monotonic()
    while len(results) < than + CALLERS and time.monotonic() < began + 30:
        time.sleep(0.05)
    return len(results)


def one_restarted(report: Report) -> None:
    results: list[str] = []
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as folder, Supervisor(Path(folder)) as supervisor:
        arguments = (supervisor.running.url, ended.is_set, results)
        callers = [threading.Thread(target=call_with_retries, args=arguments) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        before = wait_for_more(results, 0)
        killed = time.monotonic()
        supervisor.running.process.send_signal(signal.SIGKILL)
        time.sleep(0.5)
        supervisor.running.wait_ready()
        back = time.monotonic() - killed
        wait_for_more(results, len(results))
        ended.set()
        for caller in callers:
            caller.join(150)
    report.check(
        "one process, started anew: it is back", supervisor.restarts == 1, f"ready {back:.1f} s after the kill"
    )
    failed = [result for result in results if result != "answered"]
    report.check(
        "clients that try again see no failure",
        before and not failed and len(results) > before,
        f"{len(results)} calls, {before} of them before the kill, {len(failed)} failed {set(failed) or ''}",
    )


def _behind() -> AbstractContextManager[Running]:
    return service(root_path="/events", model=MODEL)


def one_of_two(report: Report) -> None:
    promise = "two replicas behind HAProxy: callers that never try again see no failure"
    if not have("haproxy"):
        report.skip(promise, "no haproxy on PATH")
        return
    with tempfile.TemporaryDirectory() as folder, _behind() as first, _behind() as second:
        port = free_port()
        with (Path(folder) / "gateway.log").open("wb") as log:
            command = rendered("haproxy", Path(folder), port, [first.port, second.port])
            gateway = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_listening(Running(gateway, port, Path(folder) / "gateway.log"))
            with Load(f"http://127.0.0.1:{port}/events", CALLERS) as load:
                time.sleep(4)
                killed = time.monotonic()
                first.process.kill()
                time.sleep(4)
        finally:
            gateway.terminate()
            gateway.wait(20)
    hit = [call for call in load.calls if call.sent <= killed <= call.done]
    report.check(
        promise,
        load.calls and all(call.outcome == 200 for call in load.calls),
        f"{outcomes(load.calls)}; {len(hit)} in flight at the kill, the longest took "
        f"{max((call.done - call.sent for call in hit), default=0):.2f} s",
    )


def wait_listening(gateway: Running) -> None:
    for _ in range(200):
        try:
            if HTTP.get(f"{gateway.url}/events/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the gateway does not serve: {gateway.log.read_text()}")


def main() -> int:
    report = Report("kill -9 under load")
    one_restarted(report)
    one_of_two(report)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
