"""The day of publication: from the caller, the address and the text, and never from running prose."""

from __future__ import annotations

from datetime import date

import pytest

from app.extraction.publication import find_publication
from app.extraction.values import Article

DAY = date(2025, 4, 8)


def test_the_caller_goes_before_the_address_and_the_address_before_the_text() -> None:
    text = "Published: 6 April 2025\nThe mayor met the dean."
    url = "https://news.example/2025/04/07/mayor"
    assert find_publication(Article(text, None, DAY, url)) == (DAY, "request")
    assert find_publication(Article(text, None, None, url)) == (date(2025, 4, 7), "source_url")
    assert find_publication(Article(text)) == (date(2025, 4, 6), "text")
    assert find_publication(Article("The mayor met the dean.")) == (None, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example/2025/04/08/mayor-meets-dean",
        "https://news.example/2025/4/8/mayor",
        "https://news.example/world/2025-04-08-mayor-meets-dean.html",
        "https://news.example/20250408/mayor",
        "https://news.example/mayor-20250408.html",
        "https://news.example/2025/apr/08/mayor",
        "https://news.example/2025/April/8/mayor",
        "https://news.example/2025/0408/c90000.html",
        "https://news.example/mayor-8-april-2025",
        "https://news.example/mayor-april-8-2025/",
        "https://news.example/archive?date=2025-04-08",
        "news.example/2025/04/08/mayor",
        "https://news.example/2025_04_08/mayor",
    ],
)
def test_date_in_the_address(url: str) -> None:
    assert find_publication(Article("The mayor met the dean.", source_url=url)) == (DAY, "source_url")


@pytest.mark.parametrize(
    ("url", "day"),
    [
        ("https://news.example/mayor-25-12-2024", date(2024, 12, 25)),
        ("https://news.example/mayor-12-25-2024", date(2024, 12, 25)),
        ("https://news.example/mayor-08-04-2025", None),  # April or August
        ("https://news.example/2025/04/mayor", None),
        ("https://news.example/ps/2016/07/260245.htm", None),
        ("https://news.example/Article/20251508/mayor", None),
        ("https://news.example/2025/02/30/mayor", None),
        ("https://news.example/1812/04/08/mayor", None),
        ("https://news.example/a/1202504081", None),
        ("https://[news.example/2025/04/08", None),
        ("mayor", None),
    ],
)
def test_address_that_may_be_read_in_two_ways_or_none(url: str, day: date | None) -> None:
    assert find_publication(Article("The mayor met the dean.", source_url=url))[0] == day


@pytest.mark.parametrize(
    "text",
    [
        "The mayor met the dean.\nSource: https://news.example/2025/04/08/mayor",
        "The mayor met the dean.\nSource: https://news.example/2025/04/08/mayor.",
        "The mayor met the dean.\nVia: Harbour News, https://news.example/2025-04-08/mayor",
        "The mayor met the dean.\nFonte: https://news.example/2025/04/08/mayor",
        "The mayor met the dean.\n\nhttps://news.example/2025/04/08/mayor\n",
        "By A. Writer | Harbour News\nSource: https://news.example/2025/04/08/mayor\nThe mayor met the dean.",
        "LONDON, April 8, 2025 (Harbour Wire) — The mayor met the dean.",
        "LONDON, 8 April 2025 - The mayor met the dean.",
        "Graz, Austria, the 8 April 2025. – The mayor met the dean.",
        "LONDON (Harbour Wire) — April 8, 2025 — The mayor met the dean.",
        "PORT AMITY, Texas, Apr. 8, 2025 /HarbourWire/ -- The mayor met the dean.",
        "Published: 8 April 2025\nThe mayor met the dean.",
        "Published on Tuesday, April 8, 2025 at 3 p.m.\nThe mayor met the dean.",
        "By A. Writer – Published the 08/04/2025 at 18h12 – Modified at 19h03\nAsk for 25/03/2025.",
        "By: Bureau | Updated: 8 Apr 2025 07:12 AM\nThe mayor met the dean.",
        "Updated 9 April 2025. Published 8 April 2025.\nThe mayor met the dean.",
        "Mayor meets dean\nApril 8, 2025\nThe mayor met the dean.",
        "Tuesday, April 8, 2025\n\nThe mayor met the dean.",
        "Harbour News › Politics\n08.04.2025, 06:15 | A. Writer\nThe mayor met the dean.",
        "Business desk | 8 April 2025, 09:40 | 2 min read\nThe mayor met the dean.",
        "MINISTRY OF PORTS\nPRESS RELEASE\nFreetown, 8 April 2025\nThe minister met the dean.",
        "2025-04-08 10:30\nThe mayor met the dean.",
        "The mayor met the dean. " * 60 + "\nPublished 8 April 2025",
    ],
)
def test_date_told_by_the_text(text: str) -> None:
    assert find_publication(Article(text)) == (DAY, "text")


@pytest.mark.parametrize(
    "text",
    [
        "On April 8, 2025 the mayor met the dean.",
        "The mayor met the dean on 8 April 2025.",
        "April 8, 2025 was a good day for the mayor.",
        "Monday 7 April 2025: the mayor met the dean.\nTuesday 8 April: he met the bishop.",
        "LONDON, April 8 - The mayor met the dean.",
        "1. TBILISI, 14 November. The mayor met the dean.",
        "The mayor shakes hands with the dean in Graz, Austria, April 8, 2025.",
        "The mayor met the dean.\nVienna, Austria, April 8, 2025.",
        "The dean, born in Graz on 3 May 1961, met the mayor.\nNext: 8 April 2025",
        "A report published on 8 April 2025 angered the mayor.",
        "The mayor, see https://news.example/2025/04/08/mayor, met the dean.",
        "08/04/2025\nThe mayor met the dean.",
        "",
        "31 April 2025\nThe mayor met the dean.",
    ],
)
def test_a_date_in_prose_is_not_the_date_of_publication(text: str) -> None:
    assert find_publication(Article(text)) == (None, None)
