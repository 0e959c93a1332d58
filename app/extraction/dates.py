"""What a date phrase means, given the article's date, the state of the event and the words around the phrase.

A phrase is first brought to a plain form (lower case, numbers as digits, no articles, prepositions or clock times),
then read by the first rule that fits the whole of it. Values are periods between two points of equal or different
precision: a year, a month or a day. Weeks run from Monday to Sunday.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import MAXYEAR, MINYEAR, date, timedelta
from typing import NamedTuple

from app.extraction.date_forms import WORDS, YEAR, plain_form
from app.extraction.date_phrases import MONTHS, WEEKDAYS, find_dates
from app.extraction.holidays import HOLIDAYS, holiday_days
from app.extraction.tense import before_and_after, called_off, surely_ahead, tense
from app.extraction.values import DateRole, EventType, Status

_LONGEST = 100  # code points of a phrase

Point = tuple[int, ...]  # (year,), (year, month) or (year, month, day)


class Period(NamedTuple):
    """From the first point to the last, both included."""

    first: Point
    last: Point


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a phrase is read against; ``start, end`` is the phrase in ``context``."""

    anchor: date | None
    status: Status
    role: DateRole
    event_type: EventType | None
    context: str
    start: int
    end: int
    depth: int = 0
    in_range: bool = False  # an end of a range is no range itself
    forward: bool = False  # the right end of a range: the first day, month or year from the anchor on


def resolve(
    text: str,
    anchor: date | None,
    status: Status,
    *,
    context: str,
    offset: int,
    role: DateRole = "when",
    event_type: EventType | None = None,
) -> str | None:
    """Normalise a date phrase to ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD`` or ``start/end`` in those.

    ``text`` is the phrase, which stands at code point ``offset`` of ``context``, the article; ``anchor`` is the day
    the article was published. None where the phrase is no date or nothing fixes it.
    """
    if len(text) > _LONGEST:
        return None
    scene = _Scene(anchor, status, role, event_type, context, offset, offset + len(text))
    try:
        period = _read(text, scene)
    except (ValueError, OverflowError):  # a day that no month has, a year that no calendar has
        return None
    if period is None or period.first > period.last + (99, 99)[: len(period.first) - len(period.last)]:
        return None
    if not all(MINYEAR <= point[0] <= MAXYEAR for point in period):
        return None
    first, last = map(_write, period)
    return first if first == last else f"{first}/{last}"


def _write(point: Point) -> str:
    return "-".join((f"{point[0]:04d}", *(f"{part:02d}" for part in point[1:])))


def _read(text: str, scene: _Scene) -> Period | None:
    numeric = [_numeric(match, scene) for match in _NUMERIC.finditer(text)]
    if numeric:
        return Period(numeric[0].first, numeric[-1].last) if numeric[0] and numeric[-1] else None
    plain = plain_form(text)
    if not YEAR.search(plain):
        plain = _with_year_beside(plain, scene)
    period = _phrase(plain, scene)
    if period is None and scene.depth == 0:
        inner = [span for span in find_dates(text, 0, len(text)) if span.text != text]
        if len(inner) == 1:
            begin = scene.start + inner[0].start
            return _read(
                inner[0].text, replace(scene, start=begin, end=begin + len(inner[0].text), depth=scene.depth + 1)
            )
        years = set(YEAR.findall(text))
        if len(years) == 1 and re.search(r"(?i)\bbudget|\bsession|\bplan\b|\bprogramme", text):
            return _same((int(years.pop()),))
    return period


# --- time arithmetic ------------------------------------------------------------------------------------------------


def _same(point: Point) -> Period:
    return Period(point, point)


def _day(day: date) -> Period:
    return _same((day.year, day.month, day.day))


def _days(first: date, last: date) -> Period:
    return Period(_day(first).first, _day(last).last)


def _week(day: date, weeks: int = 0) -> Period:
    monday = day - timedelta(days=day.weekday() - 7 * weeks)
    return _days(monday, monday + timedelta(days=6))


