"""Amounts: phrases of money, shares and relative changes, found by pattern and read into numbers with units.

One scanner, `_scan`, reads number phrases ("$2.3 billion", "half a million pounds", "3 per cent of GDP", "a third");
`parse_amount`, `find_amounts` and `widen` are three views of what it reads. Where a phrase alone does not fix the
currency ("45 million", "900 pesos", "$5m"), the text around it and the weights of the countries it speaks of do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pycountry

from app.extraction.values import AmountKind

_DATA = Path(__file__).with_name("data") / "currencies.tsv"
_NO_COUNTRIES: Mapping[str, float] = {}

# Money that is quoted far from home: its country needs less weight to win over a local currency of the same name.
_HARD_CURRENCIES = {"USD", "GBP", "CHF", "JPY"}
# Countries whose own papers write their dollar as a plain "$".
_PLAIN_DOLLARS = {"CA": "CAD", "AU": "AUD", "NZ": "NZD", "SG": "SGD"}
_DOLLAR_COUNTRIES = frozenset(_PLAIN_DOLLARS)
# How far (code points) the unit of an amount may stand from its number: the same paragraph, then the same story.
_NEAR, _FAR = 250, 2000


@dataclass(frozen=True, slots=True)
class ParsedAmount:
    """An amount as a number. `unit` is an ISO 4217 code, percent, percent_of_gdp, percent_of_budget or factor.

    `low` is the lower end where the phrase is a range ("$5-7 million"); `value` is then its upper end.
    `kind_hint` is None where the words around do not say what the amount is.
    """

    value: float
    unit: str
    kind_hint: AmountKind | None = None
    low: float | None = None


@dataclass(frozen=True, slots=True)
class _Currency:
    code: str
    countries: frozenset[str]
    last_year: int | None


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A number phrase as scanned; `currencies` are its possible readings, `plain_dollar` marks a lone "$"/"dollars"."""

    start: int
    end: int
    value: float
    form: Literal["money", "bare", "percent", "fraction", "factor"]
    currencies: tuple[_Currency, ...] = ()
    plain_dollar: bool = False
    share_of: Literal["", "gdp", "budget"] = ""
    low: float | None = None
    sure: bool = True  # reads as an amount wherever it stands, without a model's word for it


# ---------------------------------------------------------------------------------------------- currencies


@dataclass(frozen=True, slots=True)
class _Currencies:
    """Lookup tables: words after a number, symbols before it (as written and case-folded), longest word counts."""

    names: Mapping[str, tuple[_Currency, ...]]
    symbols: Mapping[str, tuple[_Currency, ...]]
    main: Mapping[str, _Currency]  # by country


@cache
def _currencies() -> _Currencies:
    names: dict[str, list[_Currency]] = {}
    symbols: dict[str, list[_Currency]] = {}
    main: dict[str, _Currency] = {}
    rows: dict[str, _Currency] = {}
    for line in _DATA.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        code, nouns, signs, adjectives, countries, last_year = line.split("\t")
        row = _Currency(code, frozenset(countries.split()), int(last_year) if last_year else None)
        rows[code] = row
        for noun in nouns.split("|"):
            names.setdefault(noun, []).append(row)
            for adjective in filter(None, adjectives.split("|")):
                names.setdefault(f"{adjective} {noun}", []).append(row)
                if noun in ("franc", "francs"):  # "francs CFA"
                    names.setdefault(f"{noun} {adjective}", []).append(row)
        for sign in filter(None, signs.split("|")):
            symbols.setdefault(sign, []).append(row)
        if row.last_year is None:
            for country in row.countries:
                main.setdefault(country, row)
    euro = rows["EUR"]
    for country in "AT BE CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK AD MC ME SM VA XK".split():
        main[country] = euro
    for known in pycountry.currencies:
        row = rows.setdefault(known.alpha_3, _Currency(known.alpha_3, frozenset(), None))
        symbols[known.alpha_3] = [row]
        if known.alpha_3 not in _CODE_WORDS:
            symbols.setdefault(known.alpha_3.lower(), [row])
    for code, row in rows.items():
        symbols.setdefault(code, [row])
    # Signs with a mark of money in them, and longer ones, are read in any case ("us$", "RS.").
    for sign in list(symbols):
        folded = sign.casefold()
        if folded not in symbols and (len(sign) > 2 or not sign.isalpha()) and sign not in _CODE_WORDS:
            symbols[folded] = symbols[sign]
            symbols[sign.upper()] = symbols.get(sign.upper(), symbols[sign])
    symbols["rs"] = symbols["Rs"]
    symbols["RS"] = symbols["Rs"]
    symbols["$"] = names["dollar"]
    return _Currencies(
        {name: tuple(found) for name, found in names.items()},
        {sign: tuple(found) for sign, found in symbols.items()},
        main,
    )


# Currency names that are words too: no sure sign of money after a small number.
_NAMES_THAT_ARE_WORDS = frozenset(
    "real reals sol won mark marks sum sums som soms bob lev leva levs colon colons rand kip kips crown crowns pound"
    " pounds buck bucks sterling ron lek leu lei dong quid guarani guaranis mm".split()
)
# ISO codes that are words too: never read in lower case.
_CODE_WORDS = frozenset("ALL TOP TRY CUP SOS BAM PEN MOP GEL MAD LAK AMD CAD DOP COP RON SEK LEK BAN RUB BIF".split())

