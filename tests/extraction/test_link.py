"""Features of pairs of triggers and the clustering of their scores."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from small_model import special, tokenizer

from app.extraction import link
from app.extraction.labels import ARGUMENT_LABELS
from app.extraction.link import Slice
from app.extraction.segment import Ints, Segmented, segment
from app.extraction.values import Article

GROUPS = 4  # participant, location, date, amount


def cut(text: str, title: str | None = None) -> Segmented:
    return segment(Article(text, title), tokenizer(), special())


def part(number: int, index: list[int], given: dict[int, tuple[str, float]]) -> Slice:
    """What one trigger says of the tokens that it sees."""
    labels = np.zeros((1, len(index), len(ARGUMENT_LABELS)), np.float32)
    for token, (label, share) in given.items():
        labels[0, index.index(token), ARGUMENT_LABELS.index(label)] = share
    return slice(number, number + 1), np.array(index), labels


def test_overlaps_are_cosines_of_what_is_said_whatever_the_place() -> None:
    ids = np.array([7, 8, 9, 7, 8, 5])
    host, visitor = "B-participant-host", "I-participant-visitor"
    slices = [
        part(0, [0, 1, 2], {0: (host, 0.8), 2: ("B-date-when", 0.5)}),
        part(1, [2, 3, 4, 5], {3: (visitor, 0.6), 4: (host, 0.6), 2: ("I-location-location", 0.9)}),
        part(2, [5], {}),
    ]
    found = link.overlaps(slices, 3, ids)
    assert found.shape == (GROUPS, 3, 3)
    np.testing.assert_allclose(found, found.transpose(0, 2, 1))
    assert found[0, 0, 1] == pytest.approx(2**-0.5)
    assert found[1, 0, 1] == 0  # one says that it is a place, the other that it is a date
    for group, said in enumerate([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]]):
        np.testing.assert_allclose(np.diag(found[group]), said, atol=1e-6)


def test_repeated_tokens_count_once_by_their_likeliest() -> None:
    ids = np.array([7, 7, 8, 7, 8])
    name = "I-participant-participant"
    slices = [
        part(0, [0, 1, 2], {0: (name, 0.2), 1: (name, 0.9), 2: (name, 0.3)}),
        part(1, [3, 4], {3: (name, 0.9), 4: (name, 0.3)}),
    ]
    assert link.overlaps(slices, 2, ids)[0, 0, 1] == pytest.approx(1)


def test_unlikely_tokens_and_purposes_say_nothing() -> None:
    ids = np.array([7, 7])
    slices = [part(k, [k], {k: ("B-location-location", 0.09)}) for k in range(2)]
    assert not link.overlaps(slices, 2, ids).any()
    slices = [part(k, [k], {k: ("B-purpose-purpose", 0.9)}) for k in range(2)]
    assert not link.overlaps(slices, 2, ids).any()


def test_one_slice_of_many_triggers_says_the_same_as_many_slices() -> None:
    rng = np.random.default_rng(5)
    ids = rng.integers(0, 9, 30)
    labels = rng.dirichlet(np.full(len(ARGUMENT_LABELS), 0.1), (4, 30)).astype(np.float32)
    index = np.arange(30)
    together = link.overlaps([(slice(0, 4), index, labels)], 4, ids)
    apart = link.overlaps([(slice(k, k + 1), index, labels[k : k + 1]) for k in range(4)], 4, ids)
    np.testing.assert_allclose(together, apart, rtol=1e-5)


def test_trigger_features() -> None:
    segmented = cut("Ministers met. The Talks ended. More talks. They meet", "The talks")
    words = [segmented.surface(k, k) for k in range(len(segmented.ids))]
    at = {word: words.index(word) for word in ("met", "Talks", "meet")}
    late = words.index("talks", segmented.title_tokens)
    spans = np.array([[k, k] for k in (at["met"], at["Talks"], late, at["meet"])])
    left, right = np.array([0, 1, 0, 2]), np.array([1, 2, 3, 3])
    overlap = np.arange(GROUPS * 16, dtype=np.float32).reshape(GROUPS, 4, 4)
    found = link.trigger_features(segmented, spans, left, right, overlap)
    assert found.shape == (4, link.FEATURES)
    assert found.dtype == np.float32
    assert found[:, 0].tolist() == [0, 1, 0, 0]  # the same word
    assert found[:, 1].tolist() == [0, 1, 0, 0]  # the same beginning
    assert found[:, 2].tolist() == [1, 0, 0, 0]  # the later one is definite
    np.testing.assert_allclose(found[:, 3], np.log1p([1, 1, 3, 1]) / 3, rtol=1e-6)
    for k, (a, b) in enumerate(zip(left, right, strict=True)):
        assert found[k, 4:].tolist() == overlap[:, a, b].tolist()


def test_beginnings_of_words_count() -> None:
    segmented = cut("visited and visits")
    found = link.trigger_features(
        segmented, np.array([[0, 0], [2, 2]]), np.array([0]), np.array([1]), np.zeros((GROUPS, 2, 2), np.float32)
    )
    assert found[0, :2].tolist() == [0, 1]


def test_the_title_s_last_word_makes_nothing_definite() -> None:
    segmented = cut("talks went on", "Why this")
    spans = np.array([[segmented.title_tokens] * 2] * 2)
    found = link.trigger_features(segmented, spans, np.array([0]), np.array([1]), np.zeros((GROUPS, 2, 2), np.float32))
    assert found[0, 2] == 0


def cluster(count: int, scores: dict[tuple[int, int], float], threshold: float = 0.5) -> list[list[int]]:
    left, right = (np.array([pair[i] for pair in scores], np.int64) for i in (0, 1))
    return link.cluster(count, left, right, np.array(list(scores.values()), np.float32), threshold)


def test_unlinked_items_stay_alone_in_order() -> None:
    assert cluster(3, {}) == [[0], [1], [2]]
    assert cluster(0, {}) == []
    assert cluster(3, {(0, 1): 0.49, (1, 2): 0.1}) == [[0], [1], [2]]


def test_clusters_ascend_and_stand_in_the_order_of_their_firsts() -> None:
    assert cluster(5, {(1, 4): 0.9, (0, 3): 0.8}) == [[0, 3], [1, 4], [2]]


def test_the_average_over_all_pairs_decides() -> None:
    chain = {(0, 1): 0.9, (1, 2): 0.8}
    assert cluster(3, {**chain, (0, 2): 0.3}) == [[0, 1, 2]]  # (0.8 + 0.3) / 2
    assert cluster(3, {**chain, (0, 2): 0.1}) == [[0, 1], [2]]
    assert cluster(3, chain) == [[0, 1], [2]]  # what is not listed is 0
    assert cluster(3, chain, 0.4) == [[0, 1, 2]]


def test_averages_weigh_by_size() -> None:
    near = {(0, 1): 0.99, (0, 2): 0.98, (1, 2): 0.98}
    assert cluster(4, {**near, (0, 3): 0.9, (1, 3): 0.45, (2, 3): 0.1}, 0.48) == [[0, 1, 2, 3]]
    assert cluster(4, {**near, (0, 3): 0.9, (1, 3): 0.45, (2, 3): 0.1}, 0.49) == [[0, 1, 2], [3]]


def test_the_likeliest_pair_is_joined_first() -> None:
    assert cluster(3, {(0, 1): 0.7, (1, 2): 0.8, (0, 2): 0.0}) == [[0], [1, 2]]


def test_cluster_equals_a_plain_average_linkage() -> None:
    rng = np.random.default_rng(9)
    for _ in range(20):
        scores = {pair: float(rng.random()) for pair in combinations(range(9), 2)}
        clusters = [[k] for k in range(9)]
        while True:
            best, a, b = max(
                (np.mean([scores[min(x, y), max(x, y)] for x in p for y in q]), p, q)
                for p, q in combinations(clusters, 2)
            ) if len(clusters) > 1 else (-1, [], [])  # fmt: skip
            if best < 0.55:
                break
            clusters = [c for c in clusters if c not in (a, b)] + [sorted(a + b)]
        assert cluster(9, scores, 0.55) == sorted(clusters)


@pytest.mark.parametrize("count", [link._MOST - 1, link._MOST, link._MOST + 1, 5 * link._MOST + 3])
def test_more_items_than_are_compared_all_with_all(count: int) -> None:
    left: Ints = np.concatenate([np.arange(count - step) for step in range(1, 49)])
    right: Ints = np.concatenate([np.arange(step, count) for step in range(1, 49)])
    found = link.cluster(count, left, right, np.full(len(left), 0.9, np.float32), 0.3)
    assert sorted(k for c in found for k in c) == list(range(count))
    assert max(map(len, found)) <= link._MOST
    assert found == sorted(found)
