"""Checksums of a model's files, in the format of ``sha256sum``, so that a file that rotted or broke off is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"
_PATTERNS = ("*.safetensors*", "tokenizer.json")  # config.json is left out: its thresholds may be set by hand


def write(model_dir: Path) -> None:
    """Writes the checksums of the weights and the tokenizer beside them."""
    lines = [f"{_sum(path)}  {path.name}\n" for path in _files(model_dir)]
    (model_dir / NAME).write_text("".join(lines), "utf-8")


def verify(model_dir: Path) -> None:
    """Raises ValueError where a file is not what was written; a folder without checksums passes."""
    if not (model_dir / NAME).is_file():
        return
    lines = [line.partition("  ") for line in (model_dir / NAME).read_text("utf-8").splitlines()]
    listed = {name: digest for digest, _, name in lines}
    found = {path.name: path for path in _files(model_dir)}
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise ValueError(f"{name}, which is in {NAME}, is missing in the model folder {model_dir.name}")
        if _sum(found[name]) != listed.get(name):
            raise ValueError(f"{name} in the model folder {model_dir.name} is not the file that {NAME} lists")


def _files(model_dir: Path) -> list[Path]:
    return sorted(path for pattern in _PATTERNS for path in model_dir.glob(pattern))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