# ---------------------------------------------------------------------------------------------- numbers

_SPACE = "[ \u00a0\u202f\u2009]"
_DIGITS = (
    r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?!\d)"  # Indian grouping: 1,20,000
    rf"|\d{{1,3}}(?:(?:[,.'’]|{_SPACE})\d{{3}})+(?:[.,]\d{{1,2}})?(?![.,]?\d)"
    r"|\d+(?:[.,]\d+)?"
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS: dict[str, float] = {
    **{word: float(n) for n, word in enumerate(_UNITS)},
    **{word: 20.0 + 10 * n for n, word in enumerate(_TENS)},
    "fourty": 40.0,
    "dozen": 12.0,
    "couple": 2.0,
}
_SCALES: dict[str, float] = {
    **dict.fromkeys(["k", "thousand", "thousands", "grand", "mil", "tys", "bin", "हजार", "हज़ार"], 1e3),
    **dict.fromkeys(["lakh", "lakhs", "lac", "lacs", "लाख"], 1e5),
    **dict.fromkeys(
        ["m", "mm", "mn", "mln", "mil.", "mio", "million", "millions", "millones", "millon", "millón"], 1e6
    ),
    **dict.fromkeys(["milhões", "milhoes", "milioni", "milione", "milyon", "millionen", "miljoner", "miljoen"], 1e6),
    **dict.fromkeys(["milion", "millióm", "millió", "mill"], 1e6),
    **dict.fromkeys(["crore", "crores", "cr", "करोड़", "करोड़"], 1e7),
    **dict.fromkeys(["b", "bn", "bln", "billion", "billions", "milliard", "milliards", "milliarden", "mld"], 1e9),
    **dict.fromkeys(["mrd", "miliardi", "miliard", "milyar", "miljard", "miljarder", "arab", "bio", "mlrd"], 1e9),
    **dict.fromkeys(["bilhões", "bilhoes", "bilhão", "miljardia"], 1e9),
    **dict.fromkeys(["kharab"], 1e11),
    **dict.fromkeys(["t", "tn", "trn", "trln", "trillion", "trillions"], 1e12),
}
_DOTTED = frozenset("mln mio mrd mld bn mil mill tys cr mlrd bln".split())
_FRACTION_GLYPHS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3}
_HUNDRED_OR_MORE = {"hundred": 100.0, **{w: s for w, s in _SCALES.items() if len(w) > 3 and w.isascii()}}
_NUMBER_WORD = "|".join(sorted([*_WORDS, *_HUNDRED_OR_MORE, "half", "quarters?", "thirds?"], key=len, reverse=True))
_WORD_NUMBER = (
    rf"(?<![\w$£€])(?:an?[\s-]+|half[\s-]+an?[\s-]+|a[\s-]+half[\s-]+)?(?:{_NUMBER_WORD})"
    rf"(?:(?:[\s-]+(?:and[\s-]+an?|of[\s-]+an?|and|of|point|an?))?[\s-]+(?:{_NUMBER_WORD}))*(?!\w)"
)
# Not within a word or number, save after letters ("Rs500") or an abbreviation's dot ("Rs.500").
_DIGITS_START = r"(?:(?<![\w.,])|(?<=[^\W\d]\.)|(?<=[^\W\d])(?<!\d[^\W\d]))"
_CORE = re.compile(
    rf"(?P<digits>{_DIGITS_START}(?:{_DIGITS})|[½¼¾])(?P<glyph>{_SPACE}?[½¼¾⅓⅔])?|(?P<words>{_WORD_NUMBER})",
    re.IGNORECASE,
)
_LETTERS = r"[^\W\d_](?:[^\W\d_]|[\u0900-\u0963])*"  # \w leaves out the vowel signs of Devanagari
_SCALE = re.compile(rf"(?P<gap>(?:-|{_SPACE})?)(?P<word>{_LETTERS})(?P<dot>\.(?=\s?[\w$€£]))?(?![\w$])")
_AND_A_HALF = re.compile(r"\s+and\s+(?:a|one)[\s-](?P<what>half|quarter)\b", re.IGNORECASE)
_NEXT_WORDS = re.compile(
    r"[\s-]?(?:(?:of|de)\s+|d['’]\s?)?(?:in\s+)?(?P<w>[^\W\d_][\w.'’-]*(?:[ \u00a0-](?!\d)[^\W\d_][\w.'’]*){0,3})",
    re.IGNORECASE,
)
_NEXT_SYMBOL = re.compile(r"\s?(?P<s>[€$£¥₹₽₴₺₩₦₱฿₫₪₾₼₸₮]|Kč|zł|Ft|kr\b|TL\b|S/|[A-Z]{3}\b)")
_PERCENT = re.compile(
    r"[\s-]{0,2}(?:(?:percentage|per[\s-]?cent)[\s-]points?|%(?:[\s-]points?)?|per[\s-]?cents?|percent(?:age)?|pct\.?|p\.c\.|pc"
    r"|points?(?=\s+of\s+gdp))(?!\w)",
    re.IGNORECASE,
)
_GDP = (
    r"(?:gdp|g\.d\.p\.|gross\s+(?:domestic|national)\s+(?:product|income)(?:\s+\(\w+\))?|gnp|gni|national\s+(?:income|output)"
    r"|economic\s+output|pib|bip)"
)
_BUDGET = r"(?:budgets?|spending|expenditures?|outlays?)"
_GAP = r"(?:[\w'’&-]+\s+){0,6}?"
_SHARE_OF = re.compile(
    rf"\s+(?:of|from|in|de)\s+(?:{_GAP}(?P<gdp>{_GDP})|{_GAP}(?P<budget>{_BUDGET}))(?!\w)", re.IGNORECASE
)
_FRACTION = re.compile(
    r"(?<![\w-])(?:(?P<count>an?|one|two|three|four|another)[\s-]+)?(?P<part>half|third|quarter|fourth|fifth|sixth|seventh"
    r"|eighth|ninth|tenth|twentieth|hundredth)s?(?![\w-])|(?<![\d/.,])(?P<top>[1-9])/(?P<bottom>[2-9]|10)(?![\d/])",
    re.IGNORECASE,
)
_PARTS = dict(zip("half third quarter fourth fifth sixth seventh eighth ninth tenth twentieth hundredth".split(),
                  (2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 20, 100), strict=True))  # fmt: skip
