"""What the tests of `deploy/` share: the manifests as data, from their files and as kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

Manifest = dict[str, Any]


def load(path: Path) -> list[Manifest]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def files(kind: Literal["resources", "patches"]) -> list[Path]:
    """Those that the kustomizations name as whole manifests, or as patches."""
    found = []
    for path in sorted(KUBERNETES.rglob("kustomization.yaml")):
        [kustomization] = load(path)
        for entry in kustomization.get(kind, []):
            name = entry if isinstance(entry, str) else entry.get("path")
            if name is not None and (path.parent / name).is_file():
                found.append(path.parent / name)
    return found


def base(kind: str, name: str = "event-extraction") -> Manifest:
    """The manifest of a kind, as the base or a component has it."""
    [found] = [
        document
        for path in files("resources")
        if path.parent.name in ("base", "monitoring")
        for document in load(path)
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
    ]
    return found


def env_file() -> dict[str, str]:
    """The base's settings by their environment variables."""
    lines = (KUBERNETES / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def build(folder: Path) -> list[Manifest]:
    """What kustomize makes of a folder; skips the test where there is no kustomize."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            output = subprocess.run([*command, str(folder)], check=True, capture_output=True, text=True).stdout
            return list(yaml.safe_load_all(output))
    pytest.skip("neither kustomize nor kubectl on PATH")
