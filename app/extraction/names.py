"""What two mentions of participants have in common as strings, and which of a participant's names is the fullest."""

from __future__ import annotations

import re
from functools import lru_cache

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
_STOP = frozenset("the a an of for to in on and or its their his her our this that".split())
_WORD = re.compile(r"[^\W_]+(?:[.’'&-][^\W_]+)*", re.UNICODE)
_POSSESSIVE = re.compile(r"[’']s?$")


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The lower-cased content words of a name, without a closing possessive."""
    found = (_POSSESSIVE.sub("", w) for w in _WORD.findall(name.lower()))
    return tuple(w.replace(".", "") for w in found if w not in _STOP)


def is_proper(name: str) -> bool:
    """True for a name proper ("Mark Rutte", "NATO"), False for a description ("the minister")."""
    tokens = [w for w in _WORD.findall(name) if w.lower() not in _STOP]
    return bool(tokens) and tokens[-1][0].isupper() and any(t.lower() not in TITLE_WORDS for t in tokens)


def pair_features(left: str, right: str) -> tuple[float, ...]:
    """`NAME_FEATURES` numbers in 0..1 that compare two mentions as strings."""
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