_TIMES = {
    **dict.fromkeys(["double", "doubles", "doubled", "doubling", "twofold", "two-fold", "twice", "redouble"], 2.0),
    **dict.fromkeys(["triple", "triples", "tripled", "tripling", "treble", "trebles", "trebled", "trebling"], 3.0),
    **dict.fromkeys(["threefold", "three-fold"], 3.0),
    **dict.fromkeys(["quadruple", "quadruples", "quadrupled", "quadrupling", "fourfold", "four-fold"], 4.0),
    **dict.fromkeys(["quintuple", "quintupled", "quintupling", "quintuples", "fivefold", "five-fold"], 5.0),
    **dict.fromkeys(["sixfold", "six-fold"], 6.0),
    **dict.fromkeys(["eightfold", "eight-fold"], 8.0),
    **dict.fromkeys(["tenfold", "ten-fold"], 10.0),
    **dict.fromkeys(["halve", "halves", "halved", "halving"], 0.5),
}
_FACTOR = re.compile(
    rf"(?<![\w-])(?:(?P<word>{'|'.join(sorted(_TIMES, key=len, reverse=True))})"
    rf"|(?P<n>\d+(?:\.\d+)?|{'|'.join(_UNITS[2:11])})(?:[\s-]?fold|\s+times)(?=\s+(?:as|what|the|its|their|more|of)\b|[.,;)]|$)"
    r"|(?P<half>(?:in|into)\s+half))(?![\w-])",
    re.IGNORECASE,
)
_WHAT_CHANGES = re.compile(r"\s+(?:its|their|his|her|our|the|this|that|what|spending|state|funding)\b", re.IGNORECASE)
_COMPARED = re.compile(r"\s+(?:less|more|higher|lower)\b", re.IGNORECASE)
_TOKEN = re.compile(r"(?P<word>[^\W\d_]+)|\d[\d.,]*|[½¼¾]")
_FIRST_WORDS = frozenset(
    [*_WORDS, *_HUNDRED_OR_MORE, *_PARTS, *(f"{part}s" for part in _PARTS), "a", "an", "another", "in", "into"]
    + [word.partition("-")[0] for word in _TIMES]
)
_RANGE_TO = re.compile(r"\s?(?P<how>[-–—]|to|and|or|till|until)\s?(?=[\d$€£A-Za-z])")


def _digits_value(text: str, *, scaled: bool) -> float:
    """The number in "2,500", "2,5", "750.000", "1.234,56", "15 000", "1,20,000"."""
    text = re.sub(rf"{_SPACE}|['’]", "", text)
    marks = [c for c in text if c in ".,"]
    if not marks:
        return float(text)
    last = marks[-1]
    if len(set(marks)) == 2:  # the last mark is the decimal one
        other = "," if last == "." else "."
        return float(text.replace(other, "").replace(last, "."))
    if len(marks) > 1:
        return float(text.replace(last, ""))
    head, tail = text.split(last)
    # "2,500" and "750.000" group thousands; "1.125 billion" and "0,125" do not.
    grouped = len(tail) == 3 and head.lstrip("0") != "" and (last == "," or not scaled)
    return float(head + tail) if grouped else float(f"{head}.{tail}")


def _words_value(text: str) -> float | None:
    """The number in "two and a half billion", "half a million", "three quarters of a billion"."""
    words = re.findall(r"[a-zçãõéíóú]+", text.lower())
    total = current = 0.0
    last_scale, previous, point = 1.0, "", 0.0
    for word in words:
        if word == "point":
            point = 0.1
        elif word in _WORDS:
            n = _WORDS[word]
            if point and n < 10:
                current, point = current + n * point, point / 10
            elif word == "dozen":
                current = (current or 1.0) * 12
            else:
                current += n
        elif word == "hundred":
            current = (current or 1.0) * 100
        elif word in _HUNDRED_OR_MORE:
            scale = _HUNDRED_OR_MORE[word]
            if previous in _HUNDRED_OR_MORE and previous != "hundred" and not current:
                total *= scale  # "lakh crore", "thousand million"
                last_scale *= scale
            else:
                total += (current or 1.0) * scale
                last_scale = scale
            current, point = 0.0, 0.0
        elif word in ("half", "quarter", "quarters", "third", "thirds"):
            part = {"h": 0.5, "q": 0.25, "t": 1 / 3}[word[0]]
            if previous in ("a", "and") and (current or total):  # "two and a half", "a million and a half"
                if current:
                    current += part
                else:
                    total += part * last_scale
            else:
                current = (current or 1.0) * part
        previous = word if word not in ("a", "an") or previous != "and" else "and"
    value = total + current
    return value or None


