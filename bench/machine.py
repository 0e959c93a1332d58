"""The machine that the figures hold for, and whether it was doing something else."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

from app.serving.cpus import available_cpus

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8", "amx_tile")
BUSY = 0.05  # of its processor time, from which on other work disturbs


@dataclass(frozen=True)
class Machine:
    """``busy``: the share of its processor time that was in use before anything was started here."""

    cpu: str
    cores: int
    memory_gb: float
    flags: list[str]
    system: str
    python: str
    busy: float


def describe(watch_s: float = 2.0) -> Machine:
    """This machine, watched for some seconds (Linux)."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(part for line in info.splitlines() if len(part := [p.strip() for p in line.split(":", 1)]) == 2)
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    busy_before, all_before = _times()
    time.sleep(watch_s)
    busy, all_ = _times()
    return Machine(
        cpu=fields.get("model name", platform.machine()),
        cores=available_cpus(),
        memory_gb=round(int(memory.split()[1]) / 1e6, 1),
        flags=[flag for flag in FLAGS if flag in fields.get("flags", fields.get("Features", "")).split()],
        system=platform.platform(),
        python=platform.python_version(),
        busy=round((busy - busy_before) / max(1, all_ - all_before), 3),
    )


def _times() -> tuple[int, int]:
    """Ticks of all cores: in use, and all."""
    times = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(times) - times[3] - times[4], sum(times)
