from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from app.serving.keys import Keys, read_keys

OLD, NEW = b"old-key-0123456789", b"new-key-0123456789"


def test_keys_are_lines_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"# for the newsroom\n" + OLD + b"\r\n\n  " + NEW + b"  \n")
    keys = Keys(path)
    assert keys.knows(OLD)
    assert keys.knows(NEW)
    for other in (b"", OLD[:-1], OLD + b"0", OLD.upper(), OLD + b"\n" + NEW, b"# for the newsroom"):
        assert not keys.knows(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no key"),
        (b"# none\n\n", "no key"),
        (OLD + b"\ntoo-short-secret\nshort\n", "line 3 is no key"),
        (b"with a blank in it 123\n", "line 1 is no key"),
        (b"\xff" * 20, "line 1 is no key"),
    ],
)
def test_bad_files_are_refused_without_quoting_them(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_keys(tmp_path / "keys")
    assert "short" not in str(caught.value)


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(OLD)
    keys = Keys(path)
    path.write_bytes(OLD + b"\n" + NEW)
    assert keys.knows(NEW)
    assert keys.knows(OLD)
    # As Kubernetes does: another file takes the name, of the same size and perhaps the same time.
    before = path.stat()
    other = tmp_path / "other"
    other.write_bytes(NEW + b"\n" + NEW)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    assert not keys.knows(OLD)
    assert keys.knows(NEW)


@pytest.mark.parametrize("broken", ["missing", "empty", "half"])
def test_a_broken_file_leaves_the_old_keys_and_is_logged(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys"
    path.write_bytes(OLD)
    keys = Keys(path)
    if broken == "missing":
        path.unlink()
    else:
        path.write_bytes(NEW[:5] if broken == "half" else b"")
    for _ in range(3):
        assert keys.knows(OLD)
        assert not keys.knows(NEW[:5])
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert NEW[:5].decode() not in record.getMessage()
    path.write_bytes(NEW)
    assert keys.knows(NEW)
    assert not keys.knows(OLD)