@dataclass(frozen=True, slots=True)
class _Number:
    start: int
    end: int
    value: float
    scale: float
    in_words: bool
    grouped: bool


def _number_at(text: str, match: re.Match[str], hi: int) -> _Number | None:
    start, end = match.span()
    words = match["words"]
    if words:
        value = _words_value(words)
        if value is None or re.fullmatch(
            r"(?i)(?:an?[\s-]+|one[\s-]+|two[\s-]+|three[\s-]+)?(?:half|quarters?|thirds?|one)", words
        ):
            return None
        lowered = words.lower()
        scaled = any(word in _HUNDRED_OR_MORE for word in re.findall(r"[a-z]+", lowered))
        return _Number(start, end, value, 1e6 if scaled else 1.0, True, scaled)
    raw = match["digits"]
    scale, end = _scale_from(text, end, hi)
    value = _FRACTION_GLYPHS.get(raw, -1.0)
    if value < 0:
        value = _digits_value(raw, scaled=scale > 1)
    if match["glyph"]:
        value += _FRACTION_GLYPHS[match["glyph"].strip()]
    half = _AND_A_HALF.match(text, end, hi)
    if half:
        value += 0.5 if half["what"].lower() == "half" else 0.25
        further, end = _scale_from(text, half.end(), hi) if scale == 1 else (1.0, half.end())
        scale *= further
    value *= scale
    # "1 crore 20 lakh", "2 billion 300 million"
    while scale > 1:
        more = re.compile(rf"{_SPACE}(?:and )?(\d{{1,3}})(?!\d)").match(text, end, hi)
        if not more:
            break
        lesser, lesser_end = _scale_from(text, more.end(), hi)
        if not 1 < lesser < scale:
            break
        value, scale, end = value + float(more[1]) * lesser, lesser, lesser_end
    return _Number(start, end, value, scale, False, bool(re.search(r"\d[,.'’ \u00a0\u202f\u2009]\d{3}(?!\d)", raw)))


def _scale_from(text: str, end: int, hi: int) -> tuple[float, int]:
    """The product of the scale words that follow a number, and where they end."""
    scale = 1.0
    for _ in range(3):
        found = _SCALE.match(text, end, hi)
        if not found:
            break
        word = found["word"].lower()
        step = 100.0 if word == "hundred" else _SCALES.get(word)
        if step is None or (
            word in ("t", "b", "m", "k", "mil", "bin", "arab", "mm", "mill")
            and found["word"][0] != word[0]
            and found["gap"]
        ):
            break
        if word in ("t", "k") and found["gap"]:  # "5 t" is a weight
            break
        if scale > 1 and len(word) < 4:
            break
        scale *= step
        end = found.end() if found["dot"] and word in _DOTTED else found.end("word")
    return scale, end


# ---------------------------------------------------------------------------------------------- phrases


def _symbol_before(text: str, at: int, lo: int) -> tuple[int, str] | None:
    """The currency sign that ends at a number (or a space before it), longest first."""
    signs = _currencies().symbols
    stop = at - 1 if at > lo and text[at - 1] in " \u00a0\u202f-" else at
    for size in range(min(6, stop - lo), 0, -1):
        begin = stop - size
        sign = text[begin:stop]
        if sign[0].isspace():
            continue
        if " " in sign and sign.upper() == sign:  # "US $5m"
            sign = sign.replace(" ", "")
        if sign not in signs:
            continue
        if sign[0].isalnum() and begin > 0 and text[begin - 1].isalnum():
            continue
        if sign.isalpha() and len(sign) == 1 and stop != at and sign not in "€£¥R":
            continue
        return begin, sign
    return None


def _currency_after(text: str, end: int, hi: int) -> tuple[int, tuple[_Currency, ...], bool] | None:
    """The currency named after a number: its end, its readings, whether it is the bare word "dollars" or "$"."""
    tables = _currencies()
    found = _NEXT_WORDS.match(text, end, hi)
    if found:
        phrase = found["w"]
        cuts = [m.start() for m in re.finditer(r"[ \u00a0-]", phrase)]
        for cut in [len(phrase), *reversed(cuts)]:
            raw = phrase[:cut]
            key = re.sub(r"[\s\u00a0-]+", " ", raw.lower().replace("’", "'")).rstrip(".'")
            key = re.sub(r"(?<=s)'s?$|'s$", "", key)
            key = re.sub(r"^u\.?s\.?a?\.? ", "us ", key).replace("ł", "l")
            readings = tables.names.get(key)
            if readings is None and key.replace(".", "") in tables.names:
                readings = tables.names[key.replace(".", "")]
            if readings is None and len(key) == 3 and key not in tables.names and raw.islower():
                readings = tables.symbols.get(key)
            if readings:
                stop = found.start("w") + len(raw.rstrip("'’"))
                if raw.endswith(".") and not raw.lower().endswith(("rub.", "rur.")):
                    stop -= 1
                elif raw.lower().endswith(("'s", "’s")):
                    stop -= 2
                return stop, readings, key in ("dollar", "dollars")
    symbol = _NEXT_SYMBOL.match(text, end, hi)
    if symbol and symbol["s"] in tables.symbols:
        return symbol.end(), tables.symbols[symbol["s"]], symbol["s"] == "$"
    return None


