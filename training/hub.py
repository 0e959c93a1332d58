"""A model for Hugging Face's tools: ``python -m training.hub MODEL OUTPUT``.

Serving reads the weights with `encode.load`, since importing `PreTrainedModel` takes longer than all the rest of the
start. This turns a model's folder into one that ``HubModel.from_pretrained`` reads: float32, unquantised.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from app.extraction.encode import load
from app.extraction.model import EventConfig, EventModel


class HubConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """`EventConfig`, as ``event``, in transformers' form."""

    model_type = "event-extraction"

    def __init__(self, event: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.event = event or asdict(EventConfig())
        super().__init__(**kwargs)


class HubModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """`EventModel`, as ``network``, in transformers' form."""

    config_class = HubConfig
    main_input_name = "ids"
    base_model_prefix = "network"

    def __init__(self, config: HubConfig) -> None:
        super().__init__(config)
        self.network = EventModel(EventConfig(**config.event))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: Any) -> None:
        """None: the network has drawn its own."""

    def forward(self, ids: Tensor, shapes: Tensor, gaps: Tensor, lengths: Sequence[int]) -> Tensor:
        """As `EventModel.forward`."""
        return self.network(ids, shapes, gaps, lengths)  # type: ignore[no-any-return]


def export(model_dir: Path, output: Path) -> None:
    """Writes config, tokenizer and weights of a model into the folder ``output``."""
    network = load(model_dir, "float32")
    model = HubModel(HubConfig(asdict(network.config)))
    model.network.load_state_dict(network.state_dict())
    model.save_pretrained(output)
    (output / "tokenizer.json").write_bytes((model_dir / "tokenizer.json").read_bytes())


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
