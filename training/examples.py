"""Writes what the model answers into the documentation: ``python -m training.examples``.

The requests of ``app/api/examples.json`` and of the README stay as they are; the answers beside them become those of
the model that serves by default, computed in float32.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from app.api.schemas import ArticleRequest, render
from app.extraction.extractor import Extractor
from app.serving.weights import weights_sha256
from app.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "app" / "api" / "examples.json"
README = ROOT / "README.md"

_REQUEST = re.compile(r"-d '(\{.*\})'")
_ANSWER = re.compile(r"(<!-- answer -->\n).*?(<!-- /answer -->)", re.DOTALL)


def answer(extractor: Extractor, request: dict[str, Any]) -> dict[str, Any]:
    """What the service answers to the body of one article."""
    query = ArticleRequest.model_validate(request).query()
    extraction = extractor.extract(query.article, query.types, query.min_confidence)
    result: dict[str, Any] = json.loads(render(extraction, extractor.info).json)
    return result


def refresh(extractor: Extractor, examples: dict[str, Any]) -> dict[str, Any]:
    """The examples with the model's answers; problems stay."""
    for example in examples["extract"].values():
        example["response"] = answer(extractor, example["request"])
    for example in examples["batch"].values():
        results = example["response"]["results"]
        for number, (request, result) in enumerate(zip(example["request"]["articles"], results, strict=True)):
            if "error" not in result:
                results[number] = answer(extractor, request)
    model = {"name": extractor.info.name, "version": extractor.info.version}
    for example in examples["version"].values():
        example["response"]["model"] = model
        example["response"]["weights_sha256"] = weights_sha256(Settings().model_folder)
    return examples


def readme_with_answer(extractor: Extractor, readme: str) -> str:
    """The README with the true answer to its curl; ValueError where it has none."""
    request = _REQUEST.search(readme)
    if request is None or not _ANSWER.search(readme):
        raise ValueError("the README has no curl with -d '{...}' or no place for its answer")
    shown = json.dumps(answer(extractor, json.loads(request.group(1))), indent=1, ensure_ascii=False)
    return _ANSWER.sub(lambda m: f"{m.group(1)}```json\n{shown}\n```\n{m.group(2)}", readme)


def main() -> None:
    extractor = Extractor.load(Settings().model_folder, "float32")
    examples = refresh(extractor, json.loads(EXAMPLES.read_text("utf-8")))
    EXAMPLES.write_text(json.dumps(examples, indent=2, ensure_ascii=False) + "\n", "utf-8")
    README.write_text(readme_with_answer(extractor, README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
