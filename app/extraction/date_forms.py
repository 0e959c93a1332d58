"""The plain form of a date phrase: lower case, numbers as digits, no articles, prepositions or clock times."""

from __future__ import annotations

import re

from app.extraction.date_phrases import MONTHS, WEEKDAYS

_CHARACTERS = str.maketrans(
    {**dict.fromkeys("‐‑‒–—−", "-"), **dict.fromkeys("’‘ʼ`", "'"), **dict.fromkeys('()[],;"“”«»', " ")}
)
_ONES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
WORDS: dict[str, str] = {
    **{word: str(number) for number, word in enumerate(_ONES, 1)},
    **{word: f"{number}th" for number, word in enumerate(_ORDINALS, 1)},
    **{f"twenty-{word}": f"{20 + number}th" for number, word in enumerate(_ORDINALS[:9], 1)},
    **{f"twenty {word}": f"{20 + number}th" for number, word in enumerate(_ORDINALS[:9], 1)},
    **{f"twenty-{word}": f"{20 + number}" for number, word in enumerate(_ONES[:9], 1)},
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "hundred": "100",
    "thirtieth": "30th",
    "thirty-first": "31th",
    "thirty first": "31th",
    "couple": "2",
    "dozen": "12",
    **{name[:3]: name for name in MONTHS},
    "sept": "september",
    **{name[:3]: name for name in WEEKDAYS},
    "tues": "tuesday",
    "thur": "thursday",
    "thurs": "thursday",
    "fortnight": "2 week",
    "fortnights": "2 week",
    "coming": "next",
    "upcoming": "next",
    "current": "this",
    "present": "this",
    "yesterday's": "yesterday",
    "thru": "to",
    "through": "to",
    "till": "to",
    "until": "to",
    "semester": "half",
    "fall": "autumn",
    "afterwards": "later",
    "previously": "earlier",
    "twelvemonth": "year",
}  # fmt: skip
_WORD = re.compile(
    r"(?<![\w-])(?:" + "|".join(sorted(WORDS, key=len, reverse=True)) + r")\b\.?(?!-(?:day|week|month|year))"
)
_UNITS = r"(?:day|week|weekend|month|quarter|half|year|decade|hour|minute)"
_CLOCK = re.compile(
    r"(?:\b(?:at|by|around|about"
    r"|from) )?(?<![\d.:/-])(?:\d{1,2}[:.h]\d{2}(?:[:.]\d{2})?(?![\d./-])(?: ?[ap]\.?m\b\.?)?"
    r"|\d{1,2} ?[ap]\.?m\b\.?|\d{3,4} ?(?=gmt|utc|hrs|hours)|\d{1,2} o'clock|\d{1,2}(?= gmt| utc))"
    r"(?: ?(?:gmt|utc|ist|est|edt|et|pt|cet|cest|bst|hrs|hours|local time)\b)?"
)
_HYPHENS = re.compile(r"\b(\d{1,2})-([a-z]{3,9})\.?-(\d{4})\b")
_NIGHT = re.compile(r"\blast (?:night|evening)\b|\bovernight\b")
_NOW = re.compile(r"\b(?:this (?:very )?(?:morning|afternoon|evening|lunchtime|day)|tonight|this noon)\b")
_SAME = re.compile(r"\b(?:that(?: very| same)?|same|very same) (?:day|morning|afternoon|evening|night|lunchtime)\b")
_DAYPART = re.compile(
    r"\b(?:early hours|small hours|(?:mid-?)?(?:morning|afternoon|evening|night)|lunchtime|lunch|midday|noon"
    r"|midnight|dawn|dusk|breakfast)\b"
)
_COUNTED = re.compile(rf"\b({_UNITS})s?'? (?:earlier|before|before that|prior)$")
_COUNTED_ON = re.compile(rf"\b({_UNITS})s?'? (?:later|after|after that|on|further on|thereafter)$")
_ONE = re.compile(rf"\b(?:an?|another)(?= (?:single |full )?{_UNITS}\b| 2 week| 12 )")
_AGO = re.compile(r"\bhalf an? year\b")
_IN = re.compile(rf"\bin (?!(?:about |another )?\d+ (?:more )?{_UNITS}s?\b)|\bin$")
_PARTS = re.compile(r"\b(?:(?:very )?(?:end|close)|year-?end)\b|\bend-(?=\w)")
_STARTS = re.compile(r"\b(?:beginning|start|turn|opening|outset)\b")
_MIDDLES = re.compile(
    r"\b(?:mid|middle|early|late|later|earlier|midway|sometime|some time|nearly|around|about|roughly)\b-?"
)
_DROPPED = re.compile(
    r"\b(?:the|of|on|at|a|and following|during|for|over|within|across|by|since|as|up to|up|from here|from|between"
    r"|to be|before|after|around|"
    r"ending|ended|starting|beginning in|no later than|not later than|latest|fiscal|financial|budget|tax|calendar"
    r"|school|academic|"
    r"full|whole|entire|date|dated|month (?="
    + "|".join(MONTHS)
    + r")|local time|d\.?c\.?|a\.?d\.?|both|just|only|is (?:out|over)|"
    r"course|same (?=" + "|".join(MONTHS) + r"))\b(?!')"
)
_KEPT_TAIL = re.compile(rf"(\d+ {_UNITS}s? (?:before|after|from)) (.+)")
YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")


