"""Probabilities to triggers and to the arguments of each trigger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from app.extraction.labels import SLOT_GROUPS, SLOTS, group_probabilities, slot_allowed
from app.extraction.link import Floats, Slice
from app.extraction.segment import Ints, Segmented
from app.extraction.values import EVENT_TYPES, EventType

MAX_ARGUMENTS = 96  # of one trigger; far more than news holds

SOFT = 0.4  # part of a slot's threshold from which a token goes on with a span that reaches it elsewhere

_NAMED = ("participant", "location")
_LISTING = frozenset([",", ";", "and", "&"])  # between the parts of a list
_LOOSE = _LISTING | frozenset("or from in of to as by with at for on between the a an ' \" ‘ “ : ( - – —".split())
_GAP = 3  # tokens that may be missing within a name

_TYPES = len(EVENT_TYPES)
_SLOTS = len(SLOTS)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A span of tokens (``last`` inclusive) that names a happening."""

    first: int
    last: int
    type: EventType
    score: float


@dataclass(frozen=True, slots=True)
class Argument:
    """A span of tokens (``last`` inclusive) that fills a slot of one trigger (an index)."""

    trigger: int
    first: int
    last: int
    group: str
    scores: dict[str, float]  # by slot name; their sum is the probability of the group

    @property
    def score(self) -> float:
        return min(1.0, sum(self.scores.values()))


def find_triggers(
    probabilities: Floats, segmented: Segmented, floor: float, types: frozenset[EventType]
) -> list[Trigger]:
    """Triggers of the wanted types that reach ``floor``, in order. ``probabilities``: [tokens, trigger labels]."""
    begin, inside = probabilities[:, 1 : 1 + _TYPES], probabilities[:, 1 + _TYPES :]
    both = begin + inside
    both[: segmented.title_tokens] = -1.0  # below any floor
    kinds = both.argmax(axis=1)
    peaks = both.max(axis=1)
    found: list[Trigger] = []
    for first, last in _runs(peaks >= floor, _split(kinds, begin, inside)):
        kind = EVENT_TYPES[int(kinds[first])]
        if kind in types:
            low, high = _whole_words(segmented, first, last)
            if not found or low > found[-1].last:
                found.append(Trigger(low, high, kind, min(1.0, float(peaks[first : last + 1].max()))))
    return found


def _split(kinds: Ints, begin: Floats, inside: Floats) -> npt.NDArray[np.bool_]:
    """True at tokens that cannot go on with the run before them."""
    rows = np.arange(len(kinds))
    return _changes(kinds) | (begin[rows, kinds] > inside[rows, kinds])


def _changes(kinds: Ints) -> npt.NDArray[np.bool_]:
    """True at the first token and wherever the kind is another one than before."""
    changes: npt.NDArray[np.bool_] = np.concatenate([[True], kinds[1:] != kinds[:-1]])
    return changes


