"""Whether the sentence around a phrase speaks of what was or of what is to come, told by its verbs."""

from __future__ import annotations

import re

_REACH = 240  # code points read on either side of a phrase

_AHEAD = re.compile(
    r"\b(?:will|shall|won't|would|should|must|may|could|can"
    r"|(?:is|are) (?:\w+ )?(?:to|due|set|scheduled|expected|slated|off|on)\b|(?:was|were|had) to"
    r"|due|scheduled|slated|expected|awaited|foreseen|convoked|planned|invited"
    r"|plans? (?:to|for)|going to|hopes? to|intends? to"
    r"|to (?!the\b|a\b|an\b|his\b|her\b|its\b|their\b|this\b|that\b)[a-z]{2,}(?<!ing)\b"
    r"|meets?|goes|travels|heads|leaves|until|till|through|ends|by)\b|['’]ll\b",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\b(?:had|has|have|was|were|did|said|told|met|held|went|sat|flew|took|came|gave|left|spoke|began|saw|sent"
    r"|made|won"
    r"|sought|ran|put|set aside|turned down|threw out|froze|cut|fell|[a-z]+(?<!ne)(?<!f)ed)\b(?! to\b)",
    re.IGNORECASE,
)
_SURELY = re.compile(
    r"\b(?:will|shall|is to|are to|is due to|are due to|is set to|is expected to)\b[^,;]*$", re.IGNORECASE
)
_HAD_BEEN = re.compile(r"\bhad (?:been|planned|hoped|intended|asked|wanted)\b", re.IGNORECASE)
_OFF = re.compile(
    r"\b(?:(?:was|were|is|are) (?:to\b|due|set|scheduled|expected)|due (?:to|on|for|in)|(?:would|does|do) not\b"
    r"|will\b|won't|would no longer"
    r"|(?:planned|scheduled|set|slated|booked|foreseen|fixed|called|convened) (?:for|to)\b"
    r"|(?:is|are) (?:now |also )?(?:off|cancelled|canceled|postponed)"
    r"|(?:has|have) been (?:put off|called off|postponed|cancelled|canceled|dropped|scrapped|shelved|delayed"
    r"|abandoned)"
    r")\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]?\s+(?=[\"'“‘(]?[A-Z])|\n")
_ABBREVIATION = re.compile(
    r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Gen|Lt|Col|Sen|Rep|Gov|No|vs|etc"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|a\.m|p\.m)$"
)


def before_and_after(text: str, start: int, end: int) -> tuple[str, str]:
    """The sentence around ``text[start:end]``: what stands before it and what after, at most 240 code points each."""
    before = text[max(0, start - _REACH) : start]
    for match in reversed(list(_SENTENCE_END.finditer(before))):
        if match.group() == "\n" or not _ABBREVIATION.search(before, 0, match.start()):
            before = before[match.end() :]
            break
    after = text[end : end + _REACH]
    for match in _SENTENCE_END.finditer(after):
        if match.start() < 2 and not before:  # a heading ("Friday.") speaks of the sentence after it
            continue
        if match.group() == "\n" or not _ABBREVIATION.search(after, 0, match.start()):
            after = after[: match.start()]
            break
    return before, after


def tense(before: str, after: str) -> int:
    """-1 past, 1 future, 0 unknown: by the nearest verb before the phrase, else by the first one after it."""
    ahead = max((match.start() for match in _AHEAD.finditer(before)), default=-1)
    behind = max((match.start() for match in _BEHIND.finditer(before)), default=-1)
    if ahead != behind:
        return 1 if ahead > behind else -1
    first_ahead, first_behind = _AHEAD.search(after), _BEHIND.search(after)
    if first_ahead and (not first_behind or first_ahead.start() <= first_behind.start()):
        return 1
    return -1 if first_behind else 0


def surely_ahead(before: str) -> bool:
    """Whether the clause that leads to the phrase is plainly in the future ("will meet on ...")."""
    return bool(_SURELY.search(before))


def called_off(before: str, after: str) -> bool:
    """Whether the sentence tells of something called off while it was still to come."""
    if _HAD_BEEN.search(before):
        return False
    return bool(_OFF.search(before) or _OFF.search(after))
