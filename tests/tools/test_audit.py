"""The audit finds what is not as it was locked and installed, and says what it could not look up."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from tools import audit


def install(site: Path, name: str, version: str, content: bytes = b"x = 1\n") -> Path:
    """A package of one module, with its record."""
    module = site / f"{name}.py"
    module.write_bytes(content)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"{name}.py,sha256={digest},{len(content)}\n{info.name}/RECORD,,\n")
    return module


def installed(site: Path) -> list[Distribution]:
    return list(distributions(path=[str(site)]))


def test_what_is_as_locked_is_good(tmp_path: Path) -> None:
    install(tmp_path, "some_thing", "1.0")
    install(tmp_path, "torch", "2.13.0+cpu")
    pins = {"some-thing": "1.0", "torch": "2.13.0", "matplotlib": "3"}
    assert audit.check_installed(installed(tmp_path), pins, ["some-thing", "torch"]) == []


def test_each_difference_is_told(tmp_path: Path) -> None:
    install(tmp_path, "older", "1.0")
    install(tmp_path, "stranger", "1.0")
    install(tmp_path, "tampered", "1.0").write_bytes(b"x = 2\n")
    install(tmp_path, "torn", "1.0").unlink()
    pins = {"older": "1.1", "tampered": "1.0", "torn": "1.0", "absent": "1.0"}
    assert audit.check_installed(installed(tmp_path), pins, pins) == [
        "absent is locked, but not installed",
        "older is installed as 1.0, but locked as 1.1",
        "stranger 1.0 is installed, but in no lock file",
        "tampered: tampered.py was changed",
        "torn: torn.py is missing",
    ]


def test_lock_files_are_read_whole() -> None:
    pins = audit.locked(audit.ROOT / lock for lock in audit.LOCKS)
    assert {"fastapi", "torch", "pytest", "python-dateutil"} <= set(pins)
    assert pins["torch"] == "2.13.0"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str, *arguments: str) -> int:
    """The audit of nothing installed, with a stand-in for pip-audit that prints ``answer``."""
    tool = folder / "pip-audit"
    tool.write_text(f"#!{sys.executable}\nprint({answer!r})\n")
    tool.chmod(0o755)
    monkeypatch.setattr(audit, "check_installed", lambda *_: [])
    monkeypatch.setattr(audit, "ROOT", folder)
    (folder / "requirements.txt").write_text("good==1.0 \\\n    --hash=sha256:00\nbad==2.0\nodd==3.0\n")
    monkeypatch.setattr(sys, "argv", ["audit", "--pip-audit", str(tool), *arguments])
    return audit.main()


def test_no_database_is_told_and_fails_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for answer in ("", json.dumps({"dependencies": [{"name": "good", "skip_reason": "not found"}]})):
        assert run(monkeypatch, tmp_path, answer) == 0
        told = capsys.readouterr().out
        assert "0 of 3" in told
        assert "NOT CHECKED: no database answered" in told
        assert "None is known" not in told
        assert run(monkeypatch, tmp_path, answer, "--strict") == 1
        capsys.readouterr()


def test_known_vulnerability_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"name": "bad", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
    good = {"name": "good", "version": "1.0", "vulns": []}
    odd = {"name": "odd", "skip_reason": "not found"}
    assert run(monkeypatch, tmp_path, json.dumps({"dependencies": [good, found, odd]})) == 1
    told = capsys.readouterr().out
    assert "2 of 3" in told
    assert "bad 2.0: CVE-1, fixed in 2.1" in told
    assert "does not know them: odd" in told
