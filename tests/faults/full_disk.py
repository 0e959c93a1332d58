"""Logs that cannot be written: the service goes on, and ends as it should."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .harness import HTTP, Load, Report, outcomes, service

FULL = Path("/dev/full")


def main() -> int:
    report = Report("logs on a full disk")
    if not FULL.exists():
        report.skip("the service goes on", f"no {FULL}")
        return 0
    with service(stderr=FULL) as running:
        with Load(running.url, 4) as load:
            time.sleep(4)
        before = running.memory_mb()
        for _ in range(3000):  # a line of the log each
            HTTP.get(f"{running.url}/version").raise_for_status()
        after = running.memory_mb()
        report.check("articles are answered", {c.outcome for c in load.calls} == {200}, outcomes(load.calls))
        lines = sum(v for k, v in running.metrics().items() if k.startswith("events_http_requests_total"))
        report.check(
            "lines that are lost are not kept", after - before < 50, f"{after - before:+.0f} MB over {lines:.0f} lines"
        )
        status, seconds = running.end()
        report.check("SIGTERM ends it with 0", status == 0, f"{status} after {seconds:.1f} s")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
