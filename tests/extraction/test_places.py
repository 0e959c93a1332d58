"""Places: a table of phrases with their articles, names of countries, and what a whole article speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.places import Gazetteer

_TABLE = Path(__file__).with_name("place_cases.tsv")
_DEMANDED = 0.95
_LOADED = Gazetteer.load()


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return _LOADED


def test_places_are_read_to_their_countries(gazetteer: Gazetteer) -> None:
    cases = [line.split("\t") for line in _TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    failures = []
    for place, article, country in cases:
        found = gazetteer.country_of(place, article, gazetteer.article_countries(article))
        if found != (None if country == "-" else country):
            failures.append(f"{place!r} in {article!r}: {found}, expected {country}")
    assert len(cases) >= 300
    assert len(failures) <= (1 - _DEMANDED) * len(cases), "\n".join(failures)


@pytest.mark.parametrize(
    ("name", "country"),
    [
        ("the Netherlands", "NL"),
        ("Netherlands", "NL"),
        ("Britain", "GB"),
        ("UK", "GB"),
        ("U.S.", "US"),
        ("the US", "US"),
        ("US", "US"),
        ("United States of America", "US"),
        ("Burma", "MM"),
        ("Republic of Kazakhstan", "KZ"),
        ("the Islamic Republic of Iran", "IR"),
        ("Taiwan", "TW"),
        ("Kosovo", "XK"),
        ("Georgia", "GE"),
        ("Russia's", "RU"),
        ("Türkiye", "TR"),
        ("SOUTH KOREA", "KR"),
        ("Côte d’Ivoire", "CI"),
        ("us", None),
        ("Japanese", None),
        ("French", None),
        ("Paris", None),
        ("Mexico City", None),
        ("Japan Airlines", None),
        ("New Mexico", None),
        ("turkey", None),
        ("Europe", None),
        ("", None),
    ],
)
def test_is_country(gazetteer: Gazetteer, name: str, country: str | None) -> None:
    assert gazetteer.is_country(name) == country


def test_is_country_reads_lower_case_of_a_lower_cased_article(gazetteer: Gazetteer) -> None:
    assert gazetteer.is_country("us", cased=False) == "US"
    assert gazetteer.is_country("turkey", cased=False) == "TR"
    assert gazetteer.is_country("turkish", cased=False) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Tokyo", True),
        ("southern Tokyo", True),
        ("Paris, Texas", True),
        ("Idlib province", True),
        ("Europe", True),
        ("the White House", True),
        ("Japan", True),
        ("Japanese", False),
        ("Houthis", False),
        ("officials", False),
        ("Bank of Japan", False),
        ("Angela Tokyo Smith", False),
        ("", False),
    ],
)
def test_is_place(gazetteer: Gazetteer, name: str, place: bool) -> None:
    assert gazetteer.is_place(name) is place


def test_article_weights_sum_to_one_and_lead_with_the_main_country(gazetteer: Gazetteer) -> None:
    weights = gazetteer.article_countries("Kenyan farmers met in Nairobi. Kenya pays, and Norway helps.")
    assert sum(weights.values()) == pytest.approx(1)
    assert next(iter(weights)) == "KE"
    assert weights["NO"] < weights["KE"]


def test_pronoun_us_is_not_the_country(gazetteer: Gazetteer) -> None:
    assert "US" not in gazetteer.article_countries("He told us that they sent us to Kenya.")
    assert "US" not in gazetteer.article_countries("he told us that they sent us to kenya, and that kenya thanked us.")
    assert "US" in gazetteer.article_countries("he said that the us sent aid to kenya, and that kenya gave thanks.")


def test_surnames_and_words_are_not_towns(gazetteer: Gazetteer) -> None:
    weights = gazetteer.article_countries(
        "Mr Clinton and Ms Lincoln met Kerry in March in Nairobi. Of these, Most left."
    )
    assert list(weights) == ["KE"]


def test_nearer_names_decide_for_an_unknown_place(gazetteer: Gazetteer) -> None:
    article = "LIMA, Peru — The mayor opened the covered market.\nOSLO, Norway — The king opened the fish market."
    read = gazetteer.article_countries(article)
    assert gazetteer.country_of("covered market", article, read) == "PE"
    assert gazetteer.country_of("fish market", article, read) == "NO"
    assert max(read.near(len(article)), key=lambda c: read.near(len(article))[c]) == "NO"


def test_plain_weights_serve_as_hints(gazetteer: Gazetteer) -> None:
    assert gazetteer.country_of("Birmingham", "", {"US": 1.0}) == "US"
    assert gazetteer.country_of("Birmingham") == "GB"
    assert gazetteer.country_of("the old mill", "", {"FR": 3.0, "BE": 1.0}) == "FR"
    assert gazetteer.country_of("the old mill") is None


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_is_read_without_error(article: str, name: str) -> None:
    read = _LOADED.article_countries(article)
    found = _LOADED.country_of(name, article, read)
    assert found is None or (len(found) == 2 and found.isupper())
    _LOADED.is_country(name)
    _LOADED.is_place(name)
