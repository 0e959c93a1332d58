"""A model that is missing or broken: one clear line, exit with 1, no answer made up."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.extraction import checksums
from app.settings import Settings

from .harness import Report, service

MODEL = Settings().model_folder


def weights(folder: Path) -> Path:
    return max(folder.glob("*.safetensors"))


def missing_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def missing_weights(folder: Path) -> None:
    weights(folder).unlink()


def truncated(folder: Path) -> None:
    with weights(folder).open("r+b") as file:
        file.truncate(weights(folder).stat().st_size // 2)


def one_bit(folder: Path) -> None:
    with weights(folder).open("r+b") as file:
        file.seek(weights(folder).stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def truncated_and_unlisted(folder: Path) -> None:
    truncated(folder)
    (folder / checksums.NAME).unlink()


def missing_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"hidden_size": ')


def other_sizes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["hidden_size"] //= 2
    (folder / "config.json").write_text(json.dumps(config))


HARMS: tuple[Callable[[Path], None], ...] = (
    missing_folder,
    missing_weights,
    truncated,
    one_bit,
    truncated_and_unlisted,
    missing_tokenizer,
    broken_config,
    other_sizes,
)


def main() -> int:
    report = Report("missing and broken models")
    started = time.perf_counter()
    checksums.verify(MODEL)
    report.check("the checksums of the shipped model hold", True, f"{time.perf_counter() - started:.2f} s a start")
    for harm in HARMS:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            shutil.copytree(MODEL, folder)
            harm(folder)
            with service(ready=False, model_dir=folder) as running:
                status = running.process.wait(120)
                text = running.log.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        told = [line["message"] for line in lines if line["level"] == "CRITICAL"]
        clear = len(told) == 1 and len(lines) == len(text.splitlines()) and "Traceback" not in text
        report.check(
            f"{harm.__name__.replace('_', ' ')}: exit with 1, one line", status == 1 and clear, f"{status}, {told}"
        )
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
