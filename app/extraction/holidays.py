"""The days of holidays that are kept by one rule, by lower-case name without apostrophes and hyphens."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from functools import cache

from dateutil.easter import EASTER_ORTHODOX, EASTER_WESTERN, easter
from hijridate import Gregorian, Hijri

_FIXED = {
    "new year": (1, 1),
    "new year day": (1, 1),
    "new year eve": (12, 31),
    "epiphany": (1, 6),
    "valentine day": (2, 14),
    "st patrick day": (3, 17),
    "anzac day": (4, 25),
    "may day": (5, 1),
    "labour day": (5, 1),
    "europe day": (5, 9),
    "us independence day": (7, 4),
    "u.s independence day": (7, 4),
    "american independence day": (7, 4),
    "july 4th": (7, 4),
    "4th july": (7, 4),
    "bastille day": (7, 14),
    "halloween": (10, 31),
    "all saints": (11, 1),
    "all saints day": (11, 1),
    "veterans day": (11, 11),
    "armistice day": (11, 11),
    "christmas": (12, 25),
    "christmas day": (12, 25),
    "christmas eve": (12, 24),
    "boxing day": (12, 26),
}
_EASTER = {
    "ash wednesday": -46,
    "palm sunday": -7,
    "maundy thursday": -3,
    "good friday": -2,
    "holy saturday": -1,
    "easter": 0,
    "easter sunday": 0,
    "easter day": 0,
    "easter monday": 1,
    "ascension day": 39,
    "pentecost": 49,
    "whit monday": 50,
    "orthodox easter": 0,
    "orthodox easter sunday": 0,
}
_NTH = {  # month, weekday, which (-1: the last)
    "martin luther king day": (1, 0, 3),
    "presidents day": (2, 0, 3),
    "memorial day": (5, 0, -1),
    "labor day": (9, 0, 1),
    "columbus day": (10, 0, 2),
    "thanksgiving": (11, 3, 4),
    "thanksgiving day": (11, 3, 4),
}
_ISLAMIC = {"muharram": (1, 1), "ashura": (1, 10), "ramadan": (9, 0), "eid al fitr": (10, 1), "eid al adha": (12, 10)}
HOLIDAYS = sorted({*_FIXED, *_EASTER, *_NTH, *_ISLAMIC}, key=len, reverse=True)


@cache
def holiday_days(name: str, year: int) -> tuple[tuple[date, date], ...]:
    """First and last day of each time the holiday falls into the year (an Islamic one may do so twice).

    ``name`` is one of ``HOLIDAYS``. Raises OverflowError for an Islamic holiday of a year that its calendar's
    tables lack (before 1924, after 2077).
    """
    if name in _FIXED:
        day = date(year, *_FIXED[name])
    elif name in _EASTER:
        orthodox = name.startswith("orthodox")
        day = easter(year, EASTER_ORTHODOX if orthodox else EASTER_WESTERN) + timedelta(days=_EASTER[name])
    elif name in _NTH:
        month, weekday, which = _NTH[name]
        if which > 0:
            day = date(year, month, 1)
            day += timedelta(days=(weekday - day.weekday()) % 7 + 7 * (which - 1))
        else:
            day = date(year, month, calendar.monthrange(year, month)[1])
            day -= timedelta(days=(day.weekday() - weekday) % 7)
    else:
        return _islamic_days(name, year)
    return ((day, day),)


def _islamic_days(name: str, year: int) -> tuple[tuple[date, date], ...]:
    month, number = _ISLAMIC[name]
    found = []
    for islamic in range(Gregorian(year, 1, 1).to_hijri().year, Gregorian(year, 12, 31).to_hijri().year + 1):
        start = Hijri(islamic, month, number or 1)
        g = start.to_gregorian()
        first = date(g.year, g.month, g.day)
        last = first if number else first + timedelta(days=start.month_length() - 1)
        if first.year == year:
            found.append((first, last))
    return tuple(found)
