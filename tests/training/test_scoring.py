"""The scorer: what counts as the same, how events are matched, and at which stage an error is booked."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from training.scoring import COMPOSITE, ROWS, STAGES, Table, same_name, score

TEXT = (
    "Foreign Minister Ines Calder met Prime Minister Tomas Brede in Oslo on Monday. "
    "Their talks lasted an hour.\n"
    "Norland pledged 40 million euros for flood relief by 2030. "
    "The pledge was welcomed. On Friday Calder will visit Bergen."
)


def gold() -> dict[str, dict[str, Any]]:
    """One article with a meeting of two mentions, a commitment of two and a visit of one."""
    meeting = {
        "type": "meeting",
        "status": "occurred",
        "mentions": [{"trigger": "met", "quote": "Calder met Prime"}, {"trigger": "talks", "quote": "Their talks"}],
        "participants": [
            {"name": "Ines Calder", "aliases": ["Calder"], "role": "participant"},
            {"name": "Tomas Brede", "aliases": [], "role": "host"},
        ],
        "locations": [{"name": "Oslo", "aliases": [], "country": "NO"}],
        "dates": [{"text": "Monday", "value": "2024-03-04", "role": "when"}],
        "amounts": [],
        "purpose": None,
    }
    commitment = {
        "type": "budget_commitment",
        "status": "occurred",
        "mentions": [
            {"trigger": "pledged", "quote": "Norland pledged"},
            {"trigger": "pledge", "quote": "The pledge was"},
        ],
        "participants": [{"name": "Norland", "aliases": [], "role": "funder"}],
        "locations": [],
        "dates": [{"text": "by 2030", "value": "2030", "role": "target"}],
        "amounts": [{"text": "40 million euros", "value": 40000000, "unit": "EUR", "kind": "total"}],
        "purpose": "flood relief",
    }
    visit = {
        "type": "visit",
        "status": "planned",
        "mentions": [{"trigger": "visit", "quote": "will visit Bergen"}],
        "participants": [{"name": "Ines Calder", "aliases": ["Calder"], "role": "visitor"}],
        "locations": [{"name": "Bergen", "aliases": [], "country": "NO"}],
        "dates": [{"text": "Friday", "value": "2024-03-08", "role": "when"}],
        "amounts": [],
        "purpose": None,
    }
    return {"a": {"id": "a", "text": TEXT, "title": "Calder meets Brede", "events": [meeting, commitment, visit]}}


def span(phrase: str, nth: int = 0) -> dict[str, Any]:
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(phrase, start + 1)
    return {"text": phrase, "start": start, "end": start + len(phrase)}


def perfect() -> list[dict[str, Any]]:
    """The events of ``gold`` in the form of predictions."""
    meeting, commitment, visit = copy.deepcopy(gold()["a"]["events"])
    meeting["mentions"] = [span("met"), span("talks")]
    commitment["mentions"] = [span("pledged"), span("pledge", 1)]
    commitment["purpose"] = span("flood relief")
    visit["mentions"] = [span("visit")]
    for event in (meeting, commitment, visit):
        for item in event["participants"] + event["locations"]:
            del item["aliases"]
            item["mentions"] = [span(item["name"])] if item["name"] in TEXT else []
        event["dates"] = [{**d, **span(d["text"])} for d in event["dates"]]
        event["amounts"] = [{**a, **span(a["text"])} for a in event["amounts"]]
    return [meeting, commitment, visit]


def counts(table: Table, row: str) -> tuple[int, int, int]:
    found = table.row(row)
    return found.right, found.predicted, found.gold


def scored(*events: dict[str, Any]) -> Table:
    return score(gold(), {"a": list(events)})


def test_the_annotation_itself_is_right_in_every_row() -> None:
    table = scored(*perfect())
    assert {row.name: row.f1 for row in table.rows} == dict.fromkeys(ROWS, 1.0)
    assert table.composite == 100.0
    assert table.errors == ()
    assert table.linking.pairs.f1 == table.linking.b_cubed_f1 == 1.0


def test_the_predictions_may_be_in_the_annotated_form() -> None:
    assert score(gold(), {"a": gold()["a"]["events"]}).composite == 100.0


def test_an_absent_article_has_no_events() -> None:
    table = score(gold(), {})
    assert counts(table, "event") == (0, 0, 3)
    assert table.composite == 0.0


def test_rates_and_composite_of_a_partial_answer() -> None:
    table = scored(perfect()[0])
    assert counts(table, "event") == (1, 1, 3)
    assert table.row("event").precision == 1.0
    assert table.row("event").recall == pytest.approx(1 / 3)
    # participant+role 2 of 2 and of 4, location 1 of 2, date 1 of 3, no amount of 1, status 1 of 3
    expected = {"event": 50.0, "participant+role": 66.7, "location": 66.7, "date": 50.0, "amount": 0.0, "status": 50.0}
    assert {name: round(100 * table.row(name).f1, 1) for name in COMPOSITE} == expected
    assert table.composite == round(sum(expected.values()) / 6, 1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ines Calder", "ines calder's", True),
        ("Ines Calder", "Foreign Minister Ines Calder", True),
        ("Calder", "Ines Maria Calder", True),
        ("Calder", "Anna Ines Maria Sol Calder", False),  # four more names are somebody else
        ("Calder", "Calder Institute", False),  # another last word that is no title
        ("the minister", "Prime Minister", True),
        ("minister", "transport minister", False),  # a title alone is no last name
        ("the prime minister", "Tomas Brede", False),
        ("Anglo-Danish Bank", "anglo danish bank", True),
        ("U.N.", "UN", True),
        ("the", "of", False),
        ("", "", False),
    ],
)
def test_names(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same


def test_a_participant_counts_by_any_alias_or_mention() -> None:
    meeting = perfect()[0]
    meeting["participants"][0] = {"name": "Calder", "role": "participant", "mentions": []}
    meeting["participants"][1] = {"name": "the host", "role": "host", "mentions": [span("Tomas Brede")]}
    assert counts(scored(meeting), "participant+role") == (2, 2, 4)


def test_one_participant_is_not_counted_twice() -> None:
    meeting = perfect()[0]
    meeting["participants"] = [meeting["participants"][0]] * 2
    assert counts(scored(meeting), "participant") == (1, 2, 4)


def test_an_event_can_match_by_sentence_and_participant() -> None:
    meeting = perfect()[0]
    meeting["mentions"] = [span("Oslo")]
    assert counts(scored(meeting), "event") == (1, 1, 3)
    assert counts(scored(meeting), "mention")[0] == 0
    meeting["participants"] = []  # nothing shared
    assert counts(scored(meeting), "event") == (0, 1, 3)


def test_an_event_of_another_sentence_or_type_does_not_match() -> None:
    meeting = perfect()[0]
    meeting["mentions"] = [span("welcomed")]
    assert counts(scored(meeting), "event") == (0, 1, 3)
    meeting = perfect()[0] | {"type": "visit"}
    assert counts(scored(meeting), "event") == (0, 1, 3)


def test_an_event_can_match_by_sentence_and_amount() -> None:
    commitment = perfect()[1]
    commitment["mentions"] = [span("flood")]
    commitment["participants"] = []
    assert counts(scored(commitment), "event") == (1, 1, 3)


def test_of_two_candidates_the_one_that_shares_more_is_matched() -> None:
    whole, poor = perfect()[0], perfect()[0]
    poor["participants"], poor["dates"] = [], []
    for order in ((whole, poor), (poor, whole)):
        table = scored(*order)
        assert counts(table, "event") == (1, 2, 3)
        assert counts(table, "participant") == (2, 2, 4)
        assert counts(table, "date") == (1, 1, 3)


def test_a_date_without_value_claims_nothing() -> None:
    meeting = perfect()[0]
    meeting["dates"].append({**span("Friday"), "value": None, "role": "when"})
    before = copy.deepcopy(meeting)
    assert counts(scored(meeting), "date") == (1, 1, 3)
    assert meeting == before


@pytest.mark.parametrize(
    ("value", "unit", "right"),
    [(40_300_000, "EUR", 1), (40_500_000, "EUR", 0), (40_000_000, "USD", 0), (None, "EUR", 0)],
)
def test_amounts_agree_within_a_hundredth_in_one_unit(value: float | None, unit: str, right: int) -> None:
    commitment = perfect()[1]
    commitment["amounts"][0] |= {"value": value, "unit": unit}
    assert counts(scored(commitment), "amount") == (right, 1, 1)


def test_countries_count_apart_from_names() -> None:
    meeting = perfect()[0]
    meeting["locations"] = [{"name": "Elsewhere", "country": "NO", "mentions": []}]
    table = scored(meeting)
    assert counts(table, "location") == (0, 1, 2)
    assert counts(table, "country") == (1, 1, 2)


def test_a_purpose_needs_one_content_word() -> None:
    commitment = perfect()[1]
    commitment["purpose"] = "the relief of the flooded"
    assert counts(scored(commitment), "purpose") == (1, 1, 1)
    commitment["purpose"] = "the of"
    assert counts(scored(commitment), "purpose") == (0, 1, 1)


def test_a_quote_that_is_not_there_is_refused() -> None:
    articles = gold()
    articles["a"]["events"][0]["mentions"][0]["quote"] = "Calder shunned Brede"
    with pytest.raises(ValueError, match="substring"):
        score(articles, {})


def stages(*events: dict[str, Any]) -> dict[str, int]:
    return {stage: n for stage, n in scored(*events).stages.items() if n}


def test_triggers_missed_false_and_of_the_wrong_type() -> None:
    meeting, commitment, visit = perfect()
    meeting["mentions"] = [span("met"), span("welcomed")]
    assert stages(meeting, commitment, visit) == {"trigger missed": 1, "trigger false": 1}
    meeting, commitment, visit = perfect()
    assert stages(meeting, commitment, visit | {"type": "meeting"}) == {"wrong type": 1}
    assert stages(meeting, commitment) == {"trigger missed": 1}  # its fields are lost with it


def test_an_event_in_two_pieces_is_split() -> None:
    meeting, commitment, visit = perfect()
    first, second = meeting | {"mentions": [span("met")]}, meeting | {"mentions": [span("talks")]}
    table = scored(first, second, commitment, visit)
    assert {s: n for s, n in table.stages.items() if n} == {"events split wrongly": 1}
    [error] = table.errors
    assert (error.article, error.event, error.predicted_event) == ("a", 0, 1)
    linking = table.linking
    assert (linking.mentions, linking.merged, linking.split) == (5, 0, 1)
    # Of the two gold pairs one is found; both halves of the meeting recall a half.
    assert (linking.pairs.right, linking.pairs.predicted, linking.pairs.gold) == (1, 1, 2)
    assert linking.b_cubed_precision == 1.0
    assert linking.b_cubed_recall == pytest.approx((1 / 2 + 1 / 2 + 3) / 5)


def test_two_events_in_one_are_merged() -> None:
    articles = gold()
    meeting = articles["a"]["events"][0]
    articles["a"]["events"][0] = meeting | {"mentions": meeting["mentions"][:1]}
    articles["a"]["events"].append(meeting | {"mentions": meeting["mentions"][1:], "participants": []})
    table = score(articles, {"a": perfect()})
    assert {s: n for s, n in table.stages.items() if n} == {"events merged wrongly": 1}
    assert [(e.event, e.predicted_event) for e in table.errors] == [(3, 0)]
    linking = table.linking
    assert (linking.pairs.right, linking.pairs.predicted, linking.pairs.gold) == (1, 2, 1)
    assert linking.b_cubed_precision == pytest.approx((1 / 2 + 1 / 2 + 3) / 5)
    assert linking.b_cubed_recall == 1.0


def test_a_phrase_of_two_events_found_for_one_merges_them() -> None:
    articles = gold()
    other = copy.deepcopy(articles["a"]["events"][0]) | {"mentions": [{"trigger": "talks", "quote": "Their talks"}]}
    articles["a"]["events"].append(other)
    table = score(articles, {"a": perfect()})
    assert {s: n for s, n in table.stages.items() if n} == {"events merged wrongly": 1}
    assert counts(table, "mention") == (5, 5, 6)


def test_errors_inside_a_matched_event_carry_both_values() -> None:
    meeting, commitment, visit = perfect()
    meeting["status"] = "planned"
    meeting["participants"][1]["role"] = "participant"
    meeting["participants"].append({"name": "Norland", "role": "participant", "mentions": [span("Norland")]})
    meeting["locations"][0]["country"] = "SE"
    meeting["dates"][0]["value"] = "2024-03-11"
    commitment["participants"] = []
    commitment["amounts"][0]["value"] = 40
    commitment["purpose"] = None
    visit["dates"][0]["role"] = "target"
    visit["participants"][0]["name"] = "Calder"
    found = {(e.stage, e.field, e.event, e.expected, e.got) for e in scored(meeting, commitment, visit).errors}
    assert found == {
        ("wrong status", "status", 0, "occurred", "planned"),
        ("wrong role", "participant", 0, "host Tomas Brede", "participant Tomas Brede"),
        ("argument false", "participant", 0, None, "participant Norland"),
        ("wrong value", "country", 0, "NO", "SE"),
        ("wrong value", "date", 0, "when 2024-03-04 “Monday”", "when 2024-03-11 “Monday”"),
        ("argument missed", "participant", 1, "funder Norland", None),
        ("wrong value", "amount", 1, "total 40000000 EUR “40 million euros”", "total 40 EUR “40 million euros”"),
        ("argument missed", "purpose", 1, "flood relief", None),
        ("wrong role", "date", 2, "when 2024-03-08 “Friday”", "target 2024-03-08 “Friday”"),
    }


def test_a_name_that_only_an_alias_saves_is_told() -> None:
    articles = gold()
    articles["a"]["events"][0]["participants"][1]["aliases"] = ["Prime Minister"]
    meeting, commitment, visit = perfect()
    meeting["participants"][1] |= {"name": "Prime Minister", "mentions": [span("Prime Minister")]}
    table = score(articles, {"a": [meeting, commitment, visit]})
    assert table.composite == 100.0
    assert [(e.stage, e.expected, e.got) for e in table.errors] == [("wrong name", "Tomas Brede", "Prime Minister")]


def test_a_badly_cut_name_is_one_error() -> None:
    meeting, commitment, visit = perfect()
    meeting["participants"][1] |= {"name": "Brede in Oslo", "mentions": [span("Brede in Oslo")]}
    assert stages(meeting, commitment, visit) == {"wrong name": 1}


def test_an_unanchored_date_is_a_wrong_value_not_a_false_one() -> None:
    meeting, commitment, visit = perfect()
    meeting["dates"][0]["value"] = None
    meeting["dates"].append({**span("an hour"), "value": None, "role": "when"})
    assert stages(meeting, commitment, visit) == {"wrong value": 1}


def test_the_stages_of_the_table_are_all_there_in_order() -> None:
    assert tuple(scored().stages) == STAGES


def test_articles_without_events_that_get_none() -> None:
    articles = gold() | {k: {"id": k, "text": TEXT, "events": []} for k in "bc"}
    table = score(articles, {"a": perfect(), "b": perfect()})
    assert table.quiet == (1, 2)
    assert counts(table, "event") == (3, 6, 3)


def test_sums_run_over_articles() -> None:
    articles = gold() | {"b": gold()["a"] | {"id": "b"}}
    table = score(articles, {"a": perfect()})
    assert counts(table, "event") == (3, 3, 6)
    assert table.row("event").f1 == pytest.approx(2 / 3)
    assert {e.article for e in table.errors} == {"b"}
