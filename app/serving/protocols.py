"""What the serving side needs of the extraction side, so that neither imports the other.

Windows and vectors pass through here untouched, hence ``Any``: only the extractor knows what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any, Protocol

from app.extraction.values import Article, EventType, Extraction

Observe = Callable[[str, float], None]
"""Takes a stage (segment, encode, decode, link, normalise) and the seconds it took; called from any thread."""


class Window(Protocol):
    """What the encoder sees at once."""

    @property
    def tokens(self) -> int: ...


class Segmented(Protocol):
    """A tokenised article."""

    @property
    def windows(self) -> Sequence[Window]: ...


class ModelInfo(Protocol):
    """Which model answers."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


class Extractor(Protocol):
    """Articles to events in three steps; the same article gives the same answer whatever shares its pass."""

    @property
    def info(self) -> ModelInfo: ...

    def segment(self, article: Article, min_confidence: float | None = None) -> Any:
        """A :class:`Segmented`; called from several threads at once."""

    def encode(self, windows: Sequence[Any]) -> Sequence[Sized]:
        """The token vectors of each window, computed in this thread; called from several threads at once.

        Empty for a window that was left early.
        """

    def finish(
        self,
        segmented: Any,
        vectors: list[Any],
        types: frozenset[EventType] | None,
        min_confidence: float | None,
    ) -> Extraction:
        """The events, from the vectors of all windows in their order; called from several threads at once.

        The list of vectors may be emptied.
        """
