"""The wall clock jumps: deadlines, waits and measured times hold, since they go by the monotonic clock.

The service runs in a process whose ``time.time`` and ``datetime.now`` jump by up to ten years each time they are asked.
Besides, no module of the service may ask for the wall clock at all, but for the two that exchange dates with the
outside.
"""

from __future__ import annotations

import ast
import random
import sys
import time

from .harness import FAKE, HTTP, ROOT, Report, service

WALL = frozenset(
    {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "datetime.now", "datetime.utcnow", "date.today"}
)
MAY_ASK = {
    "app/client.py": "Retry-After may be a date",
    "app/serving/tracing.py": "the times of spans are the wall clock's; none is waited for or measured by them",
}
JUMPING = f"""
import datetime, random, runpy, sys, time
real = time.time
time.time = lambda: real() + random.uniform(-3e8, 3e8)
time.time_ns = lambda: int(time.time() * 1e9)
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Jumping
sys.argv = {list(FAKE)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def asks_for_the_wall_clock() -> list[str]:
    found = []
    for path in sorted((ROOT / "app").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        found += [f"{name}: {call}" for call in sorted(calls & WALL) if name not in MAY_ASK]
    return found


def post(url: str, text: str, timeout_s: float) -> tuple[int, float]:
    started = time.monotonic()
    answer = HTTP.post(f"{url}/v1/extract", json={"text": text}, headers={"X-Request-Timeout": str(timeout_s)})
    return answer.status_code, time.monotonic() - started


def main() -> int:
    report = Report("clock jumps")
    asked = asks_for_the_wall_clock()
    report.check("no module of the service asks for the wall clock", not asked, ", ".join(asked) or "none does")
    with service(("-c", JUMPING)) as running:
        good = [post(running.url, f"Rossi met {n}", random.uniform(5, 60)) for n in range(200)]
        report.check(
            "requests within their deadline are answered",
            {status for status, _ in good} == {200},
            f"200 x 200, the longest {max(s for _, s in good):.2f} s",
        )
        late = [post(running.url, "slow", 0.5) for _ in range(5)]  # takes 1.5 s
        report.check(
            "those that take longer get 504 at their deadline of 0.5 s",
            all(status == 504 and 0.5 <= seconds < 1.4 for status, seconds in late),
            ", ".join(f"{status} after {seconds:.2f} s" for status, seconds in late),
        )
        lasted = [v for k, v in running.metrics().items() if k.startswith("events_http_request_duration_seconds_sum")]
        report.check("measured times are sane", all(0 <= v < 300 for v in lasted), f"{sum(lasted):.1f} s in all")
        status, seconds = running.end()
        report.check("the drain ends", status == 0 and seconds < 20, f"{status} after {seconds:.1f} s")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
