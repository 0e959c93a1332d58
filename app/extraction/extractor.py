"""The stages joined: an article in, its typed events out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import py3langid
from tokenizers import Tokenizer
from torch import Tensor

from app.extraction import encode, link, names, normalise, publication
from app.extraction.confidence import Scale
from app.extraction.decode import Argument, find_arguments, find_triggers, split_countries
from app.extraction.encode import Heads
from app.extraction.model import SCALES, EventModel
from app.extraction.places import Gazetteer
from app.extraction.segment import Ints, Segmented, Window, load_tokenizer, segment
from app.extraction.values import EVENT_TYPES, Article, Document, EventType, Extraction

ALL_TYPES = frozenset(EVENT_TYPES)

FLOOR = 0.05  # a trigger less likely than this is none, whatever confidence is asked for
MAX_TRIGGERS = 1024  # far more than news holds; bounds the work on a text that is one trigger word over and over
NEIGHBOURS = 48  # triggers of one type that each one is compared with
SAMPLE = 1000  # code points that tell the language
MAX_MENTIONS = 64  # mentions of participants of one event compared all with all


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answers."""

    name: str
    version: str


def _info(model: EventModel) -> ModelInfo:
    return ModelInfo(model.config.model_name, model.config.model_version)


def _ignore(stage: str, seconds: float) -> None:
    """The observer where nobody looks."""


