"""Text to tokens and tokens to overlapping windows; nothing is dropped.

A document is one row of tokens: those of the title, then those of the text. A window is what the encoder sees at once:
``[CLS] title [SEP] stretch of the text [SEP]``, up to 512 tokens. Neighbouring windows overlap, and each token takes
its vector from the window in which it stands furthest from the border.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from app.extraction.values import Article

Ints = npt.NDArray[np.int64]

MAX_WINDOW = 512
MAX_TITLE = 48
OVERLAP = 96

SHAPES = 5  # other, lower, Capitalised, UPPER, digit
GAPS = 3  # joined to the token before, after a space, after a line break

_UPPER, _LOWER, _DIGIT, _BREAK, _MARK = 1, 2, 4, 8, 16


def _character_classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(0x10000, dtype=np.uint8)
    for code in range(len(table)):
        char = chr(code)
        table[code] = (
            _UPPER * char.isupper()
            | _LOWER * char.islower()
            | _DIGIT * char.isdigit()
            | _BREAK * (char in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
            | _MARK * (unicodedata.category(char) == "Mn")
        )
    return table


_CLASSES = _character_classes()


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One input of the encoder; all arrays have the shape [tokens]."""

    ids: Ints
    shapes: Ints
    gaps: Ints
    first: int  # where in `ids` the vectors that this window gives to the document begin ...
    stop: int  # ... and end
    title: int  # how many title tokens stand behind [CLS]
    may_exit: bool = True  # whether the encoder may leave it early

    @property
    def lead(self) -> int:
        """Where the stretch of the text begins."""
        return self.title + 2 if self.title else 1

    @property
    def tokens(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """A tokenised article: document arrays of the shape [tokens] (title first), and the windows that cover it."""

    article: Article
    ids: Ints
    starts: Ints  # code points; into the title for the first `title_tokens`, else into the text
    ends: Ints
    sentences: Ints  # index of the sentence that a token stands in; the title is sentence 0
    title_tokens: int
    windows: tuple[Window, ...]

    @property
    def tokens(self) -> int:
        return sum(w.tokens for w in self.windows)

    def owned(self) -> Iterator[tuple[Window, slice]]:
        """Each window with the tokens of the document whose vectors it gives."""
        at = self.title_tokens
        for window in self.windows:
            yield window, slice(at, at := at + window.stop - window.first)

    def surface(self, first: int, last: int) -> str:
        """The characters of the tokens ``first..last``, both inclusive and on one side of the title's border."""
        source = (self.article.title or "") if first < self.title_tokens else self.article.text
        return source[int(self.starts[first]) : int(self.ends[last])]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    ids: Ints
    starts: Ints
    ends: Ints
    shapes: Ints
    gaps: Ints
    breaks: npt.NDArray[np.bool_]  # a sentence begins at this token


def load_tokenizer(model_dir: Path) -> Tokenizer:
    """Reads ``tokenizer.json``; raises FileNotFoundError when it is missing."""
    path = model_dir / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer.json in the model folder {model_dir.name}")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def segment(article: Article, tokenizer: Tokenizer, special: tuple[int, int], may_exit: bool = True) -> Segmented:
    """Tokenises an article and cuts it into windows.

    ``special``: the ids of [CLS] and [SEP]; ``may_exit``: whether the encoder may leave its windows early.
    """
    cls, sep = special
    title = _tokenise(tokenizer, article.title or "", MAX_TITLE)
    text = _tokenise(tokenizer, article.text, None)
    head = len(title.ids)
    starts = np.concatenate([title.starts, text.starts])
    ends = np.concatenate([title.ends, text.ends])
    sentences = np.concatenate([np.zeros(head, np.int64), np.cumsum(text.breaks) + 1])
    capacity = MAX_WINDOW - 2 - (head + 1 if head else 0)
    prefix = [cls, *title.ids, sep] if head else [cls]
    windows: list[Window] = []
    for first, stop, keep_from, keep_to in _cuts(len(text.ids), capacity, OVERLAP):
        lead = len(prefix)
        windows.append(
            Window(
                ids=np.concatenate([prefix, text.ids[first:stop], [sep]]),
                shapes=_frame(title.shapes, text.shapes[first:stop], head),
                gaps=_frame(title.gaps, text.gaps[first:stop], head),
                first=lead + keep_from - first,
                stop=lead + keep_to - first,
                title=head,
                may_exit=may_exit,
            )
        )
    return Segmented(article, np.concatenate([title.ids, text.ids]), starts, ends, sentences, head, tuple(windows))


def _frame(title: Ints, text: Ints, head: int) -> Ints:
    zero = np.zeros(1, np.int64)
    return np.concatenate([zero, title, zero, text, zero] if head else [zero, text, zero])


def _cuts(length: int, capacity: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Even stretches of at most ``capacity`` tokens: (first, stop, keep_from, keep_to) each."""
    if length <= capacity:
        return [(0, length, 0, length)]
    count = -(-(length - overlap) // (capacity - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    firsts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    borders = [0, *((a + size + b) // 2 for a, b in itertools.pairwise(firsts)), length]
    return [(a, a + size, borders[i], borders[i + 1]) for i, a in enumerate(firsts)]


def _tokenise(tokenizer: Tokenizer, text: str, limit: int | None) -> _Row:
    encoding = tokenizer.encode(text, add_special_tokens=False)
    ids = np.array(encoding.ids[:limit], dtype=np.int64)
    offsets = np.array(encoding.offsets[:limit], dtype=np.int64).reshape(-1, 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    if not len(ids):
        return _Row(ids, starts, ends, ids, ids, np.zeros(0, np.bool_))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    classes = _CLASSES[np.minimum(codes, 0xFFFF)]
    ends = _with_marks(ends, starts, (classes & _MARK) > 0)
    before = np.concatenate([[0], ends[:-1]])
    upper = np.concatenate([[0], np.cumsum((classes & _UPPER) > 0)])
    lower = np.concatenate([[0], np.cumsum((classes & _LOWER) > 0)])
    breaks = np.concatenate([[0], np.cumsum((classes & _BREAK) > 0)])
    ups, lows = upper[ends] - upper[starts], lower[ends] - lower[starts]
    first = classes[starts]
    shapes = np.zeros(len(ids), np.int64)
    shapes[lows > 0] = 1
    shapes[((first & _UPPER) > 0) & ((lows > 0) | (ends - starts == 1))] = 2
    shapes[(ups > 1) & (lows == 0)] = 3
    shapes[(first & _DIGIT) > 0] = 4
    line = breaks[starts] > breaks[before]
    gaps = np.where(line, 2, (starts > before).astype(np.int64))
    gaps[0] = 2
    stop = np.isin(codes[ends - 1], [ord(c) for c in ".!?"])
    closing = np.isin(codes[ends - 1], [ord(c) for c in "\"'”’)»"])
    ended = stop | (closing & np.concatenate([[False], stop[:-1]]))
    sentence = np.concatenate([[False], ended[:-1]]) & (gaps > 0) & ((first & _LOWER) == 0) | line
    sentence[0] = False
    return _Row(ids, starts, ends, shapes, gaps, sentence)


def _with_marks(ends: Ints, starts: Ints, marks: npt.NDArray[np.bool_]) -> Ints:
    """The ends of tokens behind the combining marks that follow them; tokenisers of plain letters leave those out."""
    count = len(marks)
    plain = np.append(np.where(marks, count, np.arange(count)), count)
    beyond = np.minimum.accumulate(plain[::-1])[::-1]  # the first place from here on that is no mark
    following = np.append(starts[1:], count)
    grown: Ints = np.maximum(ends, np.minimum(beyond[ends], following))
    return grown
