"""Memory given back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys, threading, numpy
from app.serving.memory import tune_malloc
if sys.argv[1] == "tuned" and not tune_malloc():
    sys.exit(3)
def work():
    kept = []
    for _ in range(20):  # large blocks between small ones that stay
        block = numpy.ones(3 << 20)
        kept.append(bytes(5000))
        del block
    for size in range(1, 12):
        blocks = [numpy.ones(size << 17) for _ in range(4)]
        kept.append(bytes(5000))
    return kept
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def resident_kb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("no glibc here")
    return int(done.stdout)


def test_freed_memory_goes_back() -> None:
    assert resident_kb("tuned") < resident_kb("plain")