def _month(year: int, month: int) -> tuple[int, int]:
    """The month that many months from January of the year: 13 is the next January, 0 the last December."""
    return (year + (month - 1) // 12, (month - 1) % 12 + 1)


def _begin(point: Point) -> date:
    year, month, day = (*point, 1, 1)[:3]
    return date(year, month, day)


def _finish(point: Point) -> date:
    year, month = (*point, 12)[:2]
    return date(year, month, point[2] if len(point) == 3 else calendar.monthrange(year, month)[1])


def _shift(day: date, number: int, unit: str) -> Period:
    """As exact as the unit: a day for days and weeks, a month for months, a year for years."""
    if unit in ("hour", "minute"):
        return _day(day)
    if unit == "weekend":
        return _weekend(day + timedelta(weeks=number))
    if unit in ("day", "week"):
        return _day(day + timedelta(days=number * (7 if unit == "week" else 1)))
    if unit in ("month", "quarter", "half"):
        return _same(_month(day.year, day.month + number * {"month": 1, "quarter": 3, "half": 6}[unit]))
    return _same((day.year + number * (10 if unit == "decade" else 1),))


def _weekend(day: date) -> Period:
    """The weekend of the day's week."""
    saturday = day + timedelta(days=5 - day.weekday())
    return _days(saturday, saturday + timedelta(days=1))


# --- before or after the article? -----------------------------------------------------------------------------------


def _direction(scene: _Scene, *, near: bool = False) -> int:
    """-1 to look back from the anchor, 1 to look ahead, 0 for the nearest (only where ``near`` is asked for)."""
    if scene.forward or scene.role == "target":
        return 1
    left, right = before_and_after(scene.context, scene.start, scene.end)
    money = scene.event_type == "budget_commitment"
    if scene.status == "occurred":
        return 1 if surely_ahead(left) else -1
    if scene.status == "planned":
        return -1 if money and tense(left, right) < 0 else 1
    if scene.status == "proposed":  # money is proposed at the time told; a meeting is proposed for it
        return -1 if (money or scene.event_type is None) and tense(left, right) < 0 else 1
    if scene.status == "ongoing":
        return 1 if _UP_TO.search(left) or _FROM_UP_TO.match(scene.context, scene.start) else -1
    if money:
        return -1
    if near:
        return 0
    return 1 if called_off(left, right) else -1


_UP_TO = re.compile(r"\b(?:until|till|through|to|by)\s*$", re.IGNORECASE)
_FROM_UP_TO = re.compile(r"(?:until|till|through|up to|by)\b", re.IGNORECASE)


def _choose(candidates: list[date], anchor: date, direction: int) -> date:
    """The candidate nearest to the anchor on the side of ``direction``; the anchor itself is on both sides."""
    side = [day for day in candidates if (day - anchor).days * direction >= 0] or candidates
    return min(side, key=lambda day: abs((day - anchor).days))


# --- other dates of the article -------------------------------------------------------------------------------------


def _reference(scene: _Scene) -> Period | None:
    """The date told last before the phrase: what "a year later" and "that day" count from."""
    if scene.depth > 2:
        return None
    left = max(0, scene.start - 320)
    for span in reversed(find_dates(scene.context, left, scene.start)):
        before = replace(
            scene, status="occurred", role="when", start=span.start, end=span.end, depth=scene.depth + 1, forward=False
        )
        try:
            period = _read(span.text, before)
        except (ValueError, OverflowError):
            continue
        if period:
            return period
    return None


def _reference_day(scene: _Scene) -> date | None:
    period = _reference(scene)
    return _begin(period.first) if period else scene.anchor


_BESIDE = re.compile(
    r"\s*,?\s*(?:of\s+)?(?:the\s+year\s+)?((?:1[5-9]|20)\d\d)\b(?![-–/]\d)"
    r"|\s*(?:[-–—]|to|and|until|through)\s*(?:the\s+)?(?:[A-Z][a-z]+\.?\s+)?\d{1,2}(?:st|nd|rd"
    r"|th)?(?:\s+[A-Z][a-z]+\.?)?,?\s+((?:1[5-9]|20)\d\d)\b"
    r"|\s+(?:of\s+)?((?:last|next|this)\s+year)\b"
    r"|\s+of\s+(that|the\s+same|the\s+previous|the\s+following)\s+year\b",
    re.IGNORECASE,
)
_TAKES_YEAR = re.compile(
    r"(?:\b(?:"
    + "|".join(MONTHS)
    + r")\b|\bq[1-4]|\bh[12]|spring|summer|autumn|winter|\bend$|\bstart$)(?: \d+(?:th)?)?$"
)
_WITH_YEAR = re.compile(
    r"\b(?:([12]\d|3[01]|[1-9])(?:st|nd|rd|th)? (?:of )?)?("
    + "|".join(MONTHS)
    + r")\b(?: \d\d?(?:st|nd|rd|th)?)?,? (?:of )?((?:19|20)\d\d)\b",
    re.IGNORECASE,
)


def _with_year_beside(plain: str, scene: _Scene) -> str:
    """Add the year that stands right behind a phrase that lacks it ("May 3" of "May 3, 2019")."""
    if "year" in plain or "last" in plain or "next" in plain or not _TAKES_YEAR.search(plain):
        return plain
    beside = _BESIDE.match(scene.context, scene.end, min(len(scene.context), scene.end + 40))
    if not beside:
        return plain
    year, far_year, relative, same = beside.groups()
    if year or far_year:
        return f"{plain} {year or far_year}"
    if relative:
        return f"{plain} {' '.join(relative.lower().split())}"
    reference = _reference(scene)
    if not reference:
        return plain
    step = {"previous": -1, "following": 1}.get(same.lower().split()[-1], 0)
    return f"{plain} {reference.first[0] + step}"


def _month_anchor(scene: _Scene) -> date | None:
    """The article's date, else the last date before the phrase that carries its year beside a month."""
    if scene.anchor:
        return scene.anchor
    all_found = list(_WITH_YEAR.finditer(scene.context, max(0, scene.start - 1500), scene.start))
    if not all_found:
        return None
    found = all_found[-1]
    month = WORDS.get(found[2].lower(), found[2].lower())
    return date(int(found[3]), MONTHS.index(month) + 1, int(found[1] or 1))


# --- dates in numbers -----------------------------------------------------------------------------------------------

_NUMERIC = re.compile(
    r"(?<![\d/.-])(?:(?P<y>(?:19|20)\d\d)(?P<a>[-/.])(?P<m>\d{1,2})(?P=a)(?P<d>\d{1,2})(?!\d)"
    r"|(?P<p>\d{1,2})(?P<b>[-/.])(?P<q>\d{1,2})(?P=b)(?P<r>(?:19|20)\d\d|\d\d)(?![\d/-])"
    r"|(?P<c>(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?!\d))"
)
_HABIT_REACH = 5000  # code points read on either side for the order of day and month
_DAY_FIRST = re.compile(
    r"(?<![\d/.-])(?:1[3-9]|2\d|3[01])[-/](?:0?[1-9]|1[0-2])[-/](?:19|20)?\d\d(?!\d)"
    r"|\b\d{1,2}(?:st|nd|rd|th)? (?:" + "|".join(name.capitalize() for name in MONTHS) + r")\b"
    r"|\b(?:defence|labour|programme|organis|centre|colour|per cent|metres|favour|realis)"
)
_MONTH_FIRST = re.compile(
    r"(?<![\d/.-])(?:0?[1-9]|1[0-2])[-/](?:1[3-9]|2\d|3[01])[-/](?:19|20)?\d\d(?!\d)"
    r"|\b(?:"
    + "|".join(name.capitalize() for name in MONTHS)
    + r"|Jan\.|Feb\.|Aug\.|Sept\.|Oct\.|Nov\.|Dec\.) \d{1,2}\b(?!:)"
    r"|\b(?:defense|labor|program|organiz|center|color|percent|meters|favor|realiz)(?!me)"
)


def _numeric(match: re.Match[str], scene: _Scene) -> Period | None:
    if match["c"]:
        return _day(date(int(match["c"][:4]), int(match["c"][4:6]), int(match["c"][6:])))
    if match["y"]:
        return _day(date(int(match["y"]), int(match["m"]), int(match["d"])))
    year, first, second = int(match["r"]), int(match["p"]), int(match["q"])
    if len(match["r"]) == 2:
        year += 2000 if year < 70 else 1900
    if first > 12 or match["b"] == "." or first == second:
        return _day(date(year, second, first))
    if second > 12:
        return _day(date(year, first, second))
    # Only the rest of the article can tell 3 April from March 4.
    around = max(0, scene.start - _HABIT_REACH)
    rest = f"{scene.context[around : scene.start]} {scene.context[scene.end : scene.end + _HABIT_REACH]}"
    habit = len(_DAY_FIRST.findall(rest)) - len(_MONTH_FIRST.findall(rest))
    readings = [date(year, second, first), date(year, first, second)]
    if habit:
        return _day(readings[0] if habit > 0 else readings[1])
    return _day(_choose(readings, scene.anchor, _direction(scene, near=True))) if scene.anchor else None


# --- the rules ------------------------------------------------------------------------------------------------------

_M = "(" + "|".join(MONTHS) + ")"
_W = "(" + "|".join(WEEKDAYS) + ")"
_D = r"(\d{1,2})(?:th)?"
_Y = r"((?:1[5-9]|20)\d\d)"
_REL = r"(last|next|this|past|following|that|same|that same)"
_SEASON = r"(spring|summer|autumn|winter)"
_U = r"(day|week|month|quarter|half|year|decade|hour|minute)s?"
_SEASON_MONTH = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}

