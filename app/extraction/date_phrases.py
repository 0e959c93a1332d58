"""Where date phrases stand in a text, found by pattern.

This is the safety net beside the neural model: it repairs the boundaries of a proposed span and finds the
dates that stand before a relative phrase. What a phrase means is the business of ``dates``.
"""

from __future__ import annotations

import re

from app.extraction.values import Span

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)

# Names of months that are also words or given names: alone they count only with a capital and after a cue.
_MONTH_WORDS = {"march", "may"}

_DASH = "-‐‑‒–—"
_YEAR = r"(?:1[5-9]|20)\d\d"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:\s?(?:st|nd|rd|th)\b|[ºª])?"
_WEEKDAY = "(?:" + "|".join(f"{name.capitalize()}|{name}|{name.upper()}" for name in WEEKDAYS) + ")"
_WEEKDAY_SHORT = r"(?:(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)"
_ANY_WEEKDAY = f"(?:{_WEEKDAY}|{_WEEKDAY_SHORT})"


# A small "may" is a month only where nothing else can be meant.
_MONTH = (
    r"(?:"
    + "|".join(f"{name.capitalize()}|{name}|{name.upper()}" for name in MONTHS if name != "may")
    + r"|May|MAY|(?<=of )may|may(?=,? (?:of )?(?:19|20)\d\d)"
    r"|(?:[Jj]an|JAN|[Ff]eb|FEB|[Mm]ar|MAR|[Aa]pr|APR|[Jj]un|JUN|[Jj]ul|JUL|[Aa]ug|AUG|[Ss]ept?|SEPT?|[Oo]ct|OCT"
    r"|[Nn]ov|NOV|[Dd]ec|DEC)\b\.?)"
)
_PLAIN_MONTH = (
    "(?:"
    + "|".join(name.capitalize() for name in MONTHS if name not in _MONTH_WORDS)
    + r"|(?:Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.)"
)
_NUMBER = (
    r"(?:\d{1,3}|(?i:an?\s+couple\s+of|a\s+few|a\s+dozen|an?|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve"
    r"|fifteen|twenty|thirty|forty|fifty|several))"
)
_UNIT = r"(?:day|week|fortnight|weekend|month|quarter|semester|year|decade)"
_SEASON = r"(?:spring|summer|autumn|fall|winter)"
_ORDINAL = r"(?:first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|final)"
_DAYPART = r"(?:morning|afternoon|evening|night|lunchtime|midday|noon|dawn|dusk)"
_RELATIVE = r"(?:last|next|this|past|previous|current|coming|the\s+following|the\s+same|that\s+same|that|same)"
_OF_YEAR = (
    rf"(?:,?\s+(?:of\s+)?(?:the\s+year\s+)?{_YEAR}\b"
    r"|\s+(?:of\s+)?(?:last|this|next|that|the\s+same|the\s+following|the\s+previous)\s+year\b)"
)
_PART = (
    r"(?:(?:the\s+)?(?:end|close|beginning|start|middle|eve|turn|first\s+half|second\s+half|first\s+days|last\s+days"
    rf"|{_ORDINAL}\s+(?:week|day|weekend))\s+of\s+(?:the\s+)?|[Ee]nd\s+|(?:[Ee]arly|[Ll]ate|[Mm]id)(?:[{_DASH}]"
    rf"|\s+)(?:in\s+)?|[Ee]arlier\s+|[Ll]ater\s+)"
)
_HOLIDAY = (
    r"(?:New\s+Year(?:['’]s)?(?:\s+(?:Day|Eve))?|Christmas(?:\s+(?:Day|Eve))?|Boxing\s+Day|Good\s+Friday"
    r"|Ash\s+Wednesday"
    r"|Palm\s+Sunday|Maundy\s+Thursday|Holy\s+(?:Week|Saturday)|(?:Orthodox\s+)?Easter(?:\s+(?:Sunday|Monday|Day))?"
    r"|Whit\s+Monday|Pentecost|Ascension\s+Day|(?:US\s+|U\.S\.\s+|American\s+)?Independence\s+Day"
    r"|(?:the\s+)?Fourth\s+of\s+July"
    r"|July\s+Fourth|Labou?r\s+Day|May\s+Day|Thanksgiving(?:\s+Day)?|Memorial\s+Day|Veterans\s+Day|Armistice\s+Day"
    r"|Presidents['’]?\s+Day|Columbus\s+Day|Martin\s+Luther\s+King\s+Day|Bastille\s+Day|Europe\s+Day|Halloween"
    r"|Valentine['’]s\s+Day|St\.?\s+Patrick['’]s\s+Day|Anzac\s+Day|ANZAC\s+Day|All\s+Saints['’]?(?:\s+Day)?|Epiphany"
    r"|Ramadan|Eid\s+(?:al|ul)[-‐‑–\s]+(?:Fitr|Adha)|Ashura|Muharram)"
)
_FISCAL = r"(?:(?:fiscal|financial|budget|tax)\s+years?|fiscal|FY)"
_SHORT_RANGE = rf"{_YEAR}(?:[/{_DASH}]|\s?[{_DASH}]\s?)(?:{_YEAR}|\d\d)(?![\d/]|[-.]\d)"

