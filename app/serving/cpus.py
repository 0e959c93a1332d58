"""What the processor offers: cores, of which a container's quota is not in ``os.cpu_count``, and number types."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Cores by affinity and by the cgroup's quota (v2, else v1), at least 1."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def number_type(cpuinfo: Path = _CPUINFO) -> Literal["bfloat16", "int8", "float32"]:
    """In which type of number the processor multiplies matrices fastest.

    bfloat16 where it does so itself (AMX or AVX-512 on x86, BF16 on Arm), else 8-bit integers on x86 with AVX2.
    """
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:  # not Linux
        return "float32"
    if flags & {"amx_bf16", "avx512_bf16", "bf16"}:
        return "bfloat16"
    return "int8" if "avx2" in flags else "float32"


def _quota(cgroup: Path) -> float | None:
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        return None