_Rule = Callable[[re.Match[str], _Scene], Period | None]
_RULES: list[tuple[re.Pattern[str], _Rule]] = []


def _rule(pattern: str) -> Callable[[_Rule], _Rule]:
    def add(function: _Rule) -> _Rule:
        _RULES.append((re.compile(pattern), function))
        return function

    return add


def _phrase(plain: str, scene: _Scene) -> Period | None:
    if scene.depth > 5:
        return None
    for pattern, function in _RULES:
        match = pattern.fullmatch(plain)
        if match:
            return function(match, scene)
    return None if scene.in_range else _range(plain, scene)


def _in_year(year: int, month: int, day: int) -> date | None:
    return date(year, month, day) if day <= calendar.monthrange(year, month)[1] else None


def _month_day(month: int, day: int, weekday: int | None, scene: _Scene) -> Period | None:
    """A day without its year: the year that fits the weekday and the direction."""
    anchor = _month_anchor(scene)
    if not anchor:
        return None
    near = [d for y in range(anchor.year - 4, anchor.year + 5) if (d := _in_year(y, month, day))]
    if weekday is not None:  # a wrong weekday is a slip of the pen
        fits = [d for d in near if d.weekday() == weekday and abs((d - anchor).days) < 500]
        if fits:
            return _day(_choose(fits, anchor, 0))
    direction = _direction(scene, near=True) if scene.anchor else 0
    chosen = _choose(near, anchor, direction)
    # A day just over the border beats one almost a year off: the event's state was misread, or the text is early.
    nearest = _choose(near, anchor, 0)
    if abs((chosen - anchor).days) > 330 and abs((nearest - anchor).days) < 40:
        chosen = nearest
    return _day(chosen)


