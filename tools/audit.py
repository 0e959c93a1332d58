"""Checks the packages: ``python -m tools.audit --pip-audit PATH``.

Offline: each installed package is of a lock file, in its version, and each of its files is as it was installed. Then
pip-audit looks each one up; where its database does not answer, that is told, and nothing is known. Ends with 1 where
something is wrong, and with ``--strict`` also where a package could not be looked up.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNTIME = ("requirements.txt", "requirements-torch.txt")
LOCKS = (*RUNTIME, "requirements-dev.txt", "requirements-encoder-minilm.txt", "requirements-encoder-mpnet.txt")
INSTALLER = "pip"  # comes with the environment

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(locks: Iterable[Path]) -> dict[str, str]:
    """Version by name, of those lock files that there are."""
    return {
        normal(name): version for lock in locks if lock.exists() for name, version in _PINNED.findall(lock.read_text())
    }


def changed_files(package: Distribution) -> Iterator[str]:
    """Files that are missing or have another hash than when they were installed; bytecode has none."""
    for file in package.files or ():
        if file.hash is not None:
            path = Path(str(file.locate()))
            if not path.is_file():
                yield f"{file} is missing"
                continue
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                yield f"{file} was changed"


def check_installed(installed: Iterable[Distribution], pins: dict[str, str], needed: Iterable[str]) -> list[str]:
    """What is wrong with the installed packages, a line each."""
    wrong = []
    found = set()
    for package in installed:
        name, version = normal(package.name), package.version.partition("+")[0]  # torch's build has a local part
        found.add(name)
        if name == INSTALLER:
            continue
        if name not in pins:
            wrong.append(f"{name} {version} is installed, but in no lock file")
        elif version != pins[name]:
            wrong.append(f"{name} is installed as {version}, but locked as {pins[name]}")
        wrong += [f"{name}: {change}" for change in changed_files(package)]
    wrong += [f"{name} is locked, but not installed" for name in needed if name not in found]
    return sorted(wrong)


def vulnerabilities(pip_audit: Path) -> tuple[int, list[str], list[str]]:
    """How many packages were looked up, which could not be, and what is known against the others."""
    command = [str(pip_audit), "--format", "json", "--progress-spinner", "off", "--disable-pip", "--no-deps"]
    for lock in RUNTIME:
        command += ["--requirement", str(ROOT / lock)]
    # It ends with 1 where it found something, and where it could not look at all; then it prints nothing.
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    packages: list[dict[str, Any]] = json.loads(answer)["dependencies"] if answer.strip() else []
    looked_up = {normal(it["name"]) for it in packages if "skip_reason" not in it}
    known = [
        f"{it['name']} {it['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for it in packages
        for found in it.get("vulns", ())
    ]
    unknown = sorted(set(locked(ROOT / lock for lock in RUNTIME)) - looked_up)
    return len(looked_up), unknown, known


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pip-audit", type=Path, required=True, help="its executable")
    parser.add_argument("--strict", action="store_true", help="fail where a package could not be looked up")
    options = parser.parse_args()

    pins = locked(ROOT / lock for lock in LOCKS)
    installed = list(distributions())
    wrong = check_installed(installed, pins, locked(ROOT / lock for lock in RUNTIME))
    print(
        f"Installed: {len(installed)} packages compared with the lock files, and their files with what was installed."
    )
    print("".join(f"  {line}\n" for line in wrong) or "  All are as locked.\n", end="")

    count, unknown, known = vulnerabilities(options.pip_audit)
    print(f"Vulnerabilities: {count} of {count + len(unknown)} run-time packages looked up.")
    if not count:
        print("  NOT CHECKED: no database answered, so nothing is known of any of them.")
    elif unknown:
        print(f"  NOT CHECKED, since the database does not know them: {', '.join(unknown)}")
    if count:
        print("".join(f"  {line}\n" for line in known) or "  None is known for those looked up.\n", end="")
    return 1 if wrong or known or (options.strict and unknown) else 0


if __name__ == "__main__":
    sys.exit(main())