def _scan(text: str, lo: int = 0, hi: int | None = None) -> list[_Phrase]:
    """Every number phrase between two offsets, in order, not overlapping."""
    hi = len(text) if hi is None else min(hi, len(text))
    lo = max(0, lo)
    # The patterns are tried only where a digit or one of their first words stands.
    starts = [m.start() for m in _TOKEN.finditer(text, lo, hi) if not m["word"] or m["word"].lower() in _FIRST_WORDS]
    found = [*_scan_changes(text, starts, hi), *_scan_numbers(text, starts, lo, hi)]
    found.sort(key=lambda p: (p.start, p.form == "bare", -p.end))
    kept: list[_Phrase] = []
    for phrase in found:
        # A small bare number gives way to the change that it is a part of: "a five" of "a five-fold rise".
        if kept and phrase.form == "factor" and kept[-1].form == "bare" and kept[-1].value < 1000:
            kept.pop()
        if not kept or phrase.start >= kept[-1].end:
            kept.append(phrase)
        elif phrase.start == kept[-1].start and phrase.end > kept[-1].end:
            kept[-1] = phrase
    return kept


def _scan_numbers(text: str, starts: list[int], lo: int, hi: int) -> Iterator[_Phrase]:
    at = lo
    for start in starts:
        match = _CORE.match(text, start, hi) if start >= at else None
        if match is None:
            continue
        number = _number_at(text, match, hi)
        if number is None:
            continue
        phrase = _phrase_of(text, number, at, hi)
        at = max(match.end(), number.end)
        if phrase:
            phrase, at = _with_range(text, phrase, number, max(at, phrase.end), hi)
            yield phrase


def _phrase_of(text: str, number: _Number, lo: int, hi: int) -> _Phrase | None:
    percent = _PERCENT.match(text, number.end, hi)
    if percent:
        end, share = _share(text, percent.end(), hi)
        return _Phrase(number.start, end, number.value, "percent", share_of=share)
    start, end = number.start, number.end
    before = _symbol_before(text, start, lo) if not number.in_words else None
    after = _currency_after(text, end, hi)
    if before:
        start, sign = before
        readings = _currencies().symbols[sign]
        if after and ({c.code for c in after[1]} & {c.code for c in readings}):  # "$5 million US dollars"
            shared = tuple(c for c in after[1] if c.code in {r.code for r in readings})
            return _Phrase(start, after[0], number.value, "money", shared, plain_dollar=after[2] and sign == "$")
        sure = not sign.isalpha() or number.scale > 1 or number.grouped or sign.lower() in ("rs", "usd", "eur", "gbp")
        return _Phrase(start, end, number.value, "money", readings, plain_dollar=sign == "$", sure=sure)
    if after:
        sure = (
            number.scale > 1 or number.grouped or text[end : after[0]].split()[-1].lower() not in _NAMES_THAT_ARE_WORDS
        )
        return _Phrase(start, after[0], number.value, "money", after[1], plain_dollar=after[2], sure=sure)
    if not number.in_words and text[end : end + 1].isalpha() and number.scale == 1:
        return None  # "5th", "G20"
    return _Phrase(start, end, number.value, "bare", sure=False)


def _with_range(text: str, first: _Phrase, number: _Number, end: int, hi: int) -> tuple[_Phrase, int]:
    """Joins "5-7 million", "between $5 and $7 million", "two or three billion" into one phrase of the upper end."""
    join = _RANGE_TO.match(text, first.end, hi)
    if not join:
        return first, end
    how, lead = join["how"], text[max(0, first.start - 12) : first.start].lower()
    if how == "and" and not re.search(r"\bbetween\s+$", lead):
        return first, end
    if how in ("to", "till", "until") and re.search(r"\bfrom\s+$", lead):
        return first, end
    skip = re.compile(r"[^\W\d]{0,3}[$€£¥₹]?\s?").match(text, join.end(), hi)
    match = _CORE.match(text, join.end(), hi) or (_CORE.match(text, skip.end(), hi) if skip else None)
    second_number = _number_at(text, match, hi) if match else None
    if second_number is None:
        return first, end
    second = _phrase_of(text, second_number, join.end(), hi)
    if second is None or second.form not in ("money", "bare", "percent"):
        return first, end
    if first.form == "money" and second.form == "money" and not set(first.currencies) & set(second.currencies):
        return first, end
    if (first.form == "percent") != (second.form == "percent") and first.form != "bare":
        return first, end
    if how not in ("and", "or") and second_number.value == 1:
        return first, end
    value, low = second.value, first.value
    if number.scale == 1 and second_number.scale > 1:
        low *= second_number.value / (second_number.value / second_number.scale) if not second_number.in_words else 1.0
    if not low < value:
        return first, end
    form = second.form if first.form == "bare" else first.form
    money = first if first.form == "money" else second
    return (
        _Phrase(
            first.start, second.end, value, form, money.currencies, money.plain_dollar, second.share_of, low, money.sure
        ),
        second.end,
    )


