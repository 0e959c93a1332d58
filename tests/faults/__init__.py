"""Promises kept under faults, each tested against a real process: ``python -m tests.faults`` runs all.

Each module but `harness` can be run alone, as ``python -m tests.faults.drain``: it prints what it measured, and ends
with 1 where a promise is broken.
"""

import sys
from pathlib import Path

# What the tests share lies beside this folder, where pytest looks by itself.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "deploy")]