# The alternatives stand from the longest form to the shortest: the first that fits is taken.
_CORE = "|".join(
    (
        # numbers alone
        r"(?:19|20)\d\d[-/.](?:1[0-2]|0?[1-9])[-/.](?:3[01]|[12]\d|0?[1-9])(?!\d)",
        r"(?:3[01]|[12]\d|0?[1-9])(?P<sep>[-/.])(?:3[01]|[12]\d|0?[1-9])(?P=sep)(?:19|20)\d\d(?!\d)",
        # Tuesday, 5 to Friday, 7 May 2019 keeps its parts; 3-5 May and 4 and 5 May are one
        rf"(?:(?:[Tt]oday,?\s+)?{_ANY_WEEKDAY},?\s+)?(?:the\s+)?{_DAY}(?:\s*(?:[{_DASH}]|to|and|till|until"
        rf"|through)\s*(?:the\s+)?{_DAY})?"
        rf"(?:\s+of)?\s+{_MONTH}(?![a-z]){_OF_YEAR}?",
        rf"{_ANY_WEEKDAY},?\s+{_DAY}(?=\s*(?:[{_DASH}]|to|and|till|until"
        rf"|through)\s*{_ANY_WEEKDAY},?\s+{_DAY}\s+{_MONTH})",
        rf"(?:(?:[Tt]oday,?\s+)?{_ANY_WEEKDAY},?\s+)?{_MONTH}\s+(?:the\s+)?{_DAY}(?!\d|[.,:]\d|\s?(?:million"
        rf"|billion|per|%))"
        rf"(?:\s*(?:[{_DASH}]|to|and|through)\s*{_DAY}(?!\d|[.:]\d))?(?:,?\s+{_YEAR}\b|\s+(?:of\s+)?(?:last|this"
        rf"|next|that)\s+year\b)?",
        rf"[Tt]oday,?\s+(?:\(?{_WEEKDAY}\)?)",
        # months
        rf"{_PART}?(?:{_RELATIVE}\s+)?{_MONTH}(?![a-z]){_OF_YEAR}",
        rf"{_PART}(?:{_RELATIVE}\s+)?{_MONTH}(?![a-z])",
        rf"(?:{_RELATIVE})\s+{_MONTH}(?![a-z])",
        rf"(?:(?<=\b[Ii]n )|(?<=\b[Bb]y )|(?<=\bof )|(?<=\btill )|(?<=\buntil )|(?<=\bUntil )|(?<=\bsince )"
        rf"|(?<=\bSince )|(?<=\bfrom )|(?<=\bto ))"
        rf"(?:March|May|{_PLAIN_MONTH}|january|february|march|april|june|july|august|september|october|november"
        rf"|december)(?!\s?(?:[{_DASH}]?[A-Z]))\b(?:\s+(?:past|last)\b)?",
        rf"{_PLAIN_MONTH}(?!\s[A-Z][a-z])\b(?:\s+(?:past|last)\b)?",
        # weekdays
        rf"(?:(?:this|last|next|the|past|coming)\s+)?{_WEEKDAY},?\s+(?:the\s+)?(?:\(\s*{_DAY}\s*\)"
        rf"|{_DAY}(?=\s*(?:[,;:)–—]|\.(?!\d)|$)))",
        rf"(?:(?:[Tt]his|[Ll]ast|[Nn]ext|past|coming|[Tt]he\s+following|that)\s+)?{_WEEKDAY}(?:\s+{_DAYPART}"
        rf"|\s+(?:last|past)\b(?!\s(?:week|month|year)))?(?:\s+(?:of\s+)?(?:last|next|this)\s+week)?(?!\w)",
        rf"{_WEEKDAY_SHORT}(?<=\.)",
        # relative words
        r"\b[Tt]he\s+day\s+(?:before\s+yesterday|after\s+tomorrow)|\b(?:[Yy]esterday|[Tt]oday|[Tt]omorrow|TODAY"
        r"|YESTERDAY|TOMORROW)"
        rf"(?:\s+{_DAYPART})?|\b[Tt]onight|\b[Oo]vernight|\b(?:[Tt]his|[Ll]ast|[Tt]hat|[Tt]he\s+same)\s+{_DAYPART}\b",
        # counted time
        rf"\b{_NUMBER}\s+{_UNIT}s?\s+(?:ago|earlier|later|before\s+that|after\s+that|afterwards|on(?=[,.;:])"
        rf"|from\s+now|hence|from\s+(?:today|{_YEAR}))",
        r"\b[Hh]alf\s+a\s+year\s+ago",
        rf"(?<!time )\b[Ii]n\s+(?:{_NUMBER})\s+{_UNIT}s?(?:['’])?(?:\s+time)?\b",
        rf"\b(?:(?:[Tt]he\s+)?(?:last|past|next|coming|previous|following)\s+(?:{_NUMBER})\s+{_UNIT}s?)\b",
        # fiscal years, quarters, halves, seasons
        rf"(?:\bthe\s+)?{_SHORT_RANGE}(?:\s+and\s+{_SHORT_RANGE})?(?:\s+(?:fiscal|financial|budget)\s+years?)?",
        rf"(?:\bthe\s+)?{_YEAR}\s+(?:fiscal|financial|budget)\s+year\b",
        rf"\b{_FISCAL}\s?(?:{_SHORT_RANGE}|{_YEAR}\b|\d\d\b)",
        rf"(?:\bthe\s+)?(?:{_RELATIVE}\s+)(?:fiscal|financial|budget|calendar|school|academic)\s+year\b",
        rf"(?:\bthe\s+)?(?:(?:first|second|third|fourth|last|next|this|previous|coming|final)\s+(?:quarter|half"
        rf"|semester)|[QH][1-4])\b(?:{_OF_YEAR})?",
        rf"(?:(?:[Ll]ast|[Nn]ext|[Tt]his|[Tt]he|coming|past|that|[Ee]arly|[Ll]ate"
        rf"|[Ii]n)\s+){{1,3}}{_SEASON}\b(?!\s+(?:back|short|apart|behind|of\s+(?:the|an?|[A-Z])\b))(?:{_OF_YEAR})?"
        rf"|\b{_SEASON}\s+(?:of\s+)?{_YEAR}\b",
        # last week, the end of the year, the year after
        rf"\b{_PART}(?:{_RELATIVE}\s+)?(?:{_UNIT}|century)\b",
        rf"(?:\b[Tt]he\s+)?\b(?:[Ll]ast|[Nn]ext|[Tt]his|past|previous|current|coming|following|[Tt]hat\s+same"
        rf"|[Tt]hat|same)\s+(?:few\s+)?(?:{_UNIT})(?!s|-)\b",
        r"\b[Tt]he\s+(?:day|week|month|year)\s+(?:before(?:\s+last)?|after(?:\s+next)?)(?=[\s,.;:]*(?:$|[,.;:)]"
        r"|\b(?:was|were|is|the|a|he|she|it|they|with)\b))",
        rf"\b[Tt]he\s+weekend\b|\b(?:{_PART})\s?weekend\b",
        # holidays, decades, years, days of the month
        rf"{_HOLIDAY}(?:{_OF_YEAR})?",
        rf"{_PART}?(?:the\s+)?(?:1[5-9]|20)\d0s\b",
        rf"{_PART}(?:the\s+)?{_YEAR}(?![\d.,]\d)\b",
        rf"(?<![\d.,/$€£¥:+{_DASH}])(?:19|20)\d\d(?![\d%:]|[.,/{_DASH}]\d|\s?(?:people|million|billion|tons?"
        rf"|tonnes|km|kilometers|kilometres|dollars|euros|troops|soldiers|men|women|MHz)\b)\b",
        rf"(?:(?<=\b[Oo]n )|(?<=\bfrom )|(?<=\b[Bb]y )|(?<=\buntil )|(?<=\btill ))the\s+{_DAY}(?<=[a-zºª])"
        rf"(?:\s+(?:[{_DASH}]|to|and|until|till|through)\s+the\s+{_DAY})?(?!\s+(?:anniversary|day|floor"
        rf"|[a-z]+(?:ing|ment|tion)\b)|\w)",
    )
)
# A cheap look at the first letters keeps the alternatives away from most words.
_STARTS = (
    r"(?=\d|Q[1-4]|H[12]|FY|(?i:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|the\s"
    r"|this\s|that\s|tod|tom|ton|yes"
    r"|last|next|past|prev|curr|comi|foll|same|earl|late|mid|end|begin|start|over|in\s|for\s|with|half|an?\s|one"
    r"|two|three|four|five|six|seven|eight"
    r"|nine|ten|eleven|twel|fift|twen|thir|fort|several|first|second|fina|spring|summer|autumn|fall|winter|fiscal"
    r"|financ|budget|tax|new|christ|box|good"
    r"|ash|palm|holy|ortho|easter|whit|pent|asc|us\s|u\.s|amer|indep|labo|thank|mem|vet|arm|pres|col|bast|euro|hal"
    r"|val|st\b|anz|all\s|epi|ram|eid|muh))"
)
_PHRASE = re.compile(rf"(?<![\w$€£¥]){_STARTS}(?:{_CORE})(?![\w])")