def _runs(inside: npt.NDArray[np.bool_], breaks: npt.NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Maximal runs of True, as (first, last); a True in ``breaks`` begins a new one."""
    goes_on = inside[:-1] & inside[1:] & ~breaks[1:]
    firsts, lasts = inside.copy(), inside.copy()
    firsts[1:] &= ~goes_on
    lasts[:-1] &= ~goes_on
    return zip(np.flatnonzero(firsts).tolist(), np.flatnonzero(lasts).tolist(), strict=True)


def _whole_words(segmented: Segmented, first: int, last: int) -> tuple[int, int]:
    """Grows a span of tokens until it cuts no word."""
    low, high = (0, segmented.title_tokens) if first < segmented.title_tokens else (
        segmented.title_tokens, len(segmented.starts)
    )  # fmt: skip
    while first > low and _joined(segmented, first):
        first -= 1
    while last + 1 < high and _joined(segmented, last + 1):
        last += 1
    return first, last


def _joined(segmented: Segmented, token: int) -> bool:
    """True if this token goes on with the word of the token before; a hyphen inside a word is part of it.

    So are the dots of an abbreviation such as "U.S.".
    """
    if segmented.starts[token] > segmented.ends[token - 1]:  # several tokens can share one character
        return False
    source = (segmented.article.title or "") if token < segmented.title_tokens else segmented.article.text
    at = int(segmented.starts[token])
    left, right = source[at - 1], source[at]
    if right == ".":
        return _is_initial(source, at - 1)
    if left == ".":
        return _is_initial(source, at) and at > 1 and _is_initial(source, at - 2)
    return (left.isalnum() or left == "-") and (right.isalnum() or right == "-")


def _is_initial(source: str, at: int) -> bool:
    """True for a letter that stands alone, as those of "U.S." do."""
    alone = not source[at - 1 : at].isalnum() and not source[at + 1 : at + 2].isalnum()
    return source[at].isalpha() and alone


def find_arguments(
    slices: list[Slice],
    triggers: list[Trigger],
    segmented: Segmented,
    thresholds: Mapping[str, float],
) -> list[Argument]:
    """The arguments of each trigger that reach the threshold of their slot group, by trigger and position."""
    least = np.array([thresholds[group] for group in SLOT_GROUPS])
    found = []
    for which, index, labels in slices:
        groups = group_probabilities(labels)
        border = np.concatenate([[True], np.diff(index) != 1])
        border[np.searchsorted(index, segmented.title_tokens) % len(index)] = True
        for row, number in enumerate(range(which.start, which.stop)):
            trigger = triggers[number]
            begin, within = labels[row, :, 1 : 1 + _SLOTS], labels[row, :, 1 + _SLOTS :]
            kinds = groups[row].argmax(axis=1)
            peaks = groups[row].max(axis=1)
            breaks = border | _changes(kinds) | (begin.sum(axis=1) > within.sum(axis=1))
            sure = peaks >= least[kinds]
            runs = [
                (first, last)
                for first, last in _runs(peaks >= SOFT * least[kinds], breaks)
                if sure[first : last + 1].any()
            ]
            runs = _bridge(runs, kinds, index, segmented)
            if len(runs) > MAX_ARGUMENTS:
                likeliest = sorted(runs, key=lambda run: -float(peaks[run[0] : run[1] + 1].max()))
                runs = sorted(likeliest[:MAX_ARGUMENTS])
            for first, last in runs:
                group = SLOT_GROUPS[int(kinds[first])]
                slots = (begin[first : last + 1] + within[first : last + 1]).mean(axis=0)
                scores = {
                    name: float(slots[i])
                    for i, (g, name) in enumerate(SLOTS)
                    if g == group and slot_allowed(trigger.type, g, name)
                }
                if scores:
                    low, high = _whole_words(segmented, int(index[first]), int(index[last]))
                    if group in _NAMED:
                        high = _without_loose_end(segmented, low, high)
                    found.append(Argument(number, low, high, group, scores))
    return found


def _without_loose_end(segmented: Segmented, first: int, last: int) -> int:
    """The last token of a span of whole words, without words behind it that begin something else."""
    end = last
    while end > first and segmented.surface(end, end).lower() in _LOOSE and not _joined(segmented, end):
        end -= 1
    return end


def split_countries(
    arguments: list[Argument], segmented: Segmented, is_country: Callable[[str], bool]
) -> list[Argument]:
    """Has each country of a list take part by itself: "Oman, Qatar and Kuwait", "leaders of Oman and Qatar"."""
    found: list[Argument] = []
    for argument in arguments:
        parts = [(argument.first, argument.last)] if argument.group != "participant" else _listed(segmented, argument)
        if len(parts) > 1 and all(is_country(segmented.surface(*part)) for part in parts):
            found.extend(replace(argument, first=first, last=last) for first, last in parts)
        else:
            found.append(argument)
    return found


def _listed(segmented: Segmented, argument: Argument) -> list[tuple[int, int]]:
    """The parts of a list, the first one without the words of whom they are ("leaders of")."""
    words = [segmented.surface(t, t).lower() for t in range(argument.first, argument.last + 1)]
    if _LISTING.isdisjoint(words):
        return [(argument.first, argument.last)]
    borders = [-1, *(k for k, word in enumerate(words) if word in _LISTING), len(words)]
    if "of" in words[: borders[1]]:
        borders[0] = borders[1] - 1 - words[: borders[1]][::-1].index("of")
    return [(argument.first + a + 1, argument.first + b - 1) for a, b in pairwise(borders) if a + 1 < b]


def _bridge(runs: list[tuple[int, int]], kinds: Ints, index: Ints, segmented: Segmented) -> list[tuple[int, int]]:
    """Joins the runs of one name: two of one group with nothing but a few capitalised words between them."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        before = joined[-1][1] if joined else first
        if (
            SLOT_GROUPS[int(kinds[first])] in _NAMED
            and before < first <= before + 1 + _GAP
            and kinds[before] == kinds[first]
            and index[first] - index[before] == first - before
            and segmented.sentences[index[first]] == segmented.sentences[index[before]]
            and all(segmented.surface(int(t), int(t))[0].isupper() for t in index[before + 1 : first + 1])
            and segmented.surface(int(index[before]), int(index[before])).isalnum()
        ):
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
