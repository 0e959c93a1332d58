"""SIGTERM under load: not ready at once, what was accepted is answered, exit with 0 within the grace."""

from __future__ import annotations

import signal
import sys
import threading
import time

import httpx

from .harness import HTTP, Load, Report, Running, articles, outcomes, service

GRACE_S = 60
BATCH = 64
SURELY_ACCEPTED_S = 0.1  # before the signal; who came later may be told 503 with nothing started


def seconds_until_unready(running: Running, since: float) -> float:
    while time.monotonic() < since + 10:
        try:
            if HTTP.get(f"{running.url}/readyz").status_code == 503:
                return time.monotonic() - since
        except httpx.TransportError:
            break
        time.sleep(0.005)
    return float("inf")


def main() -> int:
    report = Report("drain: SIGTERM under load")
    batches: list[tuple[int | str, int]] = []

    def batch(url: str) -> None:
        body = {"articles": [{"text": text} for text in (articles() * BATCH)[:BATCH]]}
        try:
            response = httpx.post(f"{url}/v1/extract/batch", json=body, timeout=60)
            good = sum("events" in result for result in response.json().get("results", []))
            batches.append((response.status_code, good))
        except httpx.TransportError as error:
            batches.append((type(error).__name__, 0))

    # The faster model: a slow processor would need longer for what was accepted than the grace lasts.
    with service(model="small", drain_grace_s=GRACE_S) as running, Load(running.url) as load:
        time.sleep(3)
        big = threading.Thread(target=batch, args=(running.url,))
        big.start()
        time.sleep(0.5)
        signalled = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        unready = seconds_until_unready(running, signalled)
        status = running.process.wait(GRACE_S + 30)
        ended = time.monotonic()
        big.join(60)
        time.sleep(0.2)
    accepted = [c for c in load.calls if c.sent < signalled - SURELY_ACCEPTED_S and c.done > signalled]
    before = [c for c in load.calls if c.done <= signalled]
    later = [c for c in load.calls if signalled - SURELY_ACCEPTED_S <= c.sent and c.done < ended]
    refused = [c for c in later if c.outcome == 503]
    report.check("/readyz is 503 at once", unready < 1, f"after {unready * 1000:.0f} ms")
    report.check(
        "requests accepted before the signal are answered",
        accepted and all(c.outcome == 200 for c in accepted + before),
        f"in flight {outcomes(accepted)}; before {outcomes(before)}",
    )
    report.check(f"a batch of {BATCH} under way is answered", batches == [(200, BATCH)], batches)
    report.check(
        "new work gets 503 with Retry-After and Connection: close",
        refused and all("retry-after" in c.headers and c.headers.get("connection") == "close" for c in refused),
        outcomes(later),
    )
    report.check(
        "exit with 0 within the grace",
        status == 0 and ended - signalled < GRACE_S,
        f"{status} after {ended - signalled:.1f} s",
    )
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