def plain_form(text: str) -> str:
    """Bring a date phrase to the form that rules are written for: "the 3rd of May, at 3 p.m." is "3th may"."""
    t = " ".join(text.translate(_CHARACTERS).lower().split())
    t = _CLOCK.sub(" ", t)
    t = _HYPHENS.sub(r"\1 \2 \3", t)
    t = re.sub(r"\b(\d{1,2}) ?(?:st|nd|rd|th|º|ª)(?!\w)", r"\1th", t)
    t = re.sub(r"\bfy ?'?(\d\d)\b(?!\d)", r"20\1", t)
    t = re.sub(r"\bfy ?'?", "", t)
    t = _AGO.sub("6 months", t)
    t = _WORD.sub(lambda m: WORDS[m.group().rstrip(".")], t)
    t = t.replace(". ", " ").rstrip(".'")
    t = _ONE.sub("1", t)
    t = re.sub(r"\b1 (2 week|12 )", r"\1", t)
    t = re.sub(r"\b(\d+) of (?=" + _UNITS + ")", r"\1 ", t)
    t = re.sub(r"(\w)'s?(?= |$)", r"\1", t)
    t = _NIGHT.sub("yesterday", t)
    t = _NOW.sub("today", t)
    t = _SAME.sub("thatday", t)
    if t == "that":
        return t
    t = re.sub(r"\b(?:next|following|day) (?:morning|afternoon|evening)\b", "next day", t)
    t = _DAYPART.sub(" ", t)
    t = " ".join(t.split())
    t = re.sub(rf"\b({_UNITS}) before last$", r"\1 beforelast", t)
    t = re.sub(rf"\b({_UNITS}) after next$", r"\1 afternext", t)
    t = re.sub(rf"^(?:the )?({_UNITS}) before$", r"1 \1 back", t)
    t = re.sub(rf"^(?:the )?({_UNITS}) after$", r"1 \1 onward", t)
    t = _COUNTED.sub(r"\1 back", t)
    t = _COUNTED_ON.sub(r"\1 onward", t)
    tail = _KEPT_TAIL.search(t)
    if tail and not re.fullmatch(r"now|today|that", tail.group(2)):
        return f"{tail.group(1)} {_strip(tail.group(2))}"
    return _strip(t)


def _strip(t: str) -> str:
    t = t.replace("half an hour", "")
    t = _PARTS.sub("end ", t)
    t = _STARTS.sub("start ", t)
    t = _MIDDLES.sub(" ", t)
    t = re.sub(r"\b1th half\b", "h1", t)
    t = re.sub(r"\b2th half\b", "h2", t)
    t = re.sub(r"\b([1-4])th quarter\b", r"q\1", t)
    t = _IN.sub(" ", f"{t} ".lstrip())
    t = _DROPPED.sub(" ", t)
    t = re.sub(r"\byear (?=\d{4})", "", t)
    t = re.sub(r"(?<=\d{4}) year$", "", " ".join(t.split()))
    t = " ".join(t.split()).strip(" -.:'")
    return re.sub(r"^(?:to|and|in(?! \d)) ", "", t)