def _share(text: str, end: int, hi: int) -> tuple[int, Literal["", "gdp", "budget"]]:
    """What a share is of, and where the phrase ends with it."""
    of = _SHARE_OF.match(text, end, hi)
    if not of:
        return end, ""
    return of.end(), "gdp" if of["gdp"] else "budget"


def _scan_changes(text: str, starts: list[int], hi: int) -> Iterator[_Phrase]:
    for start in starts:
        factor = _FACTOR.match(text, start, hi)
        if factor:
            yield _factor_of(text, factor)
            continue
        fraction = _FRACTION.match(text, start, hi)
        phrase = _fraction_of(text, fraction, hi) if fraction else None
        if phrase:
            yield phrase


def _factor_of(text: str, match: re.Match[str]) -> _Phrase:
    if match["half"]:
        return _Phrase(match.start(), match.end(), 0.5, "factor")
    if match["n"]:
        n = match["n"].lower()
        return _Phrase(match.start(), match.end(), _WORDS.get(n) or float(n), "factor", sure=False)
    word = match["word"].lower()
    verb = word not in ("double", "triple", "treble", "halves", "twice", "quadruple", "quintuple")
    sure = verb or bool(_WHAT_CHANGES.match(text, match.end()))
    return _Phrase(match.start(), match.end(), _TIMES[word], "factor", sure=sure)


def _fraction_of(text: str, match: re.Match[str], hi: int) -> _Phrase | None:
    part = (match["part"] or "").lower()
    if part:
        value = 100.0 * {"two": 2, "three": 3, "four": 4}.get((match["count"] or "").lower(), 1) / _PARTS[part]
    else:
        value = 100.0 * int(match["top"]) / int(match["bottom"])
    if value >= 100:
        return None
    end, share = _share(text, match.end(), hi)
    lead = text[max(0, match.start() - 4) : match.start()].lower()
    change = lead.endswith((" by ", "\nby ")) or bool(_COMPARED.match(text, match.end()))
    counted = bool(match["count"]) or part in ("", "half")
    sure = counted and (change or (share != "" and value != 50.0))
    return _Phrase(match.start(), end, value, "fraction", share_of=share, sure=sure)


# ---------------------------------------------------------------------------------------------- public


