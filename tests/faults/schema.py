"""Requests made up from the OpenAPI document, good and bad, against a running service: it keeps to its document."""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection

from .harness import Report, service


def lines(_: schemathesis.SerializationContext, value: object) -> bytes:
    """Lines as they were made up."""
    return value.encode() if isinstance(value, str) else repr(value).encode()


def longest_wait(case: schemathesis.Case[Any]) -> float:
    try:
        return float(str(case.headers.get("X-Request-Timeout", "60")))
    except ValueError:
        return math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="for each operation")
    examples = parser.parse_args().examples
    report = Report(f"made-up requests: {examples} for each operation")
    schemathesis.serializer("application/x-ndjson")(lines)
    with service(("-m", "app", "serve"), threads=1, log_level="warning") as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            started = time.monotonic()
            sent = 0

            @settings(
                max_examples=examples,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(
                case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
                | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            )
            def keeps_to_its_document(case: schemathesis.Case[Any]) -> None:
                nonlocal sent
                sent += 1
                if longest_wait(case) < 1:
                    del case.headers["X-Request-Timeout"]  # or it would rightly get 504
                # What is wrong with one article of a batch is told in its place, and foreign headers are no fault.
                strict = case.path == "/v1/extract" and case.meta and case.meta.is_negative_at(ParameterLocation.BODY)
                case.call_and_validate(excluded_checks=[] if strict else [negative_data_rejection])

            keeps_to_its_document()
            report.check(operation.label, True, f"{sent} requests in {time.monotonic() - started:.0f} s")
        ready = running.process.poll() is None and running.metrics()["events_ready"] == 1
        report.check("it serves on", ready)
        told = [line for line in running.logs() if line["level"] in ("ERROR", "CRITICAL")]
        report.check("no error was logged", not told, told[:3] or "none")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
