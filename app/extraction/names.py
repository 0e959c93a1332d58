"""What two mentions of participants have in common as strings, and which of a participant's names is the fullest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from app.extraction.values import Kind

TITLE_WORDS = frozenset(
    """mr mrs ms miss dr prof professor sir lord lady dame baroness president vice deputy prime minister premier foreign
    defence defense finance interior health home secretary general secretary-general chancellor king queen prince
    princess crown sheikh emir sultan gen lt col maj capt cmdr adm lieutenant colonel major captain commander admiral
    sergeant marshal brigadier senator sen representative rep congressman congresswoman mp ambassador envoy special
    former acting interim ex then-president incoming outgoing designate elect president-elect chief head leader chairman
    chairwoman chair director speaker governor mayor judge justice pope cardinal archbishop bishop reverend rev rabbi
    imam ayatollah father sister commissioner chairperson ceo spokesman spokeswoman spokesperson attorney state affairs
    security national treasury trade and of the for""".split()
)
FEATURES = 8  # of a pair of names
_STOP = frozenset("the a an of for to in on and or its their his her our this that".split())
_WORD = re.compile(r"[^\W_]+(?:[.’'&-][^\W_]+)*", re.UNICODE)
_POSSESSIVE = re.compile(r"[’']s?$")
_CLAUSE_END = re.compile(r"[^\w.’' \t-]")
_NAME_WORD = r"[^\W\d_a-z][\w’'-]*[^\W_]"
_FULL_NAME = rf"{_NAME_WORD}(?: (?:(?:al|bin|van|von|de|da|dos|del|la|el|ben)[ -])*{_NAME_WORD}){{1,2}}"
_OTHER_RANK = re.compile(r"(?i)\b(?:vice|deputy|former|late|ex)[ -]$")
_BEFORE = 120  # code points before a family name in which given names are sought ...
_PLACES = 200  # ... at this many of its places


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The lower-cased content words of a name, without a closing possessive."""
    found = (_POSSESSIVE.sub("", w) for w in _WORD.findall(name.lower()))
    return tuple(w.replace(".", "") for w in found if w not in _STOP)


@lru_cache(maxsize=4096)
def is_proper(name: str) -> bool:
    """True for a name proper ("Mark Rutte", "NATO"), False for a description ("the minister")."""
    tokens = [w for w in _WORD.findall(name) if w.lower() not in _STOP]
    return bool(tokens) and tokens[-1][0].isupper() and any(t.lower() not in TITLE_WORDS for t in tokens)


@lru_cache(maxsize=8192)
def pair_features(left: str, right: str) -> tuple[float, ...]:
    """`FEATURES` numbers in 0..1 that compare two mentions as strings."""
    a, b = words(left), words(right)
    if not a or not b:
        return (0.0,) * 8
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    shared = set(a) & set(b)
    initials = "".join(w[0] for w in large)
    return (
        float(a == b),
        float(set(small) <= set(large)),
        float(a[-1] == b[-1]),
        float(a[0] == b[0]),
        float(len(small) == 1 and len(small[0]) > 1 and len(large) > 1 and initials.startswith(small[0])),
        float(is_proper(left) and is_proper(right)),
        float(is_proper(left) != is_proper(right)),
        len(shared) / len(set(a) | set(b)),
    )


_PERSON_TITLES = frozenset(
    """mr mrs ms miss dr prof professor sir lord lady dame baroness president minister premier secretary
    secretary-general chancellor king queen prince princess sheikh emir sultan gen general lt col colonel maj major
    capt captain cmdr commander adm admiral sergeant marshal brigadier senator sen rep representative congressman
    congresswoman mp ambassador envoy chief leader chairman chairwoman director speaker governor gov mayor judge justice
    pope cardinal archbishop bishop reverend rev rabbi imam ayatollah commissioner chairperson ceo spokesman spokeswoman
    president-elect lieutenant deputy counterpart candidate lawmaker coach""".split()
)
_ALSO_NAMES = frozenset("gen sen rep maj col".split())  # given names too, where no dot tells the title
_CROWNED = frozenset("king queen prince princess pope emir sultan sheikh".split())
_ORGANIZATION_NOUNS = frozenset(
    """ministry department council committee commission parliament congress senate house cabinet government party union
    nations bank fund agency office authority board university school hospital company group corporation corp inc ltd
    plc association federation alliance league organization organisation court army navy force forces police staff
    assembly institute foundation trust club church club coalition administration council bundestag knesset kremlin
    center centre service services team mission bloc chamber bureau secretariat airlines industries energy holdings
    society college academy museum network council treasury pentagon body""".split()
)
_GROUP_NOUNS = frozenset(
    """people officials leaders ministers delegates lawmakers members representatives families residents citizens
    refugees farmers workers teachers students women men children veterans victims voters supporters diplomats
    negotiators envoys delegation delegations experts scientists soldiers troops rebels protesters both two sides
    parties countries states officers executives lawyers doctors nurses pensioners households businesses companies
    schools hospitals municipalities councils unions others militants activists counterparts advisers aides""".split()
)
_NO_NAME = frozenset(
    """the a an in on at by with and but for from after before when while as of to mr mrs ms dr monday tuesday wednesday
    thursday friday saturday sunday january february march april may june july august september october november
    december he she his her they their it its this that these us uk u.s american british french german russian chinese
    japanese indian republican republicans democrat democrats democratic senators says said meanwhile however
    then yesterday today later earlier also both since
    """.split()
)
_LINKING = frozenset("al bin ibn van von de da di dos del della la le el der den ben abu y e".split())


