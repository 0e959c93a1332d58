"""Which triggers name one event: features of a pair of triggers, and the clustering of pairwise scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from app.extraction.labels import SLOT_GROUPS, group_probabilities
from app.extraction.segment import Ints, Segmented

Floats = npt.NDArray[np.float32]
Slice = tuple[slice, Ints, Floats]
"""Triggers that look at the same tokens: which, the tokens, and probabilities [triggers, tokens, argument labels]."""

FEATURES = 8  # of a pair of triggers
_GROUPS = len(SLOT_GROUPS) - 1  # all but the purpose
_LIKELY = 0.1  # a token says something from this probability on
_MOST = 128  # items compared all with all; more only where a text repeats one phrase hundreds of times

_DEFINITE = frozenset(["the", "this", "that", "these", "those", "his", "her", "their", "its", "both"])


def overlaps(slices: Sequence[Slice], count: int, token_ids: Ints) -> Floats:
    """How much the arguments of two triggers say the same, wherever they stand: cosines by slot group.

    ``slices``: see `Heads.read`; ``count``: of triggers; ``token_ids``: [tokens]. Returns [groups, count, count].
    """
    which, ids, groups, values = (
        np.concatenate(column) for column in zip(*map(_entries(token_ids), slices), strict=True)
    )
    out = np.zeros((_GROUPS, count, count), np.float32)
    for group in range(_GROUPS):
        here = groups == group
        distinct, column = np.unique(ids[here], return_inverse=True)
        bags = np.zeros((count, len(distinct)), np.float32)
        np.maximum.at(bags, (which[here], column), values[here])
        bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1e-6)
        out[group] = bags @ bags.T
    return out


def _entries(token_ids: Ints) -> Callable[[Slice], tuple[Ints, Ints, Ints, Floats]]:
    def entries(part: Slice) -> tuple[Ints, Ints, Ints, Floats]:
        rows, index, labels = part
        likely = group_probabilities(labels)[..., :_GROUPS]
        row, token, group = np.nonzero(likely > _LIKELY)
        return row + rows.start, token_ids[index[token]], group, likely[row, token, group]

    return entries


def trigger_features(segmented: Segmented, spans: Ints, left: Ints, right: Ints, overlap: Floats) -> Floats:
    """`FEATURES` of each pair of triggers (indices ``left`` before ``right``), [pairs, features].

    ``spans``: [triggers, 2], last inclusive; ``overlap``: by `overlaps`.
    """
    surfaces = [segmented.surface(int(a), int(b)).lower() for a, b in spans]
    same = np.array([surfaces[a] == surfaces[b] for a, b in zip(left, right, strict=True)], dtype=np.float32)
    stem = np.array([surfaces[a][:4] == surfaces[b][:4] for a, b in zip(left, right, strict=True)], dtype=np.float32)
    definite = np.array([_is_definite(segmented, int(a)) for a, _ in spans], dtype=np.float32)[right]
    sentences = segmented.sentences[spans[:, 0]]
    gap = np.log1p(np.abs(sentences[right] - sentences[left])).astype(np.float32) / 3
    return np.stack([same, stem, definite, gap, *overlap[:, left, right]], axis=1).astype(np.float32)


def _is_definite(segmented: Segmented, token: int) -> bool:
    return token > segmented.title_tokens and segmented.surface(token - 1, token - 1).lower() in _DEFINITE


def cluster(count: int, left: Ints, right: Ints, scores: Floats, threshold: float) -> list[list[int]]:
    """Average-link agglomerative clustering of ``count`` items by the probabilities of pairs; unlisted pairs have 0.

    Returns clusters of ascending indices, in the order of their firsts. Items that no likely pair joins, even by way
    of others, are never compared, so that the work follows the sizes of the clusters and not ``count``.
    """
    members: dict[int, list[int]] = {}
    for item, root in enumerate(_components(count, left, right, scores >= threshold).tolist()):
        members.setdefault(root, []).append(item)
    chunks = [items[at : at + _MOST] for items in members.values() for at in range(0, len(items), _MOST)]
    home, place = np.empty((2, count), np.int64)
    for number, chunk in enumerate(chunks):
        home[chunk], place[chunk] = number, np.arange(len(chunk))
    inside = np.flatnonzero(home[left] == home[right])
    inside = inside[np.argsort(home[left[inside]], kind="stable")]
    borders = np.searchsorted(home[left[inside]], np.arange(1, len(chunks)))
    found: list[list[int]] = []
    for chunk, pairs in zip(chunks, np.split(inside, borders), strict=False):  # of no chunk there is one empty part
        similarity = np.zeros((len(chunk), len(chunk)))
        similarity[place[left[pairs]], place[right[pairs]]] = scores[pairs]
        similarity += similarity.T
        np.fill_diagonal(similarity, -1.0)
        found.extend([chunk[k] for k in group] for group in _average_link(similarity, threshold))
    return sorted(found)


def _components(count: int, left: Ints, right: Ints, joined: npt.NDArray[np.bool_]) -> Ints:
    """For each item the first one that joined pairs connect it with."""
    left, right = left[joined], right[joined]
    root = np.arange(count)
    while True:
        least = np.minimum(root[left], root[right])
        nearer = root.copy()
        np.minimum.at(nearer, left, least)
        np.minimum.at(nearer, right, least)
        nearer = nearer[nearer]
        if np.array_equal(nearer, root):
            return root
        root = nearer


def _average_link(similarity: npt.NDArray[np.float64], threshold: float) -> list[list[int]]:
    """Clusters of the rows of a symmetric matrix, with -1 in its diagonal; the matrix is used up."""
    clusters = [[item] for item in range(len(similarity))]
    while len(clusters) > 1:
        i, j = sorted(int(x) for x in np.unravel_index(int(similarity.argmax()), similarity.shape))
        if similarity[i, j] < threshold:
            break
        a, b = len(clusters[i]), len(clusters[j])
        merged = (similarity[i] * a + similarity[j] * b) / (a + b)
        similarity[i, :] = similarity[:, i] = merged
        similarity[i, i] = -1.0
        similarity = np.delete(np.delete(similarity, j, axis=0), j, axis=1)
        clusters[i] = sorted(clusters[i] + clusters.pop(j))
    return clusters