class Extractor:
    """The pipeline with its model; every method may be called from several threads at once.

    ``lanes``: threads that share the work on one article where it falls apart; ``early_exit``: whether the encoder
    leaves windows early in which the model's exit sees no trigger.
    """

    def __init__(
        self,
        model: EventModel,
        tokenizer: Tokenizer,
        gazetteer: Gazetteer,
        info: ModelInfo,
        observe: Callable[[str, float], None] = _ignore,
        lanes: int = 1,
        early_exit: bool = True,
    ) -> None:
        self.info = info
        self._early_exit = early_exit
        self._model = model
        self._tokenizer = tokenizer
        self._gazetteer = gazetteer
        self._special = encode.special_ids(model.config)
        self._observe = observe
        self._events, self._arguments = (Scale(*model.config.scales[what]) for what in SCALES)
        self._lanes = ThreadPoolExecutor(lanes, thread_name_prefix="encoder-lane")

    @classmethod
    def load(
        cls,
        model_dir: Path,
        dtype: encode.Dtype = "float32",
        observe: Callable[[str, float], None] = _ignore,
        lanes: int = 1,
        early_exit: bool = True,
    ) -> Extractor:
        """Reads the model in ``model_dir``; OSError or ValueError where it is missing or broken."""
        with ThreadPoolExecutor(1) as beside:
            gazetteer = beside.submit(Gazetteer.load)  # as slow as the weights, and not in the same code
            model, tokenizer = encode.load(model_dir, dtype), load_tokenizer(model_dir)
            return cls(model, tokenizer, gazetteer.result(), _info(model), observe, lanes, early_exit)

    @classmethod
    def from_parts(
        cls,
        model: EventModel,
        tokenizer: Tokenizer,
        observe: Callable[[str, float], None] = _ignore,
        lanes: int = 1,
    ) -> Extractor:
        """Around a model in memory, as training has it."""
        return cls(model, tokenizer, Gazetteer.load(), _info(model), observe, lanes)

    def segment(self, article: Article, min_confidence: float | None = None) -> Segmented:
        """Tokens and windows; whoever asks for events less sure than usual has each window read to the end."""
        may_exit = self._early_exit and self._least(min_confidence) >= self._least(None)
        with self._timed("segment"):
            return segment(article, self._tokenizer, self._special, may_exit)

    def encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """The vectors of windows of any articles, computed in this thread."""
        with self._timed("encode"):
            return encode.encode(self._model, windows)

    def encode_abreast(self, windows: Sequence[Window]) -> list[Tensor]:
        """As `encode`, with a window to a lane."""
        return [vectors for [vectors] in self._lanes.map(lambda window: self.encode([window]), windows)]

    def heads(self, segmented: Segmented, vectors: Sequence[Tensor]) -> Heads:
        """What the model says of one article, given the vectors of its windows in order."""
        return Heads(self._model, segmented, vectors, self._lanes)

    def finish(
        self,
        segmented: Segmented,
        vectors: list[Tensor],
        types: frozenset[EventType] | None = None,
        min_confidence: float | None = None,
    ) -> Extraction:
        """Decode, link and normalise one article, given the vectors of its windows in order.

        The list is emptied on the way: of a long article they take more memory than all else.
        """
        heads = self.heads(segmented, vectors)
        vectors.clear()
        return self.conclude(segmented, heads, types, min_confidence)

    def conclude(
        self, segmented: Segmented, heads: Heads, types: frozenset[EventType] | None, min_confidence: float | None
    ) -> Extraction:
        """`finish`, given what the model says of the article."""
        thresholds = self._model.config.thresholds
        least = self._least(min_confidence)
        floor = max(FLOOR, min(least, thresholds["trigger"]))
        with self._timed("decode"):
            triggers = find_triggers(heads.triggers(), segmented, floor, ALL_TYPES if types is None else types)
            # Weak triggers only join stronger ones of their type: without any, they need not be read.
            sure = {t.type for t in triggers if t.score >= least}
            triggers = [t for t in triggers if t.type in sure]
            if len(triggers) > MAX_TRIGGERS:
                last = sorted((t.score for t in triggers), reverse=True)[MAX_TRIGGERS - 1]
                triggers = [t for t in triggers if t.score >= last][:MAX_TRIGGERS]
            spans = np.array([(t.first, t.last) for t in triggers], np.int64).reshape(-1, 2)
            trigger_types = np.array([EVENT_TYPES.index(t.type) for t in triggers], np.int64)
            trigger_vectors = heads.trigger_vectors(spans, trigger_types)
            slices, statuses = heads.read(spans, trigger_types)
            arguments = find_arguments(slices, triggers, segmented, thresholds)
            arguments = split_countries(arguments, segmented, self._is_country)
        with self._timed("link"):
            linked = []
            by_trigger: list[list[Argument]] = [[] for _ in triggers]
            for argument in arguments:
                by_trigger[argument.trigger].append(argument)
            if triggers:
                left, right = _pairs(trigger_types)
                overlap = link.overlaps(slices, len(triggers), segmented.ids)
                features = link.trigger_features(segmented, spans, left, right, overlap)
                scores = heads.links(trigger_vectors, left, right, features)
                for members in link.cluster(len(triggers), left, right, scores, thresholds["link"]):
                    if max(triggers[m].score for m in members) < least:
                        continue
                    own = [a for m in members for a in by_trigger[m]]
                    linked.append(
                        normalise.LinkedEvent(
                            type=triggers[members[0]].type,
                            triggers=tuple(triggers[m] for m in members),
                            statuses=tuple(float(s) for s in statuses[members].mean(axis=0)),
                            participants=self._participants(own, heads, segmented, thresholds["name"]),
                            others=tuple(a for a in own if a.group != "participant"),
                        )
                    )
        with self._timed("normalise"):
            article = segmented.article
            published, source = publication.find_publication(article)
            events = []
            if linked:  # most articles hold none, and to look for their countries takes as long as all else here
                countries = self._gazetteer.article_countries(article.text)
                context = normalise.Context(article, published, countries, self._events, self._arguments)
                events = [normalise.event(e, segmented, context, self._gazetteer) for e in linked]
                events.sort(key=lambda e: (e.mentions[0].start, e.type))
            document = Document(published, source, py3langid.classify(article.text[:SAMPLE])[0], len(article.text))
        return Extraction(tuple(events), document)

    def extract(
        self, article: Article, types: frozenset[EventType] | None = None, min_confidence: float | None = None
    ) -> Extraction:
        """All stages for one article."""
        segmented = self.segment(article, min_confidence)
        return self.finish(segmented, self.encode_abreast(segmented.windows), types, min_confidence)

    def _least(self, min_confidence: float | None) -> float:
        """The score that an event must have."""
        return self._model.config.thresholds["event"] if min_confidence is None else self._events.score(min_confidence)

    def _participants(
        self, arguments: list[Argument], heads: Heads, segmented: Segmented, threshold: float
    ) -> tuple[tuple[Argument, ...], ...]:
        """Groups the participant arguments of one event by who is meant."""
        mine = [a for a in arguments if a.group == "participant"]
        spans = _distinct(mine)
        if not spans:
            return ()
        surfaces = [segmented.surface(*s) for s in spans]
        left, right = np.triu_indices(len(spans), 1)
        pairs = [(surfaces[a], surfaces[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
        features = np.array([names.pair_features(*pair) for pair in pairs], np.float32).reshape(-1, names.FEATURES)
        least, most = np.array([names.bounds(*pair) for pair in pairs], np.float32).reshape(-1, 2).T
        scores = heads.names(np.array(spans, np.int64), left, right, features).clip(least, most)
        groups = link.cluster(len(spans), left, right, scores, threshold)
        return tuple(
            tuple(a for a in mine if any(spans[i][0] <= a.last and a.first <= spans[i][1] for i in group))
            for group in groups
        )

    def _is_country(self, name: str) -> bool:
        return self._gazetteer.is_country(name, cased=name != name.lower()) is not None

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._observe(stage, time.perf_counter() - started)


def _pairs(types: Ints) -> tuple[Ints, Ints]:
    """Indices of the pairs of triggers of one type, each with the next `NEIGHBOURS` of its type."""
    left, right = [], []
    for kind in np.unique(types):
        same = np.flatnonzero(types == kind)
        for step in range(1, min(NEIGHBOURS, len(same) - 1) + 1):
            left.append(same[:-step])
            right.append(same[step:])
    if not left:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(left), np.concatenate(right)


def _distinct(arguments: list[Argument]) -> list[tuple[int, int]]:
    """Spans of the arguments without overlap, the likeliest first to be kept; in order, `MAX_MENTIONS` at most."""
    kept: list[tuple[int, int]] = []
    for argument in sorted(arguments, key=lambda a: (-a.score, a.first)):
        if len(kept) < MAX_MENTIONS and all(argument.last < a or b < argument.first for a, b in kept):
            kept.append((argument.first, argument.last))
    return sorted(kept)
