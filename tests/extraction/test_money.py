"""Amounts: a table of phrases in sentences, what the pattern search finds, and how spans grow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.money import find_amounts, parse_amount, widen

_TABLE = Path(__file__).with_name("money_cases.tsv")
_DEMANDED = 0.97


@dataclass(frozen=True)
class _Case:
    sentence: str
    start: int
    end: int
    value: float | None
    unit: str
    countries: dict[str, float]
    year: int | None


def _cases() -> list[_Case]:
    cases = []
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        marked, value, unit, *more = line.split("\t")
        start, end = marked.index("[["), marked.index("]]") - 2
        weights = dict(pair.split(":") for pair in more[0].split(",") if pair) if more else {}
        cases.append(
            _Case(
                marked.replace("[[", "").replace("]]", ""),
                start,
                end,
                None if value == "-" else float(value),
                unit,
                {country: float(weight) for country, weight in weights.items()},
                int(more[1]) if len(more) > 1 else None,
            )
        )
    return cases


def test_phrases_are_read_to_value_and_unit() -> None:
    cases = _cases()
    failures = []
    for case in cases:
        phrase = case.sentence[case.start : case.end]
        parsed = parse_amount(
            phrase, context=case.sentence, start=case.start, end=case.end, countries=case.countries, year=case.year
        )
        if case.value is None:
            right = parsed is None
        else:
            right = (
                parsed is not None
                and parsed.unit == case.unit
                and abs(parsed.value - case.value) <= 0.01 * abs(case.value)
            )
        if not right:
            failures.append(f"{phrase!r} in {case.sentence!r}: {parsed}, expected {case.value} {case.unit}")
    assert len(cases) >= 200
    assert len(failures) <= (1 - _DEMANDED) * len(cases), "\n".join(failures)


@pytest.mark.parametrize(
    ("sentence", "phrase", "kind"),
    [
        ("They plan to double the fund.", "double", "increase"),
        ("They halved the fund.", "halved", "decrease"),
        ("The fund was cut by a third.", "a third", "decrease"),
        ("The fund was raised by 12%.", "12%", "increase"),
        ("The city will spend 2% of GDP on arms.", "2% of GDP", "target"),
        ("The grant was raised to $5 million.", "$5 million", "target"),
        ("The grant was cut by $5 million.", "$5 million", "decrease"),
        ("The grant goes up by $5 million.", "$5 million", "increase"),
        ("The plan drops the fund, saving £25m.", "£25m", "decrease"),
        ("The ministry pledged $5 million.", "$5 million", None),
    ],
)
def test_kind_hint_follows_the_words_beside(sentence: str, phrase: str, kind: str | None) -> None:
    start = sentence.index(phrase)
    parsed = parse_amount(phrase, context=sentence, start=start, end=start + len(phrase))
    assert parsed is not None
    assert parsed.kind_hint == kind


def test_range_keeps_its_lower_end() -> None:
    parsed = parse_amount("$5-7 million")
    assert parsed is not None
    assert (parsed.low, parsed.value, parsed.unit) == (5e6, 7e6, "USD")


def test_default_dollar_is_the_callers() -> None:
    parsed = parse_amount("$5 million", default_dollar="AUD")
    assert parsed is not None
    assert parsed.unit == "AUD"


def test_number_without_any_sign_of_money_has_no_currency() -> None:
    assert parse_amount("45 million") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It gave $2.3 billion and €40m.", ["$2.3 billion", "€40m"]),
        ("Spending of 2.4% of GDP, up 3 per cent.", ["2.4% of GDP", "3 per cent"]),
        ("They cut it by a third and doubled that.", ["a third", "doubled"]),
        ("Half a million pounds for the pool.", ["Half a million pounds"]),
        ("In 2019 some 300 people met 12 ministers on 3 May in room 5.", []),
        ("The third quarter and a half day on the G20's 5th call.", []),
        ("She won 3 gold medals in 10 real races.", []),
        ("A double agent paid twice.", []),
        ("They want between $5 and $7 million now.", ["$5 and $7 million"]),
        ("ALL 500 of them and the TOP 100 met.", []),
    ],
)
def test_find_amounts(text: str, found: list[str]) -> None:
    assert [text[a:b] for a, b in find_amounts(text)] == found


def test_find_amounts_keeps_to_the_stretch_asked_for() -> None:
    text = "First $5 million, then €6 million."
    assert find_amounts(text, 18) == [(23, 33)]
    assert find_amounts(text, 0, 18) == [(6, 16)]


@pytest.mark.parametrize(
    ("text", "span", "whole"),
    [
        ("It gave $500 million to it.", "500", "$500 million"),
        ("It gave $500 million to it.", "500 million", "$500 million"),
        ("It gave $500 million to it.", "million", "$500 million"),
        ("It gave 40 million euros to it.", "40 million", "40 million euros"),
        ("It gave 40 million Swiss francs to it.", "40", "40 million Swiss francs"),
        ("It takes 2% of its budget for it.", "2%", "2% of its budget"),
        ("It takes 2.5 per cent of GDP for it.", "2.5", "2.5 per cent of GDP"),
        ("It gave Rs 1,200 crore to it.", "200 crore", "Rs 1,200 crore"),
        ("They found half a million pounds for it.", "million pounds", "half a million pounds"),
        ("It gave about $70 million a year to it.", "about $70 million a year", "about $70 million a year"),
        ("The pledge of $5 million was kept.", "pledge", "pledge"),
        ("It takes 2% of its budget for it.", "budget", "budget"),
        ("They will double the fund.", "double", "double"),
        ("They cut it by a third again.", "a third", "a third"),
        ("The 12 ministers met.", "ministers", "ministers"),
    ],
)
def test_widen(text: str, span: str, whole: str) -> None:
    start = text.index(span)
    left, right = widen(text, start, start + len(span))
    assert text[left:right] == whole


@given(st.text(alphabet="0123456789 .,$€£%-–½'abkmnotrdlhufie\n", max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_any_text_is_read_without_error_and_spans_only_grow(text: str, a: int, b: int) -> None:
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    left, right = widen(text, start, end)
    assert 0 <= left <= start <= end <= right <= len(text)
    parse_amount(text[start:end], context=text, start=start, end=end)
    spans = find_amounts(text)
    assert all(0 <= s < e <= len(text) for s, e in spans)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
