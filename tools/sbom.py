"""Adds the model's weights to a bill of materials, and checks the whole: ``python sbom.py MODELS BOM``.

Runs in the environment of cyclonedx-bom, which has made the file from the lock files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

WEIGHTS = "*.safetensors"


def model_component(weights: Path, models: Path) -> dict[str, Any]:
    """One file of weights, with the model's name and version out of the config beside it."""
    config = json.loads((weights.parent / "config.json").read_text("utf-8"))
    name = weights.relative_to(models.parent).as_posix()
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": name,
        "group": config["model_name"],
        "name": name,
        "version": config["model_version"],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "properties": [{"name": "size", "value": str(weights.stat().st_size)}],
    }


def add_models(bom: dict[str, Any], models: Path) -> None:
    """Puts a component for each file of weights into the bill, and makes the service depend on all that is in it."""
    found = [model_component(path, models) for path in sorted(models.rglob(WEIGHTS))]
    if not found:
        raise ValueError(f"there are no weights in {models}")
    bom["components"] += found
    bom["dependencies"] += [{"ref": it["bom-ref"]} for it in found]
    service = bom["metadata"]["component"]["bom-ref"]
    bom["dependencies"] = [it for it in bom["dependencies"] if it["ref"] != service]
    bom["dependencies"].append({"ref": service, "dependsOn": sorted(it["bom-ref"] for it in bom["components"])})


def main(models: Path, path: Path) -> int:
    from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
    from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]

    bom = json.loads(path.read_text("utf-8"))
    add_models(bom, models.resolve())
    text = json.dumps(bom, indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"{path} would be no valid bill: {error}", file=sys.stderr)
        return 1
    path.write_text(text, "utf-8")
    print(f"{path}: {len(bom['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