def _weekday(name: str, scene: _Scene, *, strict: bool = False) -> Period | None:
    if not scene.anchor:
        return None
    back = (scene.anchor.weekday() - WEEKDAYS.index(name)) % 7
    ahead = -back % 7
    if strict:
        back, ahead = back or 7, ahead or 7
    direction = _direction(scene)
    return _day(scene.anchor + timedelta(days=ahead if direction > 0 else -back))


def _number_of_month(name: str) -> int:
    return MONTHS.index(name) + 1


@_rule(rf"(?:(?:today|yesterday|tomorrow|this|next|last) )?(?:{_W} )?{_D} {_M}(?: {_Y})?")
def _day_month(m: re.Match[str], scene: _Scene) -> Period | None:
    weekday, day, month, year = m.groups()
    return _calendar_day(weekday, int(day), _number_of_month(month), year, scene)


@_rule(rf"(?:(?:today|yesterday|tomorrow|this|next|last) )?(?:{_W} )?{_M} {_D}(?: {_Y})?")
def _month_day_us(m: re.Match[str], scene: _Scene) -> Period | None:
    weekday, month, day, year = m.groups()
    return _calendar_day(weekday, int(day), _number_of_month(month), year, scene)


@_rule(rf"{_Y} {_M} {_D}|{_Y} {_D} {_M}")
def _year_first(m: re.Match[str], _: _Scene) -> Period | None:
    if m[1]:
        return _day(date(int(m[1]), _number_of_month(m[2]), int(m[3])))
    return _day(date(int(m[4]), _number_of_month(m[6]), int(m[5])))


@_rule(rf"(?:{_W} )?(?:{_D}[ -]{_M}|{_M} {_D})[ -](last|this|next|past) year")
def _day_of_near_year(m: re.Match[str], scene: _Scene) -> Period | None:
    if not scene.anchor:
        return None
    day, month = int(m[2] or m[5]), _number_of_month(m[3] or m[4])
    return _day(date(scene.anchor.year + _step(m[6]), month, day))


def _calendar_day(weekday: str | None, day: int, month: int, year: str | None, scene: _Scene) -> Period | None:
    if year:
        return _day(date(int(year), month, day))
    return _month_day(month, day, WEEKDAYS.index(weekday) if weekday else None, scene)


@_rule(rf"(?:(?:today|this|next|last|past|following) )?{_W} {_D}")
def _weekday_number(m: re.Match[str], scene: _Scene) -> Period | None:
    """ "Tuesday (8)": the nearest month whose 8th is a Tuesday."""
    anchor = _month_anchor(scene)
    if not anchor:
        return None
    days = _days_numbered(int(m[2]), anchor)
    fits = [day for day in days if day.weekday() == WEEKDAYS.index(m[1]) and abs((day - anchor).days) < 100]
    return _day(_choose(fits, anchor, 0)) if fits else _weekday(m[1], scene)


def _days_numbered(number: int, anchor: date) -> list[date]:
    """The days of that number in the months from four before to four after the anchor's."""
    months = [_month(anchor.year, anchor.month + step) for step in range(-4, 5)]
    return [day for year, month in months if (day := _in_year(year, month, number))]


@_rule(r"(\d{1,2})th(?: (?:this|same|that|instant) ?(?:month)?)?|(\d{1,2})(?: this month)?")
def _day_number(m: re.Match[str], scene: _Scene) -> Period | None:
    anchor = _month_anchor(scene)
    number = int(m[1] or m[2])
    if not anchor or not 1 <= number <= 31:
        return None
    direction = _direction(scene, near=True) if scene.anchor else 0
    return _day(_choose(_days_numbered(number, anchor), anchor, direction))


@_rule(rf"{_D} (last|next) month")
def _day_of_near_month(m: re.Match[str], scene: _Scene) -> Period | None:
    if not scene.anchor:
        return None
    year, month = _month(scene.anchor.year, scene.anchor.month + _step(m[2]))
    return _day(date(year, month, int(m[1])))


@_rule(rf"{_M}[ -]{_Y}|{_Y}[ -]{_M}")
def _month_year(m: re.Match[str], _: _Scene) -> Period | None:
    return _same((int(m[2] or m[3]), _number_of_month(m[1] or m[4])))


