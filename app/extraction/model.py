"""The network: a packed transformer encoder and the heads that read its token vectors.

The encoder takes many windows at once as one row of tokens without padding; only attention knows where a window ends.
So a token's vector depends on its own window alone, bit for bit, whatever else shares the pass. The layer form is that
of BERT (Devlin 2019) or, with ``relative_buckets``, of MPNet (Song 2020).

The heads work on a whole document. Arguments are tagged once per trigger, as in TagPrime (Hsu 2023), but one pass of
the encoder serves every trigger: a few more layers re-read the token vectors around each one with the trigger marked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.extraction import link, names
from app.extraction.labels import ARGUMENT_LABELS, SLOT_GROUPS, TRIGGER_LABELS
from app.extraction.segment import GAPS, SHAPES
from app.extraction.values import EVENT_TYPES, STATUSES

CONFIG = "config.json"
TRANSFORMER = ("encoder.", "reader.", "exit.")  # how the names of the weights of the transformer layers begin
_PACKED_ROWS = 384  # of the products that packed weights are laid out for; about those of a window
_ROWS = 16  # products of 8-bit integers have a multiple of so many
_LEVELS, _GELU_LEVELS = 127, 255  # above the least that a quantised input can take; that one from a GELU can
EXIT_HEAD_SIZE = 32  # of the attention by which the encoder's exit is decided
DISTANCES = 27  # signed logarithmic buckets of the distance in tokens
SENTENCES = 9  # signed distance in sentences, clipped


THRESHOLDS = ("event", "trigger", "link", "name", *SLOT_GROUPS)
"""What the configuration holds a least probability for."""

SCALES = ("event", "argument")
"""What the configuration holds the slope and the bias of a `confidence.Scale` for."""


@dataclass(frozen=True, slots=True)
class EventConfig:
    """Sizes of the encoder and the heads, and what was chosen for the model after training."""

    vocab_size: int = 30522
    hidden_size: int = 384
    num_layers: int = 6
    reader_layers: int = 1
    exit_layer: int = 0  # of the encoder, behind which it leaves windows that hold no trigger; 0 where it never does
    exit_size: int = 192
    exit_threshold: float = 0.0  # least probability of a trigger with which a window is read on
    num_heads: int = 12
    intermediate_size: int = 1536
    max_positions: int = 512
    first_position: int = 0
    relative_buckets: int = 0
    layer_norm_eps: float = 1e-12
    dropout: float = 0.1
    head_size: int = 256
    cls_id: int = 101
    sep_id: int = 102
    model_name: str = "untrained"
    model_version: str = "0"
    thresholds: dict[str, float] = field(default_factory=dict)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", {**dict.fromkeys(THRESHOLDS, 0.5), **self.thresholds})
        scales = {**dict.fromkeys(SCALES, (1.0, 0.0)), **self.scales}
        object.__setattr__(self, "scales", {name: tuple(scale) for name, scale in scales.items()})

    @classmethod
    def read(cls, model_dir: Path) -> EventConfig:
        """From ``config.json``; OSError where it is missing, ValueError where it is broken or of another model."""
        try:
            return cls(**json.loads((model_dir / CONFIG).read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{CONFIG} in the model folder {model_dir.name} is broken: {error}") from error

    def write(self, model_dir: Path) -> None:
        (model_dir / CONFIG).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


class Linear(nn.Linear):
    """A linear map, with GELU behind it where asked for.

    It can be laid out for the processor once and for all, and then takes no gradient:

    - `pack`, in bfloat16: the same sums in four fifths of the time.
    - `quantise`, to 8-bit integers (Dettmers 2022, LLM.int8): each row of the weight has a scale, each row of the input
      a scale and an offset. The input has 128 levels, half of what fits, so that two products fit into the 16-bit sums
      of processors that know no wider ones; so the sums are exact. What comes from a GELU (``after_gelu``) is mostly
      near its least, where coarse levels hurt: it has 256, and such a processor cuts off the rare sum of two products
      whose inputs and weights are all large.
    """

    def __init__(self, inputs: int, outputs: int, gelu: bool = False, after_gelu: bool = False) -> None:
        super().__init__(inputs, outputs)
        self.gelu = gelu
        self.after_gelu = after_gelu
        self.packed: Tensor | None = None
        self.quantised: tuple[Tensor, Tensor, Tensor] | None = None

    def pack(self) -> None:
        """To bfloat16; only where the processor multiplies in it."""
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), _PACKED_ROWS)
        self.weight = None  # type: ignore[assignment]

    def quantise(self) -> None:
        """To 8-bit integers; the input and what comes out stay float32."""
        weight = self.weight.detach()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        levels = (weight / scales[:, None]).round_()
        laid_out = torch.ops.onednn.qlinear_prepack(levels.to(torch.int8), [_PACKED_ROWS, self.in_features])
        self.quantised = laid_out, scales, levels.sum(dim=1) * scales
        self.weight = None  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        if self.packed is not None:
            activation = "gelu" if self.gelu else "none"
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, activation, [], "none")  # type: ignore[no-any-return]
        x = F.linear(x, self.weight, self.bias) if self.quantised is None else self._product(x, *self.quantised)
        if not self.gelu:
            return x
        return F.gelu(x) if x.requires_grad else torch.ops.aten.gelu_(x)  # in place: new memory takes as long

    def _product(self, x: Tensor, weight: Tensor, scales: Tensor, sums: Tensor) -> Tensor:
        """``scales``: of the weight's rows, [outputs]; ``sums``: what the map makes of ones, [outputs]."""
        low = x.amin(dim=-1, keepdim=True)
        above = _GELU_LEVELS if self.after_gelu else _LEVELS
        step = ((x.amax(dim=-1, keepdim=True) - low) / above).clamp(min=1e-12)
        # oneDNN compiles and keeps code for each number of rows it meets: a few numbers are enough.
        levels = torch.empty(-(-len(x) // _ROWS) * _ROWS, self.in_features, dtype=torch.uint8)
        levels[: len(x)] = (x - low).div_(step).add_(0.5).to(torch.int16)  # from floats it takes four times as long
        zeros = torch.zeros(self.out_features, dtype=torch.int32)
        product = torch.ops.onednn.qlinear_pointwise(
            levels, 1.0, 0, weight, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )[: len(x)]
        return torch.addcmul(self.bias, product, step, out=product).addcmul_(low, sums)


class Layer(nn.Module):
    """One post-norm transformer layer over packed windows."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_heads
        self.dropout = config.dropout
        self.qkv = Linear(size, 3 * size)
        self.out = Linear(size, size)
        self.norm1 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.up = Linear(size, config.intermediate_size, gelu=True)
        self.down = Linear(config.intermediate_size, size, after_gelu=True)
        self.norm2 = nn.LayerNorm(size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, lengths: Sequence[int], bias: Tensor | None) -> Tensor:
        drop = self.dropout if self.training else 0.0
        parts = []
        for window in self.qkv(x).split(list(lengths)):
            length = len(window)
            q, k, v = window.view(length, 3, self.heads, -1).permute(1, 2, 0, 3).unsqueeze(1)
            mask = None if bias is None else bias[:, :length, :length].unsqueeze(0)
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            parts.append(attended[0].transpose(0, 1).reshape(length, -1))
        x = self.norm1(x + dropout(self.out(torch.cat(parts)), drop))
        return self.norm2(x + dropout(self.down(self.up(x)), drop))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Packed windows to token vectors."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.words = nn.Embedding(config.vocab_size, size)
        self.positions = nn.Embedding(config.max_positions, size)
        self.shapes = nn.Embedding(SHAPES, size)
        self.gaps = nn.Embedding(GAPS, size)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.relative: nn.Embedding | None = None
        if config.relative_buckets:
            self.relative = nn.Embedding(config.relative_buckets, config.num_heads)
        self._bias: Tensor | None = None

    def forward(self, ids: Tensor, shapes: Tensor, gaps: Tensor, lengths: Sequence[int]) -> Tensor:
        """``ids``, ``shapes``, ``gaps``: [tokens]; ``lengths``: tokens of each window. Returns [tokens, hidden]."""
        return self.read(self.embed(ids, shapes, gaps, lengths), lengths)

    def embed(self, ids: Tensor, shapes: Tensor, gaps: Tensor, lengths: Sequence[int]) -> Tensor:
        """What the first layer takes; shapes as in `forward`."""
        positions = torch.cat([torch.arange(n) for n in lengths]).to(ids.device) + self.config.first_position
        x = self.words(ids) + self.positions(positions) + self.shapes(shapes) + self.gaps(gaps)
        return dropout(self.norm(x), self.config.dropout if self.training else 0.0)

    def read(self, x: Tensor, lengths: Sequence[int], first: int = 0, stop: int | None = None) -> Tensor:
        """What the layers ``first`` up to ``stop`` make of what the layer before gave, [tokens, hidden]."""
        bias = self.bias(max(lengths))
        for layer in self.layers[first:stop]:
            x = layer(x, lengths, bias)
        return x

    def bias(self, length: int) -> Tensor | None:
        """MPNet's attention bias by relative position, [heads, length, length]; None for the form of BERT."""
        if self.relative is None:
            return None
        weight = self.relative.weight
        if self._bias is None or self._bias.dtype != weight.dtype or self._bias.shape[-1] < length:
            buckets = relative_buckets(max(length, self.config.max_positions), self.config.relative_buckets)
            # Never trained, so computed once; a contiguous mask keeps attention fast.
            self._bias = weight.detach()[buckets].permute(2, 0, 1).contiguous()
        return self._bias[:, :length, :length]


class ExitHead(nn.Module):
    """Tells from the vectors of an early layer whether a window can hold a trigger.

    Early exit (BranchyNet, Teerapittayanon 2016): most news holds no event, and one narrow layer sees it.
    """

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        size = config.exit_size
        self.narrow = Linear(config.hidden_size, size)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.layer = Layer(
            replace(config, hidden_size=size, num_heads=size // EXIT_HEAD_SIZE, intermediate_size=4 * size)
        )
        self.trigger = nn.Linear(size, 1)
        self.apply(_draw)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Vectors of packed windows, [tokens, hidden], to the logit of a trigger at each token, [tokens]."""
        return self.trigger(self.layer(self.norm(self.narrow(x)), lengths, None)).squeeze(-1)  # type: ignore[no-any-return]


def relative_buckets(length: int, count: int) -> Tensor:
    """MPNet's buckets of the distances from each position to each other one, [length, length]."""
    offset = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    half = count // 2
    exact = half // 2
    distance = offset.abs()
    log = exact + (torch.log(distance.clamp(min=1).float() / exact) / math.log(128 / exact) * (half - exact)).long()
    return (offset > 0).long() * half + torch.where(distance < exact, distance, log.clamp(max=half - 1))


def dropout(x: Tensor, share: float) -> Tensor:
    """Sets a ``share`` of the elements to 0 and scales up the rest.

    As torch's own (Srivastava 2014), but with 16 random bits an element, which takes a third of the time on a CPU.
    """
    if not share:
        return x
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = ((bits[: x.numel()] >> 1) - round((0.5 - share) * 2**15)) >> 15  # all bits or none
    scale = torch.tensor(1 / (1 - share), dtype=torch.bfloat16).view(torch.int16)
    return x * (kept & scale).view(torch.bfloat16).view(x.shape)


def mlp(size: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, out))


class EventModel(nn.Module):
    """The encoder and its heads; `encode.load` reads it from its folder."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        size, head = config.hidden_size, config.head_size
        self.config = config
        self.encoder = Encoder(config)
        self.exit = ExitHead(config) if config.exit_layer else None
        self.trigger = mlp(size, head, len(TRIGGER_LABELS), config.dropout)
        self.event_type = nn.Embedding(len(EVENT_TYPES), size)
        self.status = mlp(size, head, len(STATUSES), config.dropout)
        self.mark = nn.Embedding(1 + len(EVENT_TYPES), size, padding_idx=0)
        self.distance = nn.Embedding(DISTANCES, size)
        self.sentence = nn.Embedding(SENTENCES, size)
        self.reader = nn.ModuleList(Layer(config) for _ in range(config.reader_layers))
        self.argument = mlp(size, head, len(ARGUMENT_LABELS), config.dropout)
        self.same_event = mlp(2 * head + link.FEATURES, head, 1, config.dropout)
        self.same_name = mlp(2 * head + names.FEATURES, head, 1, config.dropout)
        self.event_side = nn.Linear(size, head)
        self.name_side = nn.Linear(size, head)
        self.apply(_draw)

    def forward(self, ids: Tensor, shapes: Tensor, gaps: Tensor, lengths: Sequence[int]) -> Tensor:
        """Packed windows to token vectors, [tokens, hidden]; the heads are called apart, on documents."""
        return self.encoder(ids, shapes, gaps, lengths)  # type: ignore[no-any-return]

    def drop_exit(self) -> None:
        """Has every window read to the end again: what the exit has learnt is of no use to another encoder."""
        self.exit = None
        self.config = replace(self.config, exit_layer=0)

    def trigger_logits(self, tokens: Tensor) -> Tensor:
        """[tokens, hidden] to [tokens, trigger labels]."""
        return self.trigger(tokens)  # type: ignore[no-any-return]

    def trigger_vectors(self, tokens: Tensor, spans: Tensor, types: Tensor) -> Tensor:
        """Mean vectors of ``spans`` ([triggers, 2], last inclusive) with their type mixed in, [triggers, hidden]."""
        return span_means(tokens, spans) + self.event_type(types)  # type: ignore[no-any-return]

    def read(self, tokens: Tensor, marks: Tensor, distance: Tensor, sentence: Tensor, lengths: Sequence[int]) -> Tensor:
        """Re-reads the surroundings of triggers with each trigger marked; packed rows, [rows, hidden].

        ``tokens``: [rows, hidden], one stretch of ``lengths`` for each trigger; ``marks``: 1 + the event type at the
        trigger's own tokens, else 0; ``distance``, ``sentence``: `distance_buckets`, `sentence_buckets`; all [rows].
        """
        marked = tokens + self.mark(marks) + self.distance(distance) + self.sentence(sentence)
        rows: Tensor = marked.to(next(self.reader.parameters()).dtype)
        bias = self.encoder.bias(max(lengths))
        for layer in self.reader:
            rows = layer(rows, lengths, bias)
        return rows.to(tokens.dtype)

    def argument_logits(self, read: Tensor) -> Tensor:
        """Rows as `read` gives them to [rows, argument labels]."""
        return self.argument(read)  # type: ignore[no-any-return]

    def status_logits(self, triggers: Tensor) -> Tensor:
        """Means of the triggers' rows as `read` gives them, [triggers, hidden], to [triggers, statuses]."""
        return self.status(triggers)  # type: ignore[no-any-return]

    def link_logits(self, triggers: Tensor, left: Tensor, right: Tensor, features: Tensor) -> Tensor:
        """Whether two triggers name one event, [pairs].

        ``triggers``: vectors, [triggers, hidden]; ``left``, ``right``: which of them, [pairs]; ``features``:
        [pairs, link.FEATURES].
        """
        sides = self.event_side(triggers)
        a, b = sides[left], sides[right]
        return self.same_event(torch.cat([a * b, (a - b).abs(), features], dim=-1)).squeeze(-1)  # type: ignore[no-any-return]

    def name_logits(self, mentions: Tensor, left: Tensor, right: Tensor, features: Tensor) -> Tensor:
        """Whether two mentions name one participant, as `link_logits`, with features [pairs, names.FEATURES]."""
        sides = self.name_side(mentions)
        a, b = sides[left], sides[right]
        return self.same_name(torch.cat([a * b, (a - b).abs(), features], dim=-1)).squeeze(-1)  # type: ignore[no-any-return]


def _draw(module: nn.Module) -> None:
    """Starting weights, as BERT has them (Devlin 2019)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
    if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
        nn.init.zeros_(module.bias)


def span_means(tokens: Tensor, spans: Tensor) -> Tensor:
    """Means of the token vectors of each span ([spans, 2], last inclusive), [spans, hidden]."""
    lengths = spans[:, 1] - spans[:, 0] + 1
    owner = torch.repeat_interleave(lengths)
    ahead = lengths.cumsum(0) - lengths  # of each span, the tokens of the spans before it
    inside = torch.arange(len(owner), device=tokens.device) + (spans[:, 0] - ahead)[owner]
    sums = tokens.new_zeros(len(spans), tokens.shape[1]).index_add(0, owner, tokens[inside])
    return sums / lengths[:, None]


def distance_buckets(offsets: Tensor) -> Tensor:
    """Signed logarithmic buckets of distances in tokens (0 inside the trigger, negative before it)."""
    size = offsets.abs()
    bucket = torch.where(size < 6, size, (3.42 + torch.log2(size.clamp(min=1).float())).long()).clamp(
        max=DISTANCES // 2
    )
    return DISTANCES // 2 + bucket * offsets.sign()


def sentence_buckets(offsets: Tensor) -> Tensor:
    """Clipped distances in sentences."""
    half = SENTENCES // 2
    return offsets.clamp(-half, half) + half
