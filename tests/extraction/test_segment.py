"""Tokens, their offsets and features, and the windows that cover them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import special, tokenizer, tokenizer_dir

from app.extraction.segment import MAX_TITLE, MAX_WINDOW, OVERLAP, Segmented, Window, load_tokenizer, segment
from app.extraction.values import Article

ODD = [
    "Ångström, naïve café, Dvořák und Straße: ﬁne ½ İzmir.",
    "Cafe\u0301 Ange\u0301la met Jose\u0301.",
    "\u0301abc starts with a mark",
    "talks \U0001f600\U0001f600 and \U0001f469‍\U0001f469‍\U0001f467 and \U0001f1f3\U0001f1f4",
    "a\x00b \x00 c\x01d",
    "co\u200boperate \u00ad soft\u00adhyphen \ufeff \ufffd",
    "one\r\ntwo\r\n\r\nthree\rfour\u2028five",
    "한국 대통령 नमस्ते العربية 東京で会談",
    "$1.2bn (€3m) — “quoted” ‘it’s’ U.S. 24/7 ... ?!",
]


def cut(text: str, title: str | None = None) -> Segmented:
    return segment(Article(text, title), tokenizer(), special())


def check(segmented: Segmented) -> None:
    """What holds for any article."""
    article, border = segmented.article, segmented.title_tokens
    for source, part in ((article.title or "", slice(0, border)), (article.text, slice(border, None))):
        starts, ends = segmented.starts[part], segmented.ends[part]
        assert (starts >= 0).all()
        assert (starts < ends).all()
        assert (ends <= len(source)).all()
        assert (np.diff(starts) >= 0).all()
        assert (np.diff(ends) >= 0).all()
    for k in range(len(segmented.ids)):
        source = (article.title or "") if k < border else article.text
        assert segmented.surface(k, k) == source[segmented.starts[k] : segmented.ends[k]]
    assert (np.diff(segmented.sentences) >= 0).all()
    assert (segmented.sentences[:border] == 0).all()
    assert (segmented.sentences[border:] > 0).all()
    cls, sep = special()
    given: list[int] = []
    for window in segmented.windows:
        assert len(window.ids) == len(window.shapes) == len(window.gaps) == window.tokens <= MAX_WINDOW
        assert (window.ids[0], window.ids[-1]) == (cls, sep)
        if border:
            assert window.ids[1 : 1 + border].tolist() == segmented.ids[:border].tolist()
            assert window.ids[1 + border] == sep
        assert window.title == border
        given += window.ids[window.first : window.stop].tolist()
    assert given == segmented.ids[border:].tolist()
    assert segmented.tokens == sum(w.tokens for w in segmented.windows)


@pytest.mark.parametrize("text", ODD)
def test_offsets_are_those_of_the_sent_text(text: str) -> None:
    check(cut(text, text))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.none() | st.text(max_size=30))
def test_any_text_keeps_its_offsets(text: str, title: str | None) -> None:
    title = title and title.encode("utf-8", "ignore").decode()
    check(cut(text, title))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Cafe\u0301 talks", "Cafe\u0301"),
        ("Jose\u0301, too", "Jose\u0301"),
        ("ends in cafe\u0301", "cafe\u0301"),
        ("o\u0302\u0323 x", "o\u0302\u0323"),
    ],
)
def test_combining_marks_stay_with_their_letters(text: str, wanted: str) -> None:
    segmented = cut(text)
    check(segmented)
    first = next(k for k, s in enumerate(segmented.starts) if s == text.index(wanted))
    last = max(k for k, e in enumerate(segmented.ends) if e <= text.index(wanted) + len(wanted))
    assert segmented.surface(first, last) == wanted


def test_a_mark_inside_a_word_opens_no_gap() -> None:
    window = cut("Ange\u0301la").windows[0]
    assert set(window.gaps[2:-1].tolist()) <= {0}


@pytest.mark.parametrize("text", ["x", ".", "é", "\U0001f600", " ", "\n", "\x00", "\u200b", "\u0301"])
def test_one_character(text: str) -> None:
    segmented = cut(text)
    check(segmented)
    assert len(segmented.windows) == 1
    assert [segmented.surface(k, k) for k in range(len(segmented.ids))] == ([text] if len(segmented.ids) else [])


def test_no_text_at_all_is_one_window_without_tokens() -> None:
    segmented = cut("")
    check(segmented)
    assert segmented.windows[0].tokens == 2
    assert segmented.windows[0].first == segmented.windows[0].stop


@pytest.mark.parametrize("title", [None, "", " \n"])
def test_an_empty_title_is_none(title: str | None) -> None:
    segmented = cut("They met.", title)
    assert segmented.title_tokens == 0
    assert segmented.windows[0].ids.tolist() == cut("They met.").windows[0].ids.tolist()


def test_a_long_title_is_cut() -> None:
    title = "Ministers of many countries met " * 30
    segmented = cut("They met. " * 400, title)
    check(segmented)
    assert segmented.title_tokens == MAX_TITLE
    assert len(segmented.windows) > 2
    assert [w.title for w in segmented.windows[:2]] == [MAX_TITLE, MAX_TITLE]


@pytest.mark.parametrize("text", ["The delegates met in Oslo. " * 7410, "talks " * 33400, "x" * 200_000, "(" * 200_000])
def test_long_texts_are_covered_whole(text: str) -> None:
    segmented = cut(text[:200_000], "A title")
    given = np.concatenate([w.ids[w.first : w.stop] for w in segmented.windows])
    assert given.tolist() == segmented.ids[segmented.title_tokens :].tolist()
    assert max(w.tokens for w in segmented.windows) <= MAX_WINDOW
    assert segmented.ends[-1] == len(text[:200_000].rstrip())


@pytest.mark.parametrize("words", [509, 510, 511, 600, 924, 925, 1500, 5000])
@pytest.mark.parametrize("title", [None, "A visit"])
def test_windows_are_even_and_overlap(words: int, title: str | None) -> None:
    segmented = cut("talks " * words, title)
    check(segmented)
    sizes = [w.tokens for w in segmented.windows]
    assert max(sizes) == min(sizes)
    lead = 1 if title is None else 2 + segmented.title_tokens
    assert {w.lead for w in segmented.windows} == {lead}
    capacity = MAX_WINDOW - lead - 1
    fewest = 1 if words <= capacity else -(-(words - OVERLAP) // (capacity - OVERLAP))
    assert len(sizes) == fewest
    for window in segmented.windows[1:]:  # a token is read with what stands before it
        assert window.first - lead >= OVERLAP // 2 - 1
    for window in segmented.windows[:-1]:
        assert window.tokens - 1 - window.stop >= OVERLAP // 2 - 1


def features(text: str, title: str | None = None) -> list[tuple[str, int, int]]:
    """(surface, shape, gap) of the text's tokens, which must fit one window."""
    segmented = cut(text, title)
    window: Window = segmented.windows[0]
    return [
        (segmented.surface(k, k), int(window.shapes[at]), int(window.gaps[at]))
        for k, at in enumerate(range(window.first, window.stop), segmented.title_tokens)
    ]