@_rule(rf"{_M} '?(\d\d)")
def _month_short_year(m: re.Match[str], _: _Scene) -> Period | None:
    return _same((2000 + int(m[2]), _number_of_month(m[1])))


@_rule(rf"(?:{_REL} )?{_M}(?: (past|last|next|this))?")
def _month_alone(m: re.Match[str], scene: _Scene) -> Period | None:
    how, month = m[1] or m[3], _number_of_month(m[2])
    if how in ("that", "same", "that same"):
        reference = _reference(scene)
        if reference:
            return _same((reference.first[0], month))
        how = None
    anchor = _month_anchor(scene)
    if not anchor:
        return None
    if how == "this":
        return _same((anchor.year, month))
    if how in ("last", "past"):
        direction, first = -1, anchor.month - (0 if how == "past" else 1)
    elif how in ("next", "following"):
        direction, first = 1, anchor.month + 1
    else:
        direction, first = _direction(scene, near=True), anchor.month
    if direction == 0:
        step = (month - anchor.month + 6) % 12 - 6
    elif direction > 0:
        step = first - anchor.month + (month - first) % 12
    else:
        step = first - anchor.month - (first - month) % 12
    return _same(_month(anchor.year, anchor.month + step))


@_rule(rf"(?:{_M} )(last|next|this|that|same|following|past) year")
def _month_of_near_year(m: re.Match[str], scene: _Scene) -> Period | None:
    if m[2] in ("that", "same", "following"):
        reference = _reference(scene)
        return _same((reference.first[0] + (m[2] == "following"), _number_of_month(m[1]))) if reference else None
    return _same((scene.anchor.year + _step(m[2]), _number_of_month(m[1]))) if scene.anchor else None


def _step(word: str) -> int:
    return {"last": -1, "past": -1, "previous": -1, "next": 1, "following": 1}.get(word, 0)


@_rule(rf"{_Y}(?: (?:year|s))?")
def _year(m: re.Match[str], _: _Scene) -> Period | None:
    return _same((int(m[1]),))


@_rule(r"((?:1[5-9]|20)\d)0s")
def _decade(m: re.Match[str], _: _Scene) -> Period | None:
    return Period((int(m[1]) * 10,), (int(m[1]) * 10 + 9,))


@_rule(rf"{_Y} ?[-/] ?(\d\d)(?: years?)?")
def _split_year(m: re.Match[str], _: _Scene) -> Period | None:
    """A year that runs over two ("2025-26"); "2025-04" is a month."""
    year, tail = int(m[1]), int(m[2])
    if 1 <= tail <= 12 and tail != (year + 1) % 100:
        return _same((year, tail))
    last = year - year % 100 + tail
    return Period((year,), (last + 100 if last < year else last,))


@_rule(rf"{_Y} ?[-/] ?(\d\d) and {_Y} ?[-/] ?(\d\d)(?: years?)?")
def _split_years(m: re.Match[str], _: _Scene) -> Period | None:
    return Period((int(m[1]),), (int(m[3]) - int(m[3]) % 100 + int(m[4]),))


@_rule(rf"following {_W}")
def _following_weekday(m: re.Match[str], scene: _Scene) -> Period | None:
    day = _reference_day(scene)
    return _day(day + timedelta(days=(WEEKDAYS.index(m[1]) - day.weekday()) % 7 or 7)) if day else None


@_rule(rf"(?:(last|next|this|past|that|same) )?{_W}(?: (last|past|gone|next))?(?: (last|this|next) week)?")
def _weekday_rule(m: re.Match[str], scene: _Scene) -> Period | None:
    how, name, behind, week = m[1] or m[3], m[2], m[3], m[4]
    if not scene.anchor:
        return None
    if week:
        monday = scene.anchor - timedelta(days=scene.anchor.weekday())
        return _day(monday + timedelta(days=7 * _step(week) + WEEKDAYS.index(name)))
    if how in ("last", "past") or behind == "gone":
        return _day(scene.anchor - timedelta(days=(scene.anchor.weekday() - WEEKDAYS.index(name)) % 7 or 7))
    if how == "next":
        return _day(scene.anchor + timedelta(days=(WEEKDAYS.index(name) - scene.anchor.weekday()) % 7 or 7))
    return _weekday(name, scene)


@_rule(rf"(?:today|yesterday|tomorrow) {_W}|{_W} (?:today|yesterday|tomorrow)")
def _weekday_today(m: re.Match[str], scene: _Scene) -> Period | None:
    word = next(word for word in ("today", "yesterday", "tomorrow") if word in m.group())
    return _near_day_of(word, scene)


def _near_day_of(word: str, scene: _Scene) -> Period | None:
    step = {"yesterday": -1, "tomorrow": 1}.get(word, 0)
    return _day(scene.anchor + timedelta(days=step)) if scene.anchor else None