def find_amounts(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Offsets of the money, share and relative-change phrases in `text[start:end]` that need no model."""
    return [(p.start, p.end) for p in _scan(text, start, end) if p.sure]


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """The span grown to the whole amount phrase that it is a part of ("500" of "$500 million"); else unchanged."""
    lo = max(0, start - 40)
    while lo > 0 and text[lo - 1].isalnum():  # never begin inside a number or a word
        lo -= 1
    left, right = start, end
    for phrase in _scan(text, lo, end + 80):
        if phrase.start >= end:
            break
        if (
            phrase.end > start
            and (phrase.form != "fraction" or phrase.share_of)
            and _touches_number(text, phrase, start, end)
        ):
            left, right = min(left, phrase.start), max(right, phrase.end)
    return left, right


def _touches_number(text: str, phrase: _Phrase, start: int, end: int) -> bool:
    """False where the span has only a word of the phrase's tail ("budget" of "2 % of its budget")."""
    shared = text[max(start, phrase.start) : min(end, phrase.end)]
    return bool(re.search(r"[\d$€£¥₹%]", shared)) or any(
        word in _SCALES
        or word in _WORDS
        or word in _TIMES
        or word in ("half", "hundred")
        or word in _currencies().names
        for word in re.findall(r"[^\W\d_]+", shared.lower())
    )


def parse_amount(
    text: str,
    *,
    context: str | None = None,
    start: int = 0,
    end: int | None = None,
    default_dollar: str = "USD",
    countries: Mapping[str, float] = _NO_COUNTRIES,
    year: int | None = None,
) -> ParsedAmount | None:
    """Reads the amount phrase `text`, which is `context[start:end]`; None where it holds no amount.

    `countries` weighs the countries (ISO 3166-1 alpha-2) that the text speaks of near the phrase; it decides between
    the currencies of one name, and between `default_dollar` and another dollar. `year` of publication rules out
    currencies that had ended by then, and prefers those still in use where it is None.
    """
    if context is None:
        context, start, end = text, 0, len(text)
    elif end is None:
        end = start + len(text)
    lo = max(0, start - 40)
    while lo > 0 and context[lo - 1].isalnum():
        lo -= 1
    phrase = _best(list(_scan(context, lo, end + 80)), start, end)
    if phrase is None:
        return None
    around = _Around(context, phrase.start, phrase.end)
    hint = _kind(phrase, around)
    if phrase.form == "factor":
        return ParsedAmount(phrase.value, "factor", hint)
    if phrase.form == "fraction":
        return _fraction(phrase, around, hint)
    if phrase.form == "percent" or (phrase.form == "bare" and phrase.value <= 100 and around.percent_follows()):
        unit = {"gdp": "percent_of_gdp", "budget": "percent_of_budget"}.get(phrase.share_of) or around.share_unit(
            phrase
        )
        if unit != "percent" and hint is None:
            hint = "target"
        return ParsedAmount(phrase.value, unit, hint, phrase.low)
    if phrase.form == "money":
        code = _resolve(phrase, context, default_dollar, countries, year)
        return ParsedAmount(phrase.value, code, hint, phrase.low)
    code_or_none = _code_nearby(phrase, context, default_dollar, countries, year)
    return ParsedAmount(phrase.value, code_or_none, hint, phrase.low) if code_or_none else None


def _best(phrases: list[_Phrase], start: int, end: int) -> _Phrase | None:
    """The phrase that shares most with the span; among equals money before the rest, then the first."""
    best, best_key = None, (0, 0)
    for phrase in phrases:
        shared = min(end, phrase.end) - max(start, phrase.start)
        if shared <= 0:
            continue
        rank = {"money": 3, "percent": 3, "factor": 2, "fraction": 1, "bare": 0}[phrase.form]
        if rank == 3 or best is None or (rank, shared) > best_key:
            key = (rank, shared)
            if key > best_key or best is None:
                best, best_key = phrase, key
    return best


def _fraction(phrase: _Phrase, around: _Around, hint: AmountKind | None) -> ParsedAmount:
    if phrase.share_of:
        unit = "percent_of_gdp" if phrase.share_of == "gdp" else "percent_of_budget"
        return ParsedAmount(phrase.value, unit, hint or "target")
    # "reduced to half", "half of what was asked"; other parts do so only after "to" ("cut to a third")
    left_over = phrase.value == 50.0 or re.search(r"\bto\s+(?:just\s+|only\s+|about\s+)?$", around.before)
    if left_over and not around.says_by() and not around.compares():
        return ParsedAmount(phrase.value / 100, "factor", "decrease")
    return ParsedAmount(phrase.value, "percent", hint or "decrease")


# ---------------------------------------------------------------------------------------------- context

_UP = r"(?:rais|increas|boost|lift|grow|rise|rose|expand|up|extra|additional|hik|bump|add|top|rising|grew|higher|more)"
_DOWN = (
    r"(?:cut|reduc|slash|trim|shav|lower|decreas|shrink|drop|fall|fell|sav|lop|down|economi[sz]|scal|less|halv|scrap)"
)
_UP_OR_DOWN = re.compile(rf"\b(?:(?P<up>{_UP})|(?P<down>{_DOWN}))\w*", re.IGNORECASE)
_LEVEL = re.compile(
    r"\b(?:to|of|at|least|above|below|beyond|spend|spends|minimum|target|reach|and|from|or|than)\s+(?:\w+\s+)?$",
    re.IGNORECASE,
)
_CHANGE_AFTER = re.compile(
    r"\s*(?:,\s*)?(?:\w+\s+)?(?:increase|rise|raise|cut|reduction|decrease|boost|hike|more|less|higher|lower|increased"
    r"|reduced|off|on\s+(?:last|this|the|the previous)\b|over\s+last|from\s+last|than)\b",
    re.IGNORECASE,
)


class _Around:
    """The words beside a phrase, within its sentence."""

    __slots__ = ("after", "before", "context", "end", "start")

    def __init__(self, context: str, start: int, end: int) -> None:
        self.context, self.start, self.end = context, start, end
        before = context[max(0, start - _NEAR) : start]
        after = context[end : end + _NEAR]
        cut = max((m.end() for m in re.finditer(r"[.!?;](?:[\"”’)]*)\s+(?=[\"“A-Z])|\n", before)), default=0)
        stop = re.search(r"[.!?](?:[\"”’)]*)\s+(?=[\"“A-Z])|\n", after)
        self.before = before[cut:]
        self.after = after[: stop.start()] if stop else after

    def says_by(self) -> bool:
        return bool(re.search(r"\bby\s+(?:\w+\s+){0,2}$", self.before, re.IGNORECASE))

    def compares(self) -> bool:
        return bool(re.match(r"\s+(?:of\s+)?(?:less|more|lower|higher|off)\b", self.after, re.IGNORECASE))

    def percent_follows(self) -> bool:
        """True of "1.4" in "from 1.4 to 3.5 per cent" and of "50" before a far "per cent"."""
        return bool(re.match(rf"\s+(?:to|and|or)\s+(?:{_DIGITS}){_PERCENT.pattern}", self.after, re.IGNORECASE))

    def share_unit(self, phrase: _Phrase) -> str:
        """The unit of a share whose whole is named elsewhere in the sentence, else of a relative change."""
        if self.says_by() or _CHANGE_AFTER.match(self.after):
            return "percent"
        follow = re.match(
            rf"\s*(?:,\s*)?(?:to|and|or)\s+(?:{_DIGITS}){_PERCENT.pattern}{_SHARE_OF.pattern}", self.after, re.I
        )
        if follow:
            return "percent_of_gdp" if follow["gdp"] else "percent_of_budget"
        if not _LEVEL.search(self.before):
            return "percent"
        near = f"{self.before} {self.after[:120]}"
        if re.search(rf"\b{_GDP}\b", near, re.IGNORECASE):
            return "percent_of_gdp"
        earlier = self.context[max(0, self.start - 2 * _NEAR) : self.start]
        military = re.search(r"\b(?:defen[cs]e|military|nato)\b", near, re.IGNORECASE)
        if (
            phrase.value <= 10
            and military
            and (re.search(rf"\b{_GDP}\b", earlier, re.I) or re.search(r"\b(?:spend|outlay|budget|expend)", near, re.I))
        ):
            return "percent_of_gdp"
        raised_to = re.search(r"\bto\s+(?:\w+\s+)?$", self.before, re.IGNORECASE)
        if raised_to and re.search(
            r"\b(?:budgets?|share\s+of\s+(?:spending|expenditure))\b", self.before, re.IGNORECASE
        ):
            return "percent_of_budget"
        return "percent"


def _kind(phrase: _Phrase, around: _Around) -> AmountKind | None:
    """What the words beside an amount make of it: a rise, a cut, a level, or nothing told."""
    if phrase.form == "factor":
        return "increase" if phrase.value > 1 else "decrease"
    direction: AmountKind | None = None
    for found in _UP_OR_DOWN.finditer(around.before[-70:]):
        direction = "increase" if found["up"] else "decrease"
    after = re.match(rf"\s+(?:\w+\s+)?(?:(?P<up>{_UP})|(?P<down>{_DOWN}|below|off))\w*", around.after, re.IGNORECASE)
    if after:
        return "increase" if after["up"] else "decrease"
    if re.search(r"\bto\s+(?:\w+\s+)?$", around.before) and (
        direction or re.search(r"\b(?:doubl|tripl|halv)", around.before)
    ):
        return "target"
    if around.says_by() and direction:
        return direction
    if phrase.form in ("percent", "fraction") and not phrase.share_of:
        return direction or "increase"
    if re.search(
        r"\b(?:extra|up|saving|savings?\s+of|saves?|save|cuts?\s+(?:of|worth))\s+(?:\w+\s+)?$",
        around.before,
        re.IGNORECASE,
    ):
        return direction
    return None


def _resolve(
    phrase: _Phrase, context: str, default_dollar: str, countries: Mapping[str, float], year: int | None
) -> str:
    """The one currency of a money phrase."""
    if phrase.plain_dollar:
        return _dollar(phrase, default_dollar, countries)
    live = [c for c in phrase.currencies if _in_use(c, year)] or list(phrase.currencies)
    if len(live) == 1:
        return live[0].code
    by_weight = _heaviest(live, countries)
    if by_weight:
        return by_weight.code
    names = {c.code for c in live}
    for other in _neighbours(context, phrase):
        shared = [c for c in other.currencies if c.code in names]
        if shared and len(other.currencies) < len(phrase.currencies):
            return shared[0].code
    return live[0].code


def _in_use(currency: _Currency, year: int | None) -> bool:
    if currency.last_year is None:
        return True
    return year is not None and year <= currency.last_year


def _heaviest(currencies: list[_Currency], countries: Mapping[str, float]) -> _Currency | None:
    best, best_weight = None, 0.0
    ended_first = sorted(currencies, key=lambda c: c.last_year or 9999)  # an old currency still in use in its year
    for currency in ended_first:
        weight = sum(countries.get(country, 0.0) for country in currency.countries)
        weight *= 2.0 if currency.code in _HARD_CURRENCIES else 1.0
        if weight > best_weight:
            best, best_weight = currency, weight
    return best


def _dollar(phrase: _Phrase, default_dollar: str, countries: Mapping[str, float]) -> str:
    """Which dollar a plain "$" is: a local one only where its country leads the text and the United States does not."""
    total = sum(countries.values())
    if not total:
        return default_dollar
    local = max(_DOLLAR_COUNTRIES, key=lambda c: (countries.get(c, 0.0), c))
    weight = countries.get(local, 0.0)
    if weight >= 0.4 * total and weight > 1.5 * countries.get("US", 0.0):
        return _PLAIN_DOLLARS[local]
    return default_dollar


def _neighbours(context: str, phrase: _Phrase) -> Iterator[_Phrase]:
    """Money phrases of the same text, nearest first, those before the phrase ahead of those after it."""
    lo, hi = max(0, phrase.start - _FAR), phrase.end + _FAR
    while lo > 0 and context[lo - 1].isalnum():
        lo -= 1
    others = [
        p for p in _scan(context, lo, hi) if p.form == "money" and (p.end <= phrase.start or p.start >= phrase.end)
    ]
    yield from sorted(
        others, key=lambda p: phrase.start - p.end if p.end <= phrase.start else 2 * (p.start - phrase.end)
    )


def _code_nearby(
    phrase: _Phrase, context: str, default_dollar: str, countries: Mapping[str, float], year: int | None
) -> str | None:
    """The currency of a number that names none: that of the nearest money, else of the country that leads the text."""
    for other in _neighbours(context, phrase):
        return _resolve(other, context, default_dollar, countries, year)
    if not countries:
        return None
    leader = max(sorted(countries), key=lambda c: countries[c])
    main = _currencies().main.get(leader)
    return main.code if main and countries[leader] > 0.5 * sum(countries.values()) else None