def test_shapes() -> None:
    shapes = {surface: shape for surface, shape, _ in features("Mira met NATO on 5 É x , 2nd")}
    assert shapes == {"Mira": 2, "met": 1, "NATO": 3, "on": 1, "5": 4, "É": 2, "x": 1, ",": 0, "2nd": 4}


def test_gaps() -> None:
    assert [(s, g) for s, _, g in features("Oslo, and\ttalks\nRome\r\n\r\nsea\u2028it")] == [
        ("Oslo", 2), (",", 0), ("and", 1), ("talks", 1), ("Rome", 2), ("sea", 2), ("it", 2),
    ]  # fmt: skip


def test_features_of_a_title_do_not_touch_the_text() -> None:
    text = "Mira met Jonas."
    assert features(text, "TALKS in Oslo\n2024") == features(text)


def sentences(text: str) -> list[str]:
    segmented = cut(text)
    out: dict[int, list[str]] = {}
    for k, s in enumerate(segmented.sentences.tolist()):
        out.setdefault(s, []).append(segmented.surface(k, k))
    assert list(out) == list(range(1, len(out) + 1))
    return [" ".join(tokens) for tokens in out.values()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("They met. Then they left! Why? Nobody knows", ["They met .", "Then they left !", "Why ?", "Nobody knows"]),
        ("“They met.” The end", ["“ They met . ”", "The end"]),
        ("They met (in Oslo.) Then", ["They met ( in Oslo . )", "Then"]),
        ("A line\nnext line", ["A line", "next line"]),
        ("It cost 1.5 million", ["It cost 1 . 5 million"]),
        ("by a. small letter", ["by a . small letter"]),
        ("“Quoted” words go on", ["“ Quoted ” words go on"]),
    ],
)
def test_sentences(text: str, wanted: list[str]) -> None:
    assert sentences(text) == wanted


def test_sentences_count_from_one_behind_the_title() -> None:
    segmented = cut("They met. They left.", "A title. Of two sentences")
    assert segmented.sentences[: segmented.title_tokens].tolist() == [0] * segmented.title_tokens
    assert sorted(set(segmented.sentences.tolist())) == [0, 1, 2]


def test_a_missing_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_the_tokenizer_neither_pads_nor_truncates() -> None:
    loaded = load_tokenizer(tokenizer_dir())
    assert len(loaded.encode("talks " * 1000, add_special_tokens=False).ids) == 1000
    assert [len(e.ids) for e in loaded.encode_batch(["talks", "talks talks"], add_special_tokens=False)] == [1, 2]
