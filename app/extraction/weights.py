"""The weights on disk: safetensors in shards, large matrices as 8-bit integers with a scale for each row.

Row-wise symmetric quantisation (Dettmers 2022, LLM.int8) takes half of what float16 takes and loses about as much as
bfloat16 does, in which the encoder runs anyway. Loading turns the rows back into floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

SHARD_BYTES = 55_000_000
_SCALE = ".scale"
_LARGE = 1 << 16  # elements from which a matrix is quantised


def write(state: Mapping[str, Tensor], folder: Path) -> None:
    """Writes a model's weights into ``folder``, in shards of at most `SHARD_BYTES`; all older ones there go."""
    for old in folder.glob("*.safetensors"):
        old.unlink()
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in state.items():
        stored = dict(_store(name, tensor.detach().float()))
        added = sum(t.numel() * t.element_size() for t in stored.values())
        if size + added > SHARD_BYTES and size:
            shards.append({})
            size = 0
        shards[-1].update(stored)
        size += added
    for number, shard in enumerate(shards, 1):
        part = f"-{number:05}-of-{len(shards):05}" if len(shards) > 1 else ""
        save_file(shard, folder / f"model{part}.safetensors")


def add(state: Mapping[str, Tensor], folder: Path, name: str) -> None:
    """Writes further weights of the model in ``folder``, into a file of their own."""
    stored = {part: kept for key, tensor in state.items() for part, kept in _store(key, tensor.detach().float())}
    save_file(stored, folder / f"{name}.safetensors")


def read(folder: Path, number_type: Callable[[str], torch.dtype] = lambda name: torch.float32) -> dict[str, Tensor]:
    """A model's weights, each in the number type for its name; one at a time, so that memory holds no copy of all.

    Raises FileNotFoundError where there are none, ValueError where a file is broken.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"no weights (*.safetensors) in the model folder {folder.name}")
    state: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, "pt") as stored:
                names = set(stored.keys())
                for name in sorted(n for n in names if not n.endswith(_SCALE)):
                    tensor = stored.get_tensor(name)
                    if name + _SCALE in names:
                        scale = stored.get_tensor(name + _SCALE)[:, None]
                        state[name] = tensor.float().mul_(scale).to(number_type(name))
                    else:
                        state[name] = tensor.to(number_type(name), copy=True)  # or the file would stay in memory
        except SafetensorError as error:
            raise ValueError(
                f"the weights in the model folder {folder.name} are broken: {path.name}: {error}"
            ) from error
    return state


def _store(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if tensor.ndim != 2 or tensor.numel() < _LARGE:
        yield name, tensor.contiguous()
        return
    scale = tensor.abs().amax(dim=1).clamp(min=1e-12) / 127
    yield name, (tensor / scale[:, None]).round().to(torch.int8)
    yield name + _SCALE, scale
