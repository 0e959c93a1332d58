"""A call of the model that raises: that request gets a 500 that tells nothing, the others their answer."""

from __future__ import annotations

import sys
import threading

import httpx

from .harness import FAKE, HTTP, Report, service

ROUNDS = 200


def main() -> int:
    report = Report("a call of the model that raises")
    answers: dict[str, list[httpx.Response]] = {"poison": [], "unfinishable": [], "Rossi met": []}
    with service(FAKE) as running:

        def ask(text: str) -> None:
            with httpx.Client(base_url=running.url, timeout=60) as client:
                for number in range(ROUNDS):
                    answers[text].append(client.post("/v1/extract", json={"text": f"{text} Zanzibarium {number}"}))

        threads = [threading.Thread(target=ask, args=(text,)) for text in answers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        batch = HTTP.post(
            f"{running.url}/v1/extract/batch",
            json={"articles": [{"text": "Weber met"}, {"text": "poison"}, {"text": "Rossi met"}]},
        )
        metrics = running.metrics()
        logged = running.log.read_text()
    bad = answers["poison"] + answers["unfinishable"]
    problems = [a for a in bad if a.status_code == 500 and a.headers["content-type"] == "application/problem+json"]
    report.check("it gets 500 as a problem", len(problems) == 2 * ROUNDS, f"{len(problems)} of {2 * ROUNDS}")
    good = [a for a in answers["Rossi met"] if a.status_code == 200 and len(a.json()["events"]) == 1]
    report.check("those beside and after it are answered", len(good) == ROUNDS, f"{len(good)} of {ROUNDS}")
    kinds = ["error" in result for result in batch.json()["results"]]
    report.check("in a batch it has its error in its place", kinds == [False, True, False], kinds)
    leaks = [a for a in bad if "Zanzibarium" in a.text or "Traceback" in a.text or ".py" in a.text]
    report.check(
        "no word of an article in answers or logs",
        not leaks and "Zanzibarium" not in logged,
        f"{len(logged)} bytes of log",
    )
    report.check("nothing stays admitted", metrics["events_admitted_tokens"] == 0, metrics["events_admitted_tokens"])
    failed = metrics['events_articles_total{outcome="failed"}']
    report.check("metrics count them", failed == 2 * ROUNDS + 1, f"{failed:.0f} failed")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
