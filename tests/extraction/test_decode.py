"""Probabilities to triggers and arguments."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from small_model import special, tokenizer

from app.extraction.decode import MAX_ARGUMENTS, Argument, Trigger, find_arguments, find_triggers, split_countries
from app.extraction.labels import ARGUMENT_LABELS, SLOT_GROUPS, TRIGGER_LABELS
from app.extraction.link import Floats, Slice
from app.extraction.segment import Ints, Segmented, segment
from app.extraction.values import EVENT_TYPES, Article, EventType

ALL = frozenset(EVENT_TYPES)
HALF = dict.fromkeys(SLOT_GROUPS, 0.5)


def cut(text: str, title: str | None = None) -> Segmented:
    return segment(Article(text, title), tokenizer(), special())


def probabilities(segmented: Segmented, labels: tuple[str, ...], given: dict[int, dict[str, float]]) -> Floats:
    """[tokens, labels]: what is ``given`` for some tokens, O for the rest."""
    out = np.zeros((len(segmented.ids), len(labels)), np.float32)
    for token, row in given.items():
        for label, share in row.items():
            out[token, labels.index(label)] = share
    out[:, 0] = 1 - out[:, 1:].sum(axis=1)
    return out


def triggers(
    segmented: Segmented, given: dict[int, dict[str, float]], floor: float = 0.5, types: frozenset[EventType] = ALL
) -> list[tuple[str, str, float]]:
    found = find_triggers(probabilities(segmented, TRIGGER_LABELS, given), segmented, floor, types)
    return [(segmented.surface(t.first, t.last), t.type, round(t.score, 4)) for t in found]


def test_a_run_of_one_type_is_one_trigger_with_the_likeliness_of_its_peak() -> None:
    segmented = cut("The state visit went well.")
    given = {1: {"B-visit": 0.6}, 2: {"I-visit": 0.8, "B-visit": 0.1}}
    assert triggers(segmented, given) == [("state visit", "visit", 0.9)]


def test_a_trigger_splits_where_another_begins() -> None:
    segmented = cut("talks talks visit")
    assert triggers(segmented, {0: {"B-meeting": 0.9}, 1: {"B-meeting": 0.9}, 2: {"I-visit": 0.9}}) == [
        ("talks", "meeting", 0.9),
        ("talks", "meeting", 0.9),
        ("visit", "visit", 0.9),
    ]


def test_begin_and_inside_count_together_against_the_floor() -> None:
    segmented = cut("They met.")
    given = {1: {"B-meeting": 0.3, "I-meeting": 0.3, "B-visit": 0.2}}
    assert triggers(segmented, given) == [("met", "meeting", 0.6)]
    assert triggers(segmented, given, floor=0.61) == []


def test_a_wanted_type_does_not_take_what_is_likelier_another() -> None:
    segmented = cut("They met.")
    given = {1: {"B-meeting": 0.5, "B-visit": 0.4}}
    assert triggers(segmented, given, 0.3, frozenset({"visit"})) == []
    assert triggers(segmented, given, 0.3, frozenset({"meeting"})) == [("met", "meeting", 0.5)]
    assert triggers(segmented, given, 0.3, frozenset()) == []


def test_a_trigger_is_whole_words() -> None:
    segmented = cut("The renegotiations went on.")
    inner = [k for k in range(len(segmented.ids)) if 4 < segmented.starts[k] < 18]
    assert len(inner) > 1
    for token in inner:
        assert triggers(segmented, {token: {"B-meeting": 0.9}}) == [("renegotiations", "meeting", 0.9)]


def test_two_triggers_within_one_word_are_one() -> None:
    segmented = cut("The renegotiations of renegotiations went on.")
    word = [k for k in range(len(segmented.ids)) if 4 <= segmented.starts[k] < 18]
    given = {word[0]: {"B-meeting": 0.9}, word[1]: {"B-visit": 0.8}, word[2]: {"B-meeting": 0.7}}
    assert triggers(segmented, given) == [("renegotiations", "meeting", 0.9)]


def test_tokens_that_share_a_character_are_one_word() -> None:
    segmented = cut("한국 회담")
    assert len(segmented.ids) > 4
    for token in range(len(segmented.ids)):
        found = triggers(segmented, {token: {"B-meeting": 0.9}})
        assert [surface for surface, _, _ in found] == ["한국" if segmented.starts[token] < 2 else "회담"]


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_the_title_has_no_triggers(floor: float) -> None:
    segmented = cut("They met.", "Talks in Oslo")
    given = {k: {"B-meeting": 0.9} for k in range(len(segmented.ids))}
    found = find_triggers(probabilities(segmented, TRIGGER_LABELS, given), segmented, floor, ALL)
    assert [segmented.surface(t.first, t.last) for t in found] == ["They", "met", "."]


def test_a_likeliness_is_at_most_one() -> None:
    segmented = cut("They met.")
    table = probabilities(segmented, TRIGGER_LABELS, {1: {"B-meeting": 0.6, "I-meeting": 0.4}})
    table[1, 1] = np.nextafter(np.float32(0.6), np.float32(1)) + np.float32(1e-6)
    [found] = find_triggers(table, segmented, 0.5, ALL)
    assert found.score == 1.0
    assert Argument(0, 0, 0, "participant", {"host": 0.6, "participant": 0.4000001}).score == 1.0


def test_no_tokens_no_triggers() -> None:
    assert triggers(cut(""), {}, floor=0.0) == []


@pytest.mark.parametrize("floors", [(0.1, 0.4), (0.3, 0.8)])
def test_what_a_higher_floor_finds_a_lower_one_finds_too(floors: tuple[float, float]) -> None:
    segmented = cut("Delegates renegotiated the summit talks in Lisbon on Friday and pledged more. " * 6)
    rng = np.random.default_rng(11)
    table = rng.dirichlet(np.full(len(TRIGGER_LABELS), 0.4), len(segmented.ids)).astype(np.float32)
    low, high = (find_triggers(table, segmented, floor, ALL) for floor in floors)
    assert len(low) > len(high) > 3
    covered = {k for t in low for k in range(t.first, t.last + 1)}
    assert all(k in covered for t in high for k in range(t.first, t.last + 1))
    for found in (low, high):
        assert all(a.last < b.first for a, b in pairwise(found))


def arguments(
    segmented: Segmented,
    given: dict[int, dict[str, float]],
    kind: EventType = "meeting",
    index: Ints | None = None,
    thresholds: dict[str, float] = HALF,
) -> list[tuple[str, str, dict[str, float]]]:
    """(surface, group, scores) of the arguments of one trigger that sees the tokens ``index``."""
    table = probabilities(segmented, ARGUMENT_LABELS, given)
    index = np.arange(len(table)) if index is None else index
    part: Slice = slice(0, 1), index, table[index][None]
    found = find_arguments([part], [Trigger(index[-1], index[-1], kind, 0.9)], segmented, thresholds)
    assert all(a.trigger == 0 for a in found)
    return [
        (segmented.surface(a.first, a.last), a.group, {k: round(v, 3) for k, v in a.scores.items() if v > 1e-6})
        for a in found
    ]


def test_the_group_decides_what_is_an_argument_and_its_slots_are_weighed() -> None:
    segmented = cut("Mira Jonas met.")
    given = {
        0: {"B-participant-participant": 0.4, "B-participant-host": 0.2},
        1: {"I-participant-participant": 0.5, "I-participant-host": 0.4},
    }
    assert arguments(segmented, given) == [("Mira Jonas", "participant", {"participant": 0.45, "host": 0.3})]


def test_arguments_split_where_another_begins() -> None:
    segmented = cut("on friday monday in oslo")
    given = {
        1: {"B-date-when": 0.9},
        2: {"B-date-when": 0.9},
        3: {"I-location-location": 0.9},
        4: {"I-location-location": 0.9},
    }
    assert [(s, g) for s, g, _ in arguments(segmented, given)] == [
        ("friday", "date"), ("monday", "date"), ("in oslo", "location"),
    ]  # fmt: skip


def test_each_group_has_its_own_threshold() -> None:
    segmented = cut("in oslo on friday")
    given = {1: {"B-location-location": 0.4}, 3: {"B-date-when": 0.4}}
    assert [s for s, _, _ in arguments(segmented, given, thresholds={**HALF, "date": 0.3})] == ["friday"]
    assert [s for s, _, _ in arguments(segmented, given, thresholds={**HALF, "location": 0.4})] == ["oslo"]


@pytest.mark.parametrize(
    ("kind", "label", "allowed"),
    [
        ("meeting", "participant-host", True),
        ("meeting", "participant-funder", False),
        ("visit", "participant-participant", False),
        ("visit", "participant-visitor", True),
        ("visit", "amount-total", False),
        ("meeting", "purpose-purpose", False),
        ("meeting", "date-target", False),
        ("budget_commitment", "date-target", True),
        ("budget_commitment", "amount-increase", True),
        ("budget_commitment", "participant-requester", True),
        ("budget_commitment", "participant-host", False),
    ],
)
def test_slots_that_the_type_cannot_have_get_no_score(kind: EventType, label: str, allowed: bool) -> None:
    segmented = cut("something happened")
    found = arguments(segmented, {0: {f"B-{label}": 0.9}}, kind)
    assert sum(sum(scores.values()) for _, _, scores in found) == pytest.approx(0.9 if allowed else 0, abs=1e-3)


def test_an_argument_ends_where_tokens_are_left_out() -> None:
    segmented = cut("one two three four five six")
    given = {k: {"I-purpose-purpose": 0.9} for k in range(6)}
    index = np.array([0, 1, 4, 5])
    assert [s for s, _, _ in arguments(segmented, given, "budget_commitment", index)] == ["one two", "five six"]


def test_an_argument_ends_with_the_title() -> None:
    segmented = cut("Lindqvist spoke", "Mira")
    given = {k: {"I-participant-participant": 0.9} for k in range(len(segmented.ids))}
    found = arguments(segmented, given)
    assert [s for s, _, _ in found] == ["Mira", "Lindqvist spoke"]


@pytest.mark.parametrize("title", [None, "Something else"])
def test_an_argument_is_whole_words_even_beyond_what_its_trigger_sees(title: str | None) -> None:
    segmented = cut("Vossbergmann spoke", title)
    own = [k for k in range(segmented.title_tokens, len(segmented.ids)) if segmented.ends[k] <= 12]
    assert len(own) > 2
    found = arguments(
        segmented, {own[1]: {"B-participant-host": 0.9}}, index=np.array([own[1], len(segmented.ids) - 1])
    )
    assert [s for s, _, _ in found] == ["Vossbergmann"]


def test_each_trigger_has_its_own_arguments() -> None:
    segmented = cut("Mira met Jonas and visited Oslo")
    table = probabilities(segmented, ARGUMENT_LABELS, {0: {"B-participant-host": 0.9}})
    other = probabilities(segmented, ARGUMENT_LABELS, {5: {"B-location-location": 0.9}})
    everything = np.arange(len(table))
    slices: list[Slice] = [(slice(0, 1), everything, table[None]), (slice(1, 2), everything, other[None])]
    two = [Trigger(1, 1, "meeting", 0.9), Trigger(4, 4, "visit", 0.9)]
    apart = find_arguments(slices, two, segmented, HALF)
    assert [(a.trigger, segmented.surface(a.first, a.last)) for a in apart] == [(0, "Mira"), (1, "Oslo")]
    together = find_arguments([(slice(0, 2), everything, np.stack([table, other]))], two, segmented, HALF)
    assert together == apart


def test_the_likeliest_are_kept_of_too_many_arguments() -> None:
    segmented = cut("x , " * 300)
    given = {k: {"B-date-when": 0.6 + k / 2000} for k in range(0, 600, 2)}
    table = probabilities(segmented, ARGUMENT_LABELS, given)
    part: Slice = slice(0, 1), np.arange(len(table)), table[None]
    found = find_arguments([part], [Trigger(1, 1, "visit", 0.9)], segmented, HALF)
    assert [a.first for a in found] == list(range(600 - 2 * MAX_ARGUMENTS, 600, 2))


@pytest.mark.parametrize(
    ("text", "named", "wanted"),
    [
        ("Mira of Kovač", "Mira Kovač", ["Mira", "Kovač"]),
        ("Mira Anna Lind met", "Mira Lind", ["Mira Anna Lind"]),
        ("Mira, Lind met", "Mira Lind", ["Mira", "Lind"]),
        ("Mira. Lind met", "Mira Lind", ["Mira", "Lind"]),
    ],
)
def test_a_name_is_joined_over_its_missing_words(text: str, named: str, wanted: list[str]) -> None:
    segmented = cut(text)
    words = [(text.index(word), text.index(word) + len(word)) for word in named.split()]
    given = {
        k: {"I-participant-participant": 0.9}
        for k in range(len(segmented.ids))
        if any(a <= segmented.starts[k] < b for a, b in words)
    }
    assert [s for s, _, _ in arguments(segmented, given)] == wanted


def test_a_span_goes_on_over_tokens_that_are_less_sure() -> None:
    segmented = cut("Delegates met Anna Berg there.")
    given = {2: {"B-participant-participant": 0.3}, 3: {"I-participant-participant": 0.9}}
    assert [s for s, _, _ in arguments(segmented, given)] == ["Anna Berg"]
    assert arguments(segmented, {2: given[2], 3: {"I-participant-participant": 0.4}}) == []


@pytest.mark.parametrize(
    ("group", "text", "wanted"),
    [
        ("participant", "The Party from", "The Party"),
        ("participant", "doctors and, in the", "doctors"),
        ("participant", "Busan", "Busan"),
        ("participant", "and", "and"),
        ("location", "Oslo, in", "Oslo"),
        ("purpose", "roads in", "roads in"),
    ],
)
def test_a_name_has_no_loose_end(group: str, text: str, wanted: str) -> None:
    segmented = cut(f"{text} met")
    label = "participant-participant" if group == "participant" else f"{group}-{group}"
    given = {k: {f"I-{label}": 0.9} for k in range(len(segmented.ids) - 1)}
    assert [s for s, _, _ in arguments(segmented, given, "budget_commitment" if group == "purpose" else "meeting")] == [
        wanted
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Oman, Qatar and the United Arab Emirates", ["Oman", "Qatar", "the United Arab Emirates"]),
        ("Oman, Qatar, and Kuwait", ["Oman", "Qatar", "Kuwait"]),
        ("the leaders of Norway and Finland", ["Norway", "Finland"]),
        ("delegates from Jordan and Syria", None),
        ("heads of state and government", None),
        ("Anna Berg and Norway", None),
        ("the Department of Trade and Finland", None),
        ("Norway", None),
        ("of and", None),
    ],
)
def test_each_country_of_a_list_takes_part(text: str, wanted: list[str] | None) -> None:
    segmented = cut(text)
    countries = {"Oman", "Qatar", "Kuwait", "the United Arab Emirates", "Norway", "Finland", "Jordan", "Syria"}
    whole = Argument(3, 0, len(segmented.ids) - 1, "participant", {"host": 0.7})
    found = split_countries([whole], segmented, countries.__contains__)
    assert [segmented.surface(a.first, a.last) for a in found] == (wanted or [text])
    assert {(a.trigger, a.group, a.score) for a in found} == {(3, "participant", 0.7)}
    place = replace(whole, group="location", scores={"location": 0.7})
    assert split_countries([place], segmented, countries.__contains__) == [place]


@pytest.mark.parametrize(
    ("text", "token", "word"),
    [
        ("the U.S. envoy met", 1, "U.S."),
        ("the U.S. envoy met", 3, "U.S."),
        ("met in the U.N.", 3, "U.N."),
        ("They met in Oslo.", 3, "Oslo"),
        ("in Oslo.Then they met", 1, "Oslo"),
        ("Donald J. Trump met", 1, "J."),
    ],
)
def test_an_abbreviation_is_one_word(text: str, token: int, word: str) -> None:
    assert [s for s, _, _ in arguments(cut(text), {token: {"B-location-location": 0.9}})] == [word]