def strip_titles(name: str) -> str:
    """The name behind titles that stand before it ("Defense Minister Gen Nakatani" to "Gen Nakatani")."""
    tokens = name.split()
    last = max((i for i, t in enumerate(tokens[:-1]) if t.lower().strip(".,") in _PERSON_TITLES), default=-1)
    if last == len(tokens) - 2 and tokens[last].lower() in _ALSO_NAMES:
        last -= 1
    rest = tokens[last + 1 :]
    plain = [t for t in rest if t[0].isupper() or t.lower() in _LINKING]
    if last < 0 or len(plain) < len(rest) or rest[-1].lower() in _ORGANIZATION_NOUNS:
        return name
    if len(rest) == 1 and tokens[last].lower() in _CROWNED:
        return " ".join(tokens[last:])
    return " ".join(rest)


def fullest(mentions: Sequence[str], texts: Sequence[str]) -> str:
    """The fullest name among the ways that one participant is mentioned, completed from the article's ``texts``.

    A lone family name is completed by the capitalised words that stand before it elsewhere; where there is no name
    proper, the longest description serves.
    """
    proper = [_POSSESSIVE.sub("", strip_titles(m)) for m in mentions if is_proper(m)]
    if not proper:
        return max(mentions, key=lambda m: (len(words(m)), -mentions.index(m)))
    best = max(proper, key=lambda m: (len(words(m)), -proper.index(m)))
    if len(best.split()) > 1 or best.isupper():
        return best
    found = [given for text in texts for before in _before(best, text) if (given := _name_part(before))]
    return " ".join([*min(found, key=len), best]) if found else best


def introduced(description: str, at: int, text: str) -> str | None:
    """Who a title alone means: the full name that stands behind the same words elsewhere in the text, if any.

    "the Japanese minister" means Gen Nakatani where the text has "Japanese Defense Minister Gen Nakatani". Of several
    the last one before the code point ``at`` counts, else the first one after it.
    """
    said = [w for w in _WORD.findall(_POSSESSIVE.sub("", description)) if w.lower() not in _STOP]
    titles = [w for w in said if w.lower() in _PERSON_TITLES]
    if not titles or said[-1] != titles[-1]:
        return None
    between = r"(?:[’']s?)?[\s-]+(?:[\w-]+\s+){0,2}?"
    pattern = between.join(re.escape(_POSSESSIVE.sub("", w)) for w in said)
    found = [
        (match.start(), match.group(1))
        for match in islice(re.finditer(rf"(?<![\w-])(?i:{pattern})\s+({_FULL_NAME})", text), _PLACES)
        if not _OTHER_RANK.search(text[max(0, match.start() - 12) : match.start()])
    ]
    if not found:
        return None
    return max((f for f in found if f[0] < at), default=found[0])[1]


def _before(name: str, text: str) -> Iterator[list[str]]:
    """The words that stand before a name in its line and clause, at each of its first places in the text."""
    last = 0
    for match in islice(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text), _PLACES):
        start = max(last, match.start() - _BEFORE)
        last = match.end()
        if text[start : match.start()].endswith((" ", "\t")):
            tokens = _CLAUSE_END.split(text[start : match.start()])[-1].split()
            cut = start > 0 and not text[start - 1].isspace() and not text[start].isspace()
            yield tokens[1:] if cut else tokens


def _name_part(before: list[str]) -> list[str]:
    """The last words of a run before a family name that can be given names, none if there are none."""
    kept: list[str] = []
    for token in reversed(before):
        if token.endswith(".") or sum(t[0].isupper() for t in kept) == 3:
            break
        plain = token.lower().strip(".,'’")
        named = token[0].isupper() and not token.isupper() and plain not in TITLE_WORDS and plain not in _NO_NAME
        if not named and not (plain in _LINKING and token.islower()):
            break
        kept.insert(0, token)
    while kept and kept[0].islower():
        kept.pop(0)
    return kept if len(kept) <= 2 or any(t.islower() for t in kept) else []


def kind_of(name: str, mentions: Sequence[str], country: bool) -> Kind:
    """What a participant is, told from the words that name it; ``country``: the name is a country's."""
    if country:
        return "country"
    said = words(name)
    if not said:
        return "group"
    if said[-1] in _ORGANIZATION_NOUNS or any(w in _ORGANIZATION_NOUNS for w in said[:-1] if "of" in name.split()):
        return "organization"
    if any(w in _GROUP_NOUNS for w in said) or (said[0].isdigit() and len(said) > 1):
        return "group"
    if not is_proper(name):
        return "group" if said[-1].endswith("s") and not said[-1].endswith("ss") else "person"
    if name.isupper() or any(w in _ORGANIZATION_NOUNS for m in mentions for w in words(m)):
        return "organization"
    return "person"


@lru_cache(maxsize=8192)
def bounds(left: str, right: str) -> tuple[float, float]:
    """The least and the greatest probability that two mentions name one participant, by what the strings alone say."""
    a, b = words(left), words(right)
    if a == b:
        return 1.0, 1.0
    if is_proper(left) and is_proper(right) and not set(a) & set(b) and pair_features(left, right)[4] == 0.0:
        return 0.0, 0.1
    return 0.0, 1.0