@_rule(r"(yesterday|today|tomorrow|now)")
def _near_day(m: re.Match[str], scene: _Scene) -> Period | None:
    return _near_day_of(m[1], scene)


@_rule(r"day (?:before )?yesterday|day (?:after )?tomorrow")
def _day_but_one(m: re.Match[str], scene: _Scene) -> Period | None:
    return _day(scene.anchor + timedelta(days=-2 if "yesterday" in m.group() else 2)) if scene.anchor else None


@_rule(r"thatday")
def _that_day(_: re.Match[str], scene: _Scene) -> Period | None:
    day = _reference_day(scene)
    return _day(day) if day else None


@_rule(rf"(\d+) {_U}(?: time)? (?:ago|gone|back now)")
def _ago(m: re.Match[str], scene: _Scene) -> Period | None:
    return _shift(scene.anchor, -int(m[1]), m[2]) if scene.anchor else None


@_rule(rf"in (\d+) (?:more )?{_U}(?: time)?|(\d+) {_U}(?: time| hence| from (?:now|today))|(\d+) {_U} now")
def _from_now(m: re.Match[str], scene: _Scene) -> Period | None:
    return _shift(scene.anchor, int(m[1] or m[3] or m[5]), m[2] or m[4] or m[6]) if scene.anchor else None


@_rule(rf"(\d+) {_U} (back|onward)")
def _counted(m: re.Match[str], scene: _Scene) -> Period | None:
    day = _reference_day(scene)
    return _shift(day, int(m[1]) * (1 if m[3] == "onward" else -1), m[2]) if day else None


@_rule(r"(\d+) (day|week|month|year)s? (before|after|from) (.+)")
def _counted_from(m: re.Match[str], scene: _Scene) -> Period | None:
    base = _phrase(m[4], replace(scene, depth=scene.depth + 1))
    if not base:
        return None
    if m[3] == "from":
        return Period(base.first, (base.first[0] + int(m[1]) - 1,)) if m[2] == "year" else None
    if m[3] == "before":
        return _shift(_begin(base.first), -int(m[1]), m[2])
    return _shift(_finish(base.last), int(m[1]), m[2])


@_rule(rf"(?:(?:this|these) )?(last|past|next|following)? ?(\d+) {_U}")
def _span(m: re.Match[str], scene: _Scene) -> Period | None:
    """ "the past two days", "the next three years", "for five years": from or to the day the text counts from."""
    number, unit = int(m[2]), m[3]
    day = scene.anchor if m[1] else _start_of_span(scene)
    if not day or unit in ("hour", "minute"):
        return None
    now = _shift(day, 0, unit)
    if m[1] in ("last", "past"):
        return Period(_shift(day, -number, unit).first, now.last)
    if m[1] is None and scene.role == "when" and scene.status in ("occurred", "ongoing", "cancelled"):
        return None
    return Period(now.first, _shift(day, number, unit).last)


def _start_of_span(scene: _Scene) -> date | None:
    """A year told in the same sentence before a bare duration, else the article's date."""
    left, _ = before_and_after(scene.context, scene.start, scene.end)
    years = YEAR.findall(left)
    return date(int(years[-1]), 1, 1) if years else scene.anchor


