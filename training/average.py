"""Averages the weights of two trained models into a third: ``python -m training.average A B OUTPUT``.

Two stages of one training lie in one basin, and their mean generalises better than either (Wortsman 2022, model soups).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from app.extraction.encode import load
from training.train import save


def average(first: Path, second: Path, output: Path) -> None:
    """Writes the mean of two models of one shape; config and tokenizer are those of the first."""
    model, other = load(first, "float32"), load(second, "float32")
    state = other.state_dict()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_((value + state[name]) / 2)
    save(model, first, output)


if __name__ == "__main__":
    average(*(Path(argument) for argument in sys.argv[1:4]))
