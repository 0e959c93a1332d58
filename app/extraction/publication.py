"""When an article was published: told by the caller, else read from its address or from its text."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import unquote, urlsplit

from app.extraction.date_phrases import MONTHS, WEEKDAYS
from app.extraction.dates import resolve
from app.extraction.values import Article, PublishedFrom

_MONTH_NUMBER = {
    **{name: n for n, name in enumerate(MONTHS, 1)},
    **{name[:3]: n for n, name in enumerate(MONTHS, 1)},
    "sept": 9,
}
_MONTH = "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True))
_FIRST_YEAR, _LAST_YEAR = 1990, 2099  # of articles with an address

_IN_PATH = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[-/_.])(?P<m>0?[1-9]|1[0-2])(?P=s)(?P<d>3[01]|[12]\d|0?[1-9])(?!\d)"
    r"|(?<!\d)(?P<y2>(?:19|20)\d\d)(?P<m2>0[1-9]|1[0-2])(?P<d2>0[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?<!\d)(?P<y3>(?:19|20)\d\d)/(?P<m3>0[1-9]|1[0-2])-?(?P<d3>0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|(?<!\d)(?P<y4>(?:19|20)\d\d)[-/_](?P<n4>{_MONTH})[-/_](?P<d4>3[01]|[12]\d|0?[1-9])(?!\d)"
    rf"|(?<!\d)(?P<d5>3[01]|[12]\d|0?[1-9])[-/_](?P<n5>{_MONTH})[-/_](?P<y5>(?:19|20)\d\d)(?!\d)"
    rf"|(?<![a-z])(?P<n6>{_MONTH})[-/_](?P<d6>3[01]|[12]\d|0?[1-9])[-/_](?P<y6>(?:19|20)\d\d)(?!\d)"
)
_DAY_FIRST_PATH = re.compile(r"(?<!\d)(\d\d?)([-/_.])(\d\d?)\2((?:19|20)\d\d)(?!\d)")

_URL = r"(?:https?://|www\.)[^\s<>\"'“”«»]+"
_SOURCE_LINE = re.compile(
    rf"^[^\w\n]{{0,20}}(?:(?:originally )?(?:published|posted)(?: (?:at|on|by|in))?|source|original(?: (?:article|text"
    rf"|source))?|via|from|link|url"
    rf"|read (?:more|the original)(?: (?:at|on))?|fonte|fuente|quelle|bron"
    rf"|źródło)\s*:?\s*(?:[^\n:]{{0,40}}[:,–—-]\s*)?[(<]?({_URL})",
    re.IGNORECASE | re.MULTILINE,
)
_BARE_URL = re.compile(rf"[\s(<]{{0,9}}({_URL})")

_NAMES = (
    "|".join(name.capitalize() for name in MONTHS)
    + "|"
    + "|".join(MONTHS)
    + "|"
    + "|".join(name.upper() for name in MONTHS)
)
_NAMES += r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?"
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_WEEKDAY = (
    "(?:(?:"
    + "|".join(f"{name.capitalize()}|{name}|{name.upper()}" for name in WEEKDAYS)
    + r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b\.?),?\s+)?"
)
_FULL_DATE = (
    rf"(?:{_WEEKDAY}(?:the\s+)?{_DAY}(?:\s+(?:of\s+)?|-)(?:{_NAMES}),?(?:\s+(?:of\s+)?|-){_YEAR}\b"
    rf"|{_WEEKDAY}(?:{_NAMES})\s+{_DAY},?\s+{_YEAR}\b"
    rf"|{_YEAR}[-/.]\d\d?[-/.]\d\d?(?!\d)|\d\d?(?P<sep>[-/.])\d\d?(?P=sep){_YEAR}\b)"
)
_HEAD = 1200  # code points in which a dateline or byline may stand
_HEAD_LINES = 10
_LABELLED = re.compile(
    r"(?:^|[|–—·•(]\s*|\.\s+)(?P<label>(?:first |originally )?(?:published|posted|issued|released|publication date"
    r"|release date|date)"
    r"|(?:last )?(?:updated|modified|edited))(?:\s+(?:on|in|at|the"
    r"|online))*\s*:?\s*(?:\d\d?[:.h]\d\d\s*(?:[ap]\.?m\.?)?,?\s*)?"
    rf"(?P<date>(?-i:{_FULL_DATE}))",
    re.IGNORECASE | re.MULTILINE,
)
# "LONDON, March 3, 2024 (XX) —", "Ouagadougou, the 27 November 2009. –"
_DATELINE = re.compile(
    rf"^(?:[A-ZÀ-Þ][^\n,:;]{{1,40}},\s+){{1,3}}(?:(?:the|on)\s+)?(?P<date>{_FULL_DATE})"
    r"(?:\.?\s*(?:[(/\[][^)/\]\n]{1,40}[)/\]]\.?\s*)?[-–—:|]|\s*$)"
)
_AGENCY_DATELINE = re.compile(rf"^[A-ZÀ-Þ][^\n:;]{{1,60}}[(–—-]\s*(?P<date>{_FULL_DATE})\s*[)–—:-]")
_LINE_DATE = re.compile(_FULL_DATE)
_TIME = r"(?:(?:at\s+)?\d\d?[:.h]\d\d(?:[:.]\d\d)?\s*(?:[ap]\.?m\b\.?)?\s*(?:\(?[A-Z]{2,5}\)?)?)"
_AFTER_DATE = re.compile(rf"[\s,;.|–—·•/-]*{_TIME}?\s*(?:$|[|–—·•(/-]\s*.{{0,60}}$)")
_SMALL_WORDS = {
    "de",
    "of",
    "the",
    "and",
    "on",
    "at",
    "by",
    "in",
    "la",
    "le",
    "el",
    "al",
    "desk",
    "for",
    "staff",
    "reporter",
    "da",
    "do",
    "von",
    "van",
    "di",
    "edition",
}


def find_publication(article: Article) -> tuple[date | None, PublishedFrom | None]:
    """The day the article was published and where it was found; (None, None) where nothing tells it.

    The order is the caller's word, the article's address, then its text: a source line, a dateline, a byline.
    """
    if article.published_at:
        return article.published_at, "request"
    if article.source_url:
        day = _date_of_url(article.source_url)
        if day:
            return day, "source_url"
    day = _date_of_text(article.text)
    return (day, "text") if day else (None, None)


def _date_of_url(url: str) -> date | None:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    # Without a scheme the host is part of the path; it holds no such date.
    path = unquote(f"{parts.path}?{parts.query}").lower()
    for match in _IN_PATH.finditer(path):
        found = {name.rstrip("23456"): value for name, value in match.groupdict().items() if value}
        month = int(found["m"]) if "m" in found else _MONTH_NUMBER[found["n"]]
        day = _valid(int(found["y"]), month, int(found["d"]))
        if day:
            return day
    for match in _DAY_FIRST_PATH.finditer(path):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if first > 12 or first == second:
            day = _valid(year, second, first)
        elif second > 12:
            day = _valid(year, first, second)
        else:
            continue  # 08-04-2025 may be April or August
        if day:
            return day
    return None


def _valid(year: int, month: int, day: int) -> date | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _date_of_text(text: str) -> date | None:
    last_line = text.rstrip().rpartition("\n")[2].rstrip(")>")
    bare = _BARE_URL.fullmatch(last_line)
    for match in [*_SOURCE_LINE.finditer(text), *([bare] if bare else [])]:
        day = _date_of_url(match[1].rstrip(".,;)>"))
        if day:
            return day
    return _date_of_label(text) or _date_of_head(text)


def _date_of_label(text: str) -> date | None:
    """A date that says of itself what it is; the first publication goes before an update."""
    updated = None
    ends = [(0, min(len(text), _HEAD))] + ([(max(_HEAD, len(text) - 400), len(text))] if len(text) > _HEAD else [])
    for start, end in ends:
        for match in _LABELLED.finditer(text, start, end):
            day = _exact(text, match.start("date"), match.end("date"))
            if day and re.search(r"(?i)updated|modified|edited", match["label"]):
                updated = updated or day
            elif day:
                return day
    return updated


def _date_of_head(text: str) -> date | None:
    """A dateline, or a date on a line of its own, in the first lines."""
    position = lines = 0
    for line in text[:_HEAD].split("\n"):
        if line.strip():
            lines += 1
            match = _DATELINE.match(line) or _AGENCY_DATELINE.match(line)
            if not match and len(line) <= 120:
                match = _own_line(line)
            if match:
                group = "date" if "date" in match.groupdict() else 0
                return _exact(text, position + match.start(group), position + match.end(group))
            if lines >= _HEAD_LINES:
                return None
        position += len(line) + 1
    return None


def _own_line(line: str) -> re.Match[str] | None:
    """The date of a line that is nothing but a date, a place, a name or a time: no verb, no sentence."""
    match = _LINE_DATE.search(line)
    if not match or _LINE_DATE.search(line, match.end()) or not _AFTER_DATE.fullmatch(line, match.end()):
        return None
    words = re.findall(r"[^\W\d_]+", re.sub(_TIME, " ", line[: match.start()]))
    if re.search(r"(?i)(?<!by):\s", line[: match.start()]):
        return None  # it says what the date is of, and not that it is the article's
    if len(words) > 8 or any(word[0].islower() and word not in _SMALL_WORDS for word in words):
        return None
    # "Vienna, Austria, May 17, 2016." closes a caption.
    return None if words and line.rstrip().endswith(".") else match


def _exact(text: str, start: int, end: int) -> date | None:
    value = resolve(text[start:end], None, "occurred", context=text, offset=start)
    return date.fromisoformat(value) if value and len(value) == 10 else None