@_rule(
    r"(?:(last|this|next|past|previous|following|that|same|that same) )?(day|week|weekend|month|quarter|half|year"
    r"|decade|century)"
    r"(?: (last|beforelast|afternext))?"
)
def _near_unit(m: re.Match[str], scene: _Scene) -> Period | None:
    how, unit, tail = m.groups()
    if how in ("that", "same", "that same", "previous", "following"):
        reference = _reference(scene)
        anchor = _begin(reference.first) if reference else scene.anchor
        if "same" in how or how == "that":
            if anchor and unit == "day":
                return _day(anchor)
            if reference and unit == "month" and len(reference.first) == 1:
                return reference
    elif how in ("last", "next") and unit == "day":
        anchor = _reference_day(scene)
    else:
        anchor = scene.anchor
    if not anchor:
        return None
    step = _step(how or "")
    if tail == "last":
        step = -1
    elif tail == "beforelast":
        step = -2
    elif tail == "afternext":
        step = 2
    if unit == "day":
        return _day(anchor + timedelta(days=step)) if how else None
    if unit == "week":
        return _week(anchor, step)
    if unit == "weekend":
        return _near_weekend(how, scene) if scene.anchor else None
    if unit == "month":
        return _same(_month(anchor.year, anchor.month + step))
    if unit == "quarter":
        return _months(anchor.year, (anchor.month - 1) // 3 * 3 + 1 + 3 * step, 3)
    if unit == "half":
        return _months(anchor.year, (anchor.month - 1) // 6 * 6 + 1 + 6 * step, 6)
    if unit == "year":
        return _same((anchor.year + step,))
    size = 10 if unit == "decade" else 100
    first = anchor.year // size * size + size * step
    return Period((first,), (first + size - 1,))


def _near_weekend(how: str | None, scene: _Scene) -> Period | None:
    anchor = scene.anchor
    if not anchor:
        return None
    weeks = {"next": 1, "last": -1, "past": -1}.get(how or "", 0)
    if (how is None and _direction(scene) < 0) or (how == "this" and scene.status == "occurred"):
        weeks = -1 if anchor.weekday() < 5 else 0
    return _weekend(anchor + timedelta(weeks=weeks))


def _months(year: int, month: int, number: int) -> Period:
    return Period(_month(year, month), _month(year, month + number - 1))


@_rule(
    rf"(?:(last|next|this|past) )?{_SEASON}(?: (?:{_Y}(?:[-/]\d\d)?|(last|next|this|that|same) year))?|{_Y} {_SEASON}"
)
def _season(m: re.Match[str], scene: _Scene) -> Period | None:
    how, name, year, near = m[1], m[2] or m[6], m[3] or m[5], m[4]
    start = _SEASON_MONTH[name]
    if year:
        return _months(int(year), start, 3)
    anchor = _month_anchor(scene)
    if not anchor:
        return None
    if near in ("that", "same"):
        reference = _reference(scene)
        return _months(reference.first[0], start, 3) if reference else None
    if near:
        return _months(anchor.year + _step(near), start, 3)
    # The month count of the season that runs at the anchor or, failing that, began last.
    began = start - (12 if anchor.month < start else 0)
    running = began <= anchor.month <= began + 2
    if how == "this":
        return _months(anchor.year, began if running else start, 3)
    direction = _step(how) if how else _direction(scene)
    if direction < 0:
        return _months(anchor.year, began - (12 if how and running else 0), 3)
    return _months(anchor.year, began if running and not how else began + 12, 3)


@_rule(rf"([qh])([1-4])(?: {_Y}| (last|next|this) year)?|{_Y} ([qh])([1-4])")
def _quarter(m: re.Match[str], scene: _Scene) -> Period | None:
    size = 3 if (m[1] or m[6]) == "q" else 6
    month = (int(m[2] or m[7]) - 1) * size + 1
    year = m[3] or m[5]
    if year:
        return _months(int(year), month, size)
    if not scene.anchor:
        return None
    if m[4]:
        return _months(scene.anchor.year + _step(m[4]), month, size)
    direction = _direction(scene)
    over = month + size - 1 < scene.anchor.month
    ahead = month > scene.anchor.month
    return _months(scene.anchor.year + (over and direction > 0) - (ahead and direction < 0), month, size)


@_rule(rf"([qh])([1-4]) {_M}(?: {_Y})?")
def _part_of_month(m: re.Match[str], scene: _Scene) -> Period | None:
    return _phrase(f"{m[3]} {m[4]}" if m[4] else m[3], scene)


@_rule(r"(end|start) (.+)|(.+) end")
def _edge(m: re.Match[str], scene: _Scene) -> Period | None:
    """The last or first month of a year or other long period; a month or week stands for itself."""
    base = _phrase(m[2] or m[3], replace(scene, depth=scene.depth + 1))
    if not base or len(base.first) > 1:
        return base if not base or m[1] == "start" or len(base.last) > 2 else _same(base.last)
    if base.first != base.last:  # a decade
        return _same(base.first if m[1] == "start" else base.last)
    return _same((base.first[0], 1 if m[1] == "start" else 12))


@_rule(r"end")
def _year_end(_: re.Match[str], scene: _Scene) -> Period | None:
    return _same((scene.anchor.year, 12)) if scene.anchor else None


@_rule(r"(?:(\d)th|last|final) (week|day|days|weekend) (.+)")
def _nth_of(m: re.Match[str], scene: _Scene) -> Period | None:
    base = _phrase(m[3], replace(scene, depth=scene.depth + 1))
    if not base or len(base.first) == 3:
        return None
    first, last = _begin(base.first), _finish(base.last)
    if m[2] == "day":
        return _day(first + timedelta(days=int(m[1]) - 1) if m[1] else last)
    if m[2] == "days":
        return _same(base.first if m[1] else base.last)
    if m[2] == "weekend":
        saturdays = [
            first + timedelta(days=n)
            for n in range((last - first).days + 1)
            if (first + timedelta(days=n)).weekday() == 5
        ]
        saturday = saturdays[int(m[1]) - 1] if m[1] else saturdays[-1]
        return _days(saturday, saturday + timedelta(days=1))
    if not m[1]:
        return _days(last - timedelta(days=6), last)
    begin = first + timedelta(weeks=int(m[1]) - 1)
    return _days(begin, begin + timedelta(days=6))


@_rule(rf"(?:(\d)th|last) {_W} (.+)")
def _nth_weekday(m: re.Match[str], scene: _Scene) -> Period | None:
    base = _phrase(m[3], replace(scene, depth=scene.depth + 1))
    if not base or len(base.first) != 2 or base.first != base.last:
        return None
    weekday = WEEKDAYS.index(m[2])
    first, last = _begin(base.first), _finish(base.first)
    if m[1]:
        return _day(first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (int(m[1]) - 1)))
    return _day(last - timedelta(days=(last.weekday() - weekday) % 7))


@_rule(r"week (.+)")
def _week_of(m: re.Match[str], scene: _Scene) -> Period | None:
    base = _phrase(m[1], replace(scene, depth=scene.depth + 1))
    return _week(_begin(base.first)) if base and len(base.first) == 3 and base.first == base.last else base


@_rule(r"eve (.+)")
def _eve(m: re.Match[str], scene: _Scene) -> Period | None:
    base = _phrase(m[1], replace(scene, depth=scene.depth + 1))
    return _day(_begin(base.first) - timedelta(days=1)) if base and len(base.first) == 3 else None


@_rule(r"(?:(last|next|this) )?(" + "|".join(HOLIDAYS).replace(" ", "[ -]") + rf")(?: (?:{_Y}|(last|next|this) year))?")
def _holiday(m: re.Match[str], scene: _Scene) -> Period | None:
    how, name, year, near = m[1], m[2].replace("-", " "), m[3], m[4]
    if year or (near and scene.anchor):
        number = int(year) if year else (scene.anchor.year if scene.anchor else 0) + _step(near)
        days = holiday_days(name, number)
        return _days(*days[0]) if days else None
    if not scene.anchor:
        return None
    direction = _step(how) if how in ("last", "next") else _direction(scene, near=True)
    times = [pair for step in (-1, 0, 1) for pair in holiday_days(name, scene.anchor.year + step)]
    ends = [last if direction > 0 else first for first, last in times]
    return _days(*times[ends.index(_choose(ends, scene.anchor, direction))])


# --- ranges ---------------------------------------------------------------------------------------------------------

_SPLIT = re.compile(r" (?:to|and|or|&|-) | ?- ?|(?<=\d)-(?=\d)")
_WEEK_TAIL = re.compile(r" (?:last|this|next) week$")
_BARE_DAY = re.compile(rf"(?:{_W} )?{_D}")
_HAS_MONTH = re.compile(rf"{_M}(?: {_Y}| (?:last|next|this) year)?$")
_MONTH_THEN_DAY = re.compile(rf"(?:{_W} )?{_M} {_D}")
_DAY_THEN_YEAR = re.compile(rf"{_D}(?: {_Y})?")
_YEAR_TAIL = re.compile(rf" (?:{_Y}|(?:last|next|this) year)$")


def _range(plain: str, scene: _Scene) -> Period | None:
    """Two dates joined: the ends share a month, a year or a week told once, and the right one follows the left."""
    for joint in _SPLIT.finditer(plain):
        left, right = plain[: joint.start()].strip(), plain[joint.end() :].strip()
        if not left or not right:
            continue
        left, right = _share(left, right)
        begin = _phrase(left, replace(scene, depth=scene.depth + 1, in_range=True))
        if not begin:
            continue
        after = replace(scene, depth=scene.depth + 1, in_range=True, forward=True, anchor=_begin(begin.first))
        if re.search(r"today|tomorrow|yesterday|week|year|month", right):
            after = replace(after, anchor=scene.anchor)
        finish = _phrase(right, after)
        if finish and _begin(begin.first) <= _finish(finish.last):
            return Period(begin.first, finish.last)
    return None


def _share(left: str, right: str) -> tuple[str, str]:
    if right == "next" and left.startswith("this "):  # this year and next
        return left, left.replace("this", "next")
    month_first = _MONTH_THEN_DAY.fullmatch(left)
    if month_first and (tail := _DAY_THEN_YEAR.fullmatch(right)):  # May 3 - 5 (2019)
        told = f" {tail[2]}" if tail[2] else ""
        return left + told, f"{month_first[2]} {tail[1]}{told}"
    if _BARE_DAY.fullmatch(left) and (shared := _HAS_MONTH.search(right)):  # 3 - 5 May (2019)
        return f"{left} {shared.group()}", right
    if week := _WEEK_TAIL.search(right):
        return left + week.group(), right
    if (year := _YEAR_TAIL.search(right)) and not YEAR.search(left) and "year" not in left:
        months = [MONTHS.index(m.group()) for side in (left, right) if (m := re.search(_M, side))]
        if year[1] and len(months) == 2 and months[0] > months[1]:  # November to March 2019
            return f"{left} {int(year[1]) - 1}", right
        if months or re.search(r"^[qh]\d|spring|summer|autumn|winter", left):
            return left + year.group(), right
    if (head := _MONTH_THEN_DAY.match(left)) and _BARE_DAY.fullmatch(right) and not YEAR.search(left):
        return left, f"{head[2]} {right}"
    return left, right
