"""The bill of materials has each file of weights, with the hash that `sha256sum` tells."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tools.sbom import add_models


def bill() -> dict[str, Any]:
    return {
        "metadata": {"component": {"bom-ref": "service"}},
        "components": [{"bom-ref": "torch"}],
        "dependencies": [{"ref": "torch"}, {"ref": "service"}],
    }


def test_every_file_of_weights_is_a_component(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for size, shards in (("base", ("model-00001-of-00002", "model-00002-of-00002")), ("small", ("model",))):
        (models / size).mkdir(parents=True)
        (models / size / "config.json").write_text(json.dumps({"model_name": size, "model_version": "1.0"}))
        for shard in shards:
            (models / size / f"{shard}.safetensors").write_text(size + shard)
    bom = bill()
    add_models(bom, models)
    found = {it["name"]: it for it in bom["components"][1:]}
    assert list(found) == [
        "models/base/model-00001-of-00002.safetensors",
        "models/base/model-00002-of-00002.safetensors",
        "models/small/model.safetensors",
    ]
    last = found["models/small/model.safetensors"]
    assert last["group"] == "small"
    assert last["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"smallmodel").hexdigest()}]
    assert bom["dependencies"][-1] == {"ref": "service", "dependsOn": [*found, "torch"]}
    assert [it["ref"] for it in bom["dependencies"]].count("service") == 1


def test_model_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights"):
        add_models(bill(), tmp_path)