_JOIN = re.compile(rf"\s*(?:[{_DASH}]|\bto\b|\bthrough\b|\bthru\b|\buntil\b|\btill\b|\band\b|&|\bto the\b)\s*")
_LEAD = re.compile(r"(?:\b(?:[Ff]rom|[Bb]etween|[Tt]he)\s+)+$")
_DAY_LIKE = re.compile(rf"(?i:{'|'.join(WEEKDAYS)}|today|tomorrow|yesterday|{'|'.join(MONTHS)})")
_MARGIN = 80  # code points read on either side of a span to be widened


def find_dates(text: str, start: int, end: int) -> list[Span]:
    """Find the date phrases in ``text[start:end]``, in order, ranges as one; offsets are into ``text``."""
    found: list[tuple[int, int]] = []
    for match in _PHRASE.finditer(text, start, end):
        first, last = match.span()
        if found and _joins(text, found[-1], (first, last), start):
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    spans = []
    for first, last in found:
        lead = _LEAD.search(text, max(start, first - 14), first)
        if lead and _JOIN.search(text, first, last) and "the" not in lead.group().lower():
            first = lead.start()
        spans.append(Span(text[first:last], first, last))
    return spans


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Extend ``start, end`` to the whole date phrase they are part of; unchanged where they touch none."""
    for span in find_dates(text, max(0, start - _MARGIN), min(len(text), end + _MARGIN)):
        if span.start < end and start < span.end:
            start, end = min(start, span.start), max(end, span.end)
    return start, end


def _joins(text: str, left: tuple[int, int], right: tuple[int, int], start: int) -> bool:
    """Whether two phrases are the ends of one range or list: "from Monday to Wednesday", "today and tomorrow"."""
    gap = text[left[1] : right[0]]
    if len(gap) > 12 or not _JOIN.fullmatch(gap):
        return False
    lead = text[max(start, left[0] - 9) : left[0]].lower().split()
    if lead and lead[-1] in ("from", "between"):
        return True
    words = gap.strip()
    alike = bool(_DAY_LIKE.search(text, *left)) == bool(_DAY_LIKE.search(text, *right))
    return alike and words != "until" and words != "till"
