"""API keys: a file of them, and whether a caller has one."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from pathlib import Path

logger = logging.getLogger(__name__)

_KEY = re.compile(rb"[\x21-\x7e]{16,}")  # what a header can carry, and no word to be guessed


def read_keys(path: Path) -> list[bytes]:
    """The digests of the keys, one a line; empty lines and those with ``#`` are none. OSError or ValueError."""
    lines = [line.strip() for line in path.read_bytes().splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith(b"#") and not _KEY.fullmatch(line):
            raise ValueError(f"line {number} is no key of 16 or more visible ASCII characters")
    keys = [hashlib.sha256(line).digest() for line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ValueError("there is no key in the file")
    return keys


class Keys:
    """The keys of a file, read anew once it has changed, so that keys can be rotated without a restart.

    A change that cannot be read leaves the old keys in force: half-written files must not shut everybody out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._keys = read_keys(path)

    def knows(self, key: bytes) -> bool:
        """Whether it is one of the keys; takes as long for a near miss as for any other."""
        self._refresh()
        digest = hashlib.sha256(key).digest()
        return sum(hmac.compare_digest(digest, known) for known in self._keys) > 0

    def _refresh(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._path)
            logger.info("%d API keys are in force", len(self._keys))
        except (OSError, ValueError) as error:
            logger.error("the API keys cannot be read anew, the old ones stay in force: %s", error)

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
