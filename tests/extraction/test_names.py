"""Names as strings: features, titles, the fullest name, kinds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction import names
from app.extraction.values import KINDS


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("the Mayor of Lindhaven's", ("mayor", "lindhaven")),
        ("U.N. envoy", ("un", "envoy")),
        ("Jean-Luc O’Brannigan", ("jean-luc", "o’brannigan")),
        ("both sides’", ("both", "sides")),
        ("the", ()),
        ("", ()),
        ("AT&T", ("at&t",)),
    ],
)
def test_words(name: str, wanted: tuple[str, ...]) -> None:
    assert names.words(name) == wanted


@pytest.mark.parametrize(
    ("name", "proper"),
    [
        ("Mira Kovač", True),
        ("Kovač", True),
        ("ORLA", True),
        ("President Kovač", True),
        ("the Lindhaven council", False),
        ("the minister", False),
        ("President", False),
        ("Prime Minister", False),
        ("officials", False),
        ("the", False),
        ("", False),
        ("12 Ministers", True),
    ],
)
def test_is_proper(name: str, proper: bool) -> None:
    assert names.is_proper(name) is proper


def feature(left: str, right: str, number: int) -> float:
    return names.pair_features(left, right)[number]


def test_pair_features() -> None:
    assert feature("Mira Kovač", "mira kovač’s", 0) == 1
    assert feature("Kovač", "Mira Kovač", 1) == 1
    assert feature("Mira Kovač", "Mira Lind", 1) == 0
    assert feature("Kovač", "Mira Kovač", 2) == 1
    assert feature("Mira", "Mira Kovač", 3) == 1
    assert feature("ORL", "Organised Rural Labour", 4) == 1
    assert feature("Mira", "Organised Rural Labour", 4) == 0
    assert feature("Kovač", "Lind", 5) == 1
    assert feature("Kovač", "the minister", 6) == 1
    assert feature("Mira Kovač", "Mira Lind", 7) == pytest.approx(1 / 3)
    assert names.pair_features("the", "Kovač") == (0,) * names.FEATURES


NAME = st.text(st.sampled_from("aAbB éÉ.’'-&1 \n\x00\u0301"), max_size=12)


@given(NAME, NAME)
def test_pair_features_are_shares_and_symmetric(left: str, right: str) -> None:
    found = names.pair_features(left, right)
    assert len(found) == names.FEATURES
    assert all(0 <= x <= 1 for x in found)
    assert found == names.pair_features(right, left) or len(names.words(left)) == len(names.words(right))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Defence Minister Gen Orla Brannigan", "Orla Brannigan"),
        ("Gen. Brannigan", "Brannigan"),
        ("President-elect Mira Kovač", "Mira Kovač"),
        ("Prime Minister Kovač", "Kovač"),
        ("Secretary General Joost van der Linde", "Joost van der Linde"),
        ("Mira Kovač", "Mira Kovač"),
        ("King Haldor", "King Haldor"),
        ("Crown Prince Emeric", "Prince Emeric"),
        ("Pope Celestus", "Pope Celestus"),
        ("King Haldor Brann", "Haldor Brann"),
        ("President", "President"),
        ("Justice Ministry", "Justice Ministry"),
        ("Governor Council", "Governor Council"),
        ("Secretary of State", "Secretary of State"),
        ("minister for rural affairs", "minister for rural affairs"),
        ("", ""),
    ],
)
def test_strip_titles(name: str, wanted: str) -> None:
    assert names.strip_titles(name) == wanted


@pytest.mark.parametrize(
    ("mentions", "text", "wanted"),
    [
        (["Kovač", "Mira Kovač", "the minister"], "", "Mira Kovač"),
        (["Prime Minister Kovač", "the premier"], "", "Kovač"),
        (["Kovač"], "On Monday Mira Kovač arrived.", "Mira Kovač"),
        (["Kovač's"], "Then Mira Kovač arrived.", "Mira Kovač"),
        (["Kovač"], "Mira Anna Kovač arrived. Mira Kovač left.", "Mira Kovač"),
        (["Kovač"], "President Mira Kovač arrived.", "Mira Kovač"),
        (["Kovač"], "President Kovač arrived.", "Kovač"),
        (["Kovač"], "On Friday Kovač arrived. The Kovač plan.", "Kovač"),
        (["Kovač"], "Mr. Kovač arrived.", "Kovač"),
        (["Linde"], "Joost van der Linde arrived.", "Joost van der Linde"),
        (["Linde"], "a friend of van der Linde", "Linde"),
        (["Kovač"], "They were in Vienna. Kovač arrived.", "Kovač"),
        (["Kovač"], "With Mira, Kovač arrived.", "Kovač"),
        (["Kovač"], "With Mira\nKovač arrived.", "Kovač"),
        (["Kovač"], "Miss Mira Kovačová arrived.", "Kovač"),
        (["Kovač"], "It was “Mira Kovač” who arrived.", "Mira Kovač"),
        (["Kovač"], "Kovač Kovač Kovač", "Kovač"),
        (["Kovač"], "Big Loud Proud Kovač arrived.", "Kovač"),
        (["ORLA"], "The Northern ORLA met.", "ORLA"),
        (["the minister", "the rural affairs minister"], "", "the rural affairs minister"),
        (["officials", "ministers"], "", "officials"),
        (["the"], "", "the"),
        (["Lind.Ax (x"], "Mira Lind.Ax (x", "Lind.Ax (x"),
    ],
)
def test_fullest(mentions: list[str], text: str, wanted: str) -> None:
    assert names.fullest(mentions, ("", text)) == wanted


def test_the_fullest_name_may_stand_in_the_title() -> None:
    assert names.fullest(["Kovač"], ("Mira Kovač visits Lindhaven", "Kovač came.")) == "Mira Kovač"


def test_given_names_are_not_cut_where_the_search_begins() -> None:
    text = "x" * 500 + "Mira " + "Kovač"
    assert names.fullest(["Kovač"], (text,)) == "Kovač"
    for pad in range(100, 140):
        assert names.fullest(["Kovač"], ("y" * 200 + " " * pad + "Annamira Kovač",)) == "Annamira Kovač"


@pytest.mark.parametrize(
    "text", ["al " * 60_000, "a-" * 100_000, "Mira van " * 22_000, "Kovač " * 33_000, "A." * 100_000]
)
def test_the_search_for_a_full_name_ends_on_any_text(text: str) -> None:
    assert names.fullest(["Kovač"], (text + " Kovač",)).endswith("Kovač")


@pytest.mark.parametrize(
    ("name", "mentions", "country", "wanted"),
    [
        ("Norland", [], True, "country"),
        ("Mira Kovač", ["Kovač", "the minister"], False, "person"),
        ("the minister", [], False, "person"),
        ("Rural Affairs Ministry", [], False, "organization"),
        ("Bank of Lindhaven", [], False, "organization"),
        ("ORLA", [], False, "organization"),
        ("Orla", ["the alliance"], False, "organization"),
        ("12 ministers", [], False, "group"),
        ("12 Kovač", [], False, "group"),
        ("flood victims", [], False, "group"),
        ("neighbours", [], False, "group"),
        ("the hostess", [], False, "person"),
        ("the", [], False, "group"),
    ],
)
def test_kind_of(name: str, mentions: list[str], country: bool, wanted: str) -> None:
    assert names.kind_of(name, mentions, country) == wanted


@given(NAME, st.lists(NAME, max_size=2))
def test_any_string_has_a_name_and_a_kind(name: str, mentions: list[str]) -> None:
    assert names.kind_of(name, mentions, False) in KINDS
    assert isinstance(names.fullest([name, *mentions], (name,)), str)


def test_bounds_say_what_strings_settle() -> None:
    assert names.bounds("Mira Kovač", "mira kovač's") == (1.0, 1.0)
    assert names.bounds("Mira Kovač", "Jonas Lind") == (0.0, 0.1)
    for left, right in [
        ("Mira Kovač", "Kovač"),
        ("Mira Kovač", "the minister"),
        ("ORL", "Organised Rural Labour"),
    ]:
        assert names.bounds(left, right) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("description", "text", "wanted"),
    [
        ("the Japanese minister", "Japanese Defense Minister Gen Nakatani spoke.", "Gen Nakatani"),
        ("Nato’s secretary-general", "NATO Secretary-General Mark Rutte came.", "Mark Rutte"),
        ("The president", "Vice President Ann Lee spoke before President Rosa da Silva did.", "Rosa da Silva"),
        ("the minister", "Minister Ida Holm saw Minister Jon Berg. The minister left. Minister Roy too.", "Jon Berg"),
        ("the minister", "The minister left. Minister Al Roy came.", "Al Roy"),
        ("the minister", "Minister Holm met the ministers of Norway.", None),
        ("the officials", "Officials Ida Holm and Jon Berg met.", None),
        ("the prime minister", "President Rosa Diaz met him.", None),
    ],
)  # fmt: skip
def test_a_title_alone_means_who_was_introduced_by_it(description: str, text: str, wanted: str | None) -> None:
    at = max(text.lower().find(description + " left"), 0)
    assert names.introduced(description, at, text) == wanted
