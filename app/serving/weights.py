"""Which weights answer: the hash by which an operator knows a model from another of the same name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.extraction.checksums import sha256


def weights_sha256(model_dir: Path) -> str | None:
    """The hash of a model's weights: of the one file, or of what ``sha256sum`` prints of the shards, in order of name.

    None where there are none.
    """
    sums = {path.relative_to(model_dir).as_posix(): sha256(path) for path in model_dir.rglob("*.safetensors")}
    if len(sums) == 1:
        return next(iter(sums.values()))
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    return hashlib.sha256(listing.encode()).hexdigest() if sums else None
