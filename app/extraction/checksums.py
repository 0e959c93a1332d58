"""Checksums of a model's files, in the format of ``sha256sum``, so that a file that rotted or broke off is noticed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

NAME = "SHA256SUMS"
_PATTERNS = ("*.safetensors*", "tokenizer.json")  # config.json is left out: its thresholds may be set by hand

_BLOCK = 1 << 24  # bytes at a time: with small ones the lock of the interpreter changes hands too often


def sha256(path: Path) -> str:
    """As ``sha256sum`` tells it; reckoned once, unless the file changes."""
    status = path.stat()
    return _sum_of(path, status.st_mtime_ns, status.st_size)


def write(model_dir: Path) -> None:
    """Writes the checksums of the weights and the tokenizer beside them."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in _files(model_dir)]
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
        if sha256(found[name]) != listed.get(name):
            raise ValueError(f"{name} in the model folder {model_dir.name} is not the file that {NAME} lists")


def _files(model_dir: Path) -> list[Path]:
    return sorted(path for pattern in _PATTERNS for path in model_dir.glob(pattern))


@lru_cache(maxsize=16)
def _sum_of(path: Path, changed_ns: int, size: int) -> str:
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
