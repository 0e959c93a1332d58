"""Runs all fault tests, or those named, one after the other; ends with 1 where one found a broken promise."""

from __future__ import annotations

import subprocess
import sys

ALL = ("weights", "offline", "failing", "clock", "full_disk", "slow", "memory", "drain", "kill", "schema", "fuzz")


def main(names: tuple[str, ...]) -> int:
    broken = [
        name
        for name in names
        if subprocess.run([sys.executable, "-m", f"tests.faults.{name}"], check=False).returncode != 0
    ]
    print(f"== {len(names)} run; broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or ALL))
