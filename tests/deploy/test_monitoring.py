"""Alerts and dashboard: their queries parse, and ask for metrics and labels that the service really tells."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, get_args

import promql_parser
import pytest
from conftest import running
from manifests import DEPLOY, base, env_file
from prometheus_client.parser import text_string_to_metric_families

from app.serving.errors import Refusal

OF_THE_TARGET = {"namespace", "pod", "job"}  # what the ServiceMonitor adds to every series
GRAFANA = {"$__rate_interval": "5m"}
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES: list[dict[str, Any]] = [rule for group in base("PrometheusRule")["spec"]["groups"] for rule in group["rules"]]


def selectors(expression: object) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of series in a query."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression
        case promql_parser.MatrixSelector():
            yield expression.vector_selector
        case promql_parser.Call():
            for argument in expression.args:
                yield from selectors(argument)
        case promql_parser.AggregateExpr():
            yield from selectors(expression.expr)
        case promql_parser.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from selectors(expression.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:
            raise AssertionError(f"unknown part of a query: {expression!r}")


def grouped_by(expression: object) -> Iterator[tuple[set[str], object]]:
    """The labels of each ``by``, with the expression that they are taken from."""
    match expression:
        case promql_parser.AggregateExpr():
            if expression.modifier is not None:
                assert expression.modifier.type == promql_parser.AggModifierType.By
                yield set(expression.modifier.labels), expression.expr
            yield from grouped_by(expression.expr)
        case promql_parser.Call():
            for argument in expression.args:
                yield from grouped_by(argument)
        case promql_parser.BinaryExpr():
            yield from grouped_by(expression.lhs)
            yield from grouped_by(expression.rhs)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from grouped_by(expression.expr)


@pytest.fixture
async def told() -> dict[str, dict[str, set[str]]]:
    """Name, label and values of every sample that a service tells after some work."""
    async with running() as service:
        assert (await service.extract("Rossi met")).status_code == 200
        assert (await service.client.post("/v1/extract/batch", json={"articles": [{}]})).status_code == 200
        text = (await service.client.get("/metrics")).text
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
    return found


@pytest.mark.anyio
async def test_guide_lists_the_metrics_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}
    assert len(documented) == len(rows)
    async with running() as service:
        await service.extract("Rossi met")
        text = (await service.client.get("/metrics")).text
    exported = {
        family.name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for family in text_string_to_metric_families(text)
    }
    exported["events_refusals"] = ("counter", {"reason"})
    assert documented == exported


def queries() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in GRAFANA.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "query"), list(queries()))
async def test_query_asks_for_what_the_service_tells(
    name: str, query: str, told: dict[str, dict[str, set[str]]]
) -> None:
    parsed = promql_parser.parse(query)
    found = list(selectors(parsed))
    assert found
    for selector in found:
        assert selector.name in told
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*told[selector.name], *OF_THE_TARGET}
    for labels, inner in grouped_by(parsed):
        for selector in selectors(inner):
            assert labels <= {*told[selector.name or ""], *OF_THE_TARGET}


@pytest.mark.anyio
async def test_matched_values_are_those_the_service_tells(told: dict[str, dict[str, set[str]]]) -> None:
    for name, query in queries():
        for selector in selectors(promql_parser.parse(query)):
            for matcher in selector.matchers.matchers:
                if matcher.name == "route":
                    routes = told["events_http_requests_total"]["route"]
                    assert any(re.fullmatch(matcher.value, route) for route in routes), name
                if matcher.name == "reason":
                    assert set(matcher.value.split("|")) <= set(get_args(Refusal)), name
                if matcher.name == "outcome" and matcher.value == "answered":
                    assert matcher.value in told["events_articles_total"]["outcome"], name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "for" not in rule or promql_parser.parse_duration(rule["for"]).total_seconds() > 0
    # A condition, not a bare value, which would fire always.
    expression = promql_parser.parse(rule["expr"])
    assert isinstance(expression, promql_parser.BinaryExpr)
    assert "{{ $value" not in rule["annotations"]["description"]
    guide = (DEPLOY / "README.md").read_text()
    assert f"`{rule['alert']}`" in guide


def test_alerts_are_named_once() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 0


def test_bound_of_the_queue_alert_is_that_of_the_settings() -> None:
    [rule] = [rule for rule in RULES if rule["alert"] == "EventsQueueSaturated"]
    bound = promql_parser.parse(rule["expr"])
    assert isinstance(bound, promql_parser.BinaryExpr)
    assert isinstance(bound.rhs, promql_parser.NumberLiteral)
    assert bound.rhs.val == math.floor(0.8 * int(env_file()["EVENTS_MAX_QUEUED_TOKENS"]))


def test_panels_are_whole() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    for panel in PANELS:
        assert panel["description"]
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_variables_are_declared() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    used = {match[1] or match[2] for match in VARIABLE.finditer(json.dumps(DASHBOARD)) if match[0] != "$__all"}
    assert used == declared
