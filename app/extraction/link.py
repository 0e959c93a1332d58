"""Which triggers name one event: features of a pair of triggers, and the clustering of pairwise scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.extraction.segment import Ints, Segmented

Floats = npt.NDArray[np.float32]

_DEFINITE = frozenset(["the", "this", "that", "these", "those", "his", "her", "their", "its", "both"])


def argument_bags(groups: Floats, token_ids: Ints) -> Floats:
    """What each trigger's arguments say, position aside.

    ``groups``: probability of each slot group by trigger and token, [triggers, tokens, groups]; ``token_ids``: [tokens].
    Returns the highest probability by distinct token id, unit length, [triggers, groups, ids].
    """
    distinct, inverse = np.unique(token_ids, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    borders = np.searchsorted(inverse[order], np.arange(len(distinct)))
    bags = np.maximum.reduceat(groups[:, order], borders, axis=1).transpose(0, 2, 1)
    bags = np.where(bags > 0.1, bags, 0.0)
    norms = np.linalg.norm(bags, axis=-1, keepdims=True)
    unit: Floats = (bags / np.maximum(norms, 1e-6)).astype(np.float32)
    return unit


def trigger_features(segmented: Segmented, spans: Ints, left: Ints, right: Ints, groups: Floats) -> Floats:
    """`LINK_FEATURES` of each pair of triggers (indices ``left`` before ``right``), [pairs, features].

    ``spans``: [triggers, 2], last inclusive; ``groups``: see `argument_bags`, over all tokens of the document.
    """
    surfaces = [segmented.surface(int(a), int(b)).lower() for a, b in spans]
    same = np.array([surfaces[a] == surfaces[b] for a, b in zip(left, right, strict=True)], dtype=np.float32)
    stem = np.array([surfaces[a][:4] == surfaces[b][:4] for a, b in zip(left, right, strict=True)], dtype=np.float32)
    definite = np.array([_is_definite(segmented, int(a)) for a, _ in spans], dtype=np.float32)[right]
    sentences = segmented.sentences[spans[:, 0]]
    gap = np.log1p(np.abs(sentences[right] - sentences[left])).astype(np.float32) / 3
    bags = argument_bags(groups, segmented.ids)[:, :4]
    overlap = np.einsum("pgi,pgi->pg", bags[left], bags[right])
    return np.concatenate([np.stack([same, stem, definite, gap], axis=1), overlap], axis=1).astype(np.float32)


def _is_definite(segmented: Segmented, token: int) -> bool:
    return token > segmented.title_tokens and segmented.surface(token - 1, token - 1).lower() in _DEFINITE


def cluster(count: int, left: Ints, right: Ints, scores: Floats, threshold: float) -> list[list[int]]:
    """Average-link agglomerative clustering of ``count`` items by pairwise probabilities.

    Pairs that are not listed never merge directly. Returns clusters of ascending indices, in the order of their firsts.
    """
    clusters: dict[int, list[int]] = {i: [i] for i in range(count)}
    similarity = np.full((count, count), -1.0)
    similarity[left, right] = similarity[right, left] = scores
    sizes = np.ones(count)
    while len(clusters) > 1:
        alive = sorted(clusters)
        view = similarity[np.ix_(alive, alive)]
        a, b = np.unravel_index(int(view.argmax()), view.shape)
        if view[a, b] < threshold:
            break
        i, j = sorted((alive[a], alive[b]))
        clusters[i] = sorted(clusters[i] + clusters.pop(j))
        merged = (similarity[i] * sizes[i] + similarity[j] * sizes[j]) / (sizes[i] + sizes[j])
        sizes[i] += sizes[j]
        similarity[i, :] = similarity[:, i] = merged
        similarity[i, i] = -1.0
    return [clusters[i] for i in sorted(clusters)]
