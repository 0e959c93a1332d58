"""What date phrases mean, from a table; what else the article says of them; where they stand in a text."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.date_phrases import MONTHS, WEEKDAYS, find_dates, widen
from app.extraction.dates import resolve
from app.extraction.values import STATUSES, DateRole, EventType, Status

TABLE = Path(__file__).with_name("date_cases.tsv")
VALUE = re.compile(r"\d{4}(-\d\d){0,2}(/\d{4}(-\d\d){0,2})?")


def _cases() -> list[dict[str, str]]:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))


def _resolve_marked(
    marked: str,
    anchor: date | None,
    status: str,
    role: DateRole = "when",
    event_type: EventType | None = None,
) -> str | None:
    """Resolve the phrase that stands between [[ and ]]."""
    start = marked.index("[[")
    phrase = marked[start + 2 : marked.index("]]")]
    context = marked.replace("[[", "").replace("]]", "")
    return resolve(
        phrase, anchor, cast(Status, status), context=context, offset=start, role=role, event_type=event_type
    )


def test_table_of_phrases() -> None:
    cases = _cases()
    wrong = []
    for case in cases:
        anchor = None if case["anchor"] == "-" else date.fromisoformat(case["anchor"])
        marked = case["context"] or f"[[{case['phrase']}]]"
        answer = _resolve_marked(marked, anchor, case["status"]) or "-"
        if answer != case["value"]:
            wrong.append(f"{marked} ({case['anchor']}, {case['status']}): {answer}, not {case['value']}")
    assert len(cases) >= 300
    assert len(wrong) <= 0.03 * len(cases), "\n".join(wrong)


@pytest.mark.parametrize(
    ("marked", "role", "event_type", "value"),
    [
        ("The board set aside two million for roofs, to be laid by [[August]].", "target", None, "2025-08"),
        ("The board set aside two million for roofs in [[August]].", "when", "budget_commitment", "2024-08"),
        ("Fees are paid from [[April to June]].", "target", "budget_commitment", "2025-04/2025-06"),
    ],
)
def test_target_of_money_lies_ahead(marked: str, role: DateRole, event_type: EventType, value: str) -> None:
    assert _resolve_marked(marked, date(2025, 4, 8), "occurred", role, event_type) == value


@pytest.mark.parametrize(
    ("marked", "event_type", "status", "value"),
    [
        ("On [[Friday]], the bank announced plans to invest.", "budget_commitment", "planned", "2025-04-04"),
        ("The bank will decide on [[Friday]].", "budget_commitment", "planned", "2025-04-11"),
        ("The union suggested a round table in [[March]].", "meeting", "proposed", "2026-03"),
        ("The union had asked for a million in [[March]].", "budget_commitment", "proposed", "2025-03"),
        (
            "The senate threw the bill out, as was expected, on [[Monday]].",
            "budget_commitment",
            "cancelled",
            "2025-04-07",
        ),
    ],
)
def test_money_is_dated_by_its_decision(marked: str, event_type: EventType, status: str, value: str) -> None:
    assert _resolve_marked(marked, date(2025, 4, 8), status, event_type=event_type) == value


def test_without_an_anchor_only_a_year_gives_a_value() -> None:
    relative = [
        "Tuesday",
        "last week",
        "two days ago",
        "tomorrow",
        "in May",
        "the third",
        "next summer",
        "3 May",
        "Easter",
    ]
    assert [_resolve_marked(f"[[{phrase}]]", None, "occurred") for phrase in relative] == [None] * len(relative)


def test_weekday_of_the_past_is_within_the_week_up_to_the_article() -> None:
    for offset in range(14):
        anchor = date.fromordinal(date(2024, 2, 22).toordinal() + offset)
        for number, name in enumerate(WEEKDAYS):
            past = date.fromisoformat(_resolve_marked(f"[[{name}]]", anchor, "occurred") or "")
            ahead = date.fromisoformat(_resolve_marked(f"[[{name}]]", anchor, "planned") or "")
            assert past.weekday() == ahead.weekday() == number
            assert 0 <= (anchor - past).days < 7
            assert 0 <= (ahead - anchor).days < 7


@given(st.dates(date(1990, 1, 1), date(2099, 12, 31)), st.sampled_from(STATUSES))
def test_every_spelling_of_a_full_date_gives_that_day(day: date, status: Status) -> None:
    month = MONTHS[day.month - 1].capitalize()
    weekday = WEEKDAYS[day.weekday()].capitalize()
    for phrase in (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{weekday}, {month} {day.day}, {day.year}",
        f"{weekday} {day.day} {month[:3]}{'' if month == 'May' else '.'} {day.year}",
        f"the {day.day}th of {month} {day.year}",
        day.isoformat(),
        f"{day.day:02d}.{day.month:02d}.{day.year}",
    ):
        text = f"It was on {phrase}, they say."
        assert resolve(phrase, None, status, context=text, offset=10) == day.isoformat(), phrase
        assert [span.text for span in find_dates(text, 0, len(text))] in ([phrase], [phrase.removeprefix("the ")])


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from("the of in 3 31 40 2024 24 May June next last Monday week year - / to and 5th end".split())
    ).map(" ".join),
    st.none() | st.dates(),
    st.sampled_from(STATUSES),
)
def test_any_text_gives_a_value_or_none(text: str, anchor: date | None, status: Status) -> None:
    value = resolve(text, anchor, status, context=text, offset=0)
    if value is not None:
        assert VALUE.fullmatch(value)
        for part in value.split("/"):
            date.fromisoformat((part + "-01-01")[:10])
    for span in find_dates(text, 0, len(text)):
        assert text[span.start : span.end] == span.text
    start, end = widen(text, 0, len(text))
    assert (start, end) == (0, len(text))


def test_find_dates_in_a_paragraph() -> None:
    text = (
        "After talks on Monday night the envoys, who had last met in March 2019, agreed to return from 3 to 5 May. "
        "Two weeks ago the lender set aside $2,019 for 2026-27; by the end of 2030 it may give more, up to 2000 people "
        "heard yesterday. In May they march again, from Tuesday to Friday, or between 2027 and 2029."
    )
    assert [span.text for span in find_dates(text, 0, len(text))] == [
        "Monday night",
        "March 2019",
        "from 3 to 5 May",
        "Two weeks ago",
        "2026-27",
        "the end of 2030",
        "yesterday",
        "May",
        "from Tuesday to Friday",
        "between 2027 and 2029",
    ]


def test_find_dates_keeps_to_its_window() -> None:
    text = "They met on Monday and on 3 May 2019 and in 2021."
    start, end = text.index("on 3"), text.index(" and in")
    assert [(s.start, s.end) for s in find_dates(text, start, end)] == [(start + 3, end)]


@pytest.mark.parametrize(
    "text",
    [
        "They may march in protest to the second floor.",
        "He sat in the sun and the mayor wed in the fall of the house.",
        "Up to 2000 people paid $2019 for seat 1999,50.",
        "The second meeting of the week-long forum won third place.",
    ],
)
def test_find_dates_leaves_other_words(text: str) -> None:
    assert find_dates(text, 0, len(text)) == []


@pytest.mark.parametrize(
    ("text", "proposed", "whole"),
    [
        ("They met on May 3, 2019, in Graz.", "May 3", "May 3, 2019"),
        ("They met on May 3, 2019, in Graz.", "2019", "May 3, 2019"),
        ("It runs from Monday to Wednesday in Graz.", "Monday", "from Monday to Wednesday"),
        ("It runs from Monday to Wednesday in Graz.", "to Wednesday", "from Monday to Wednesday"),
        ("The 2016-17 fiscal year was bad.", "2016", "2016-17 fiscal year"),
        ("They met last week in Graz.", "week", "last week"),
        ("It was two weeks ago in Graz.", "two weeks", "two weeks ago"),
        ("They met on Monday in Graz.", "in Graz", "in Graz"),
        ("They met on Monday in Graz.", "on Monday in", "on Monday in"),
        ("They met on Monday. May it last.", "Monday", "Monday"),
        ("The late summer of 2012 was wet.", "2012", "late summer of 2012"),
    ],
)
def test_widen(text: str, proposed: str, whole: str) -> None:
    start = text.index(proposed)
    first, last = widen(text, start, start + len(proposed))
    assert text[first:last].removeprefix("The ") == whole


@pytest.mark.parametrize("phrase", ["1-" * 50, "may to june and " * 6, "end of " * 14, "3 days before " * 7, "x" * 101])
def test_a_heap_of_date_words_is_no_date(phrase: str) -> None:
    assert resolve(phrase, date(2025, 4, 8), "occurred", context=phrase, offset=0) is None


def test_a_year_that_no_calendar_has_is_no_value() -> None:
    assert resolve("next May", date(9999, 12, 31), "planned", context="They meet next May.", offset=10) is None
