"""The command line: ``python -m app --help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy, so each command imports what it needs itself
    from pydantic import ValidationError

    from app.extraction.values import Amount, Event, Extraction
    from app.serving.protocols import ModelInfo
    from app.serving.service import Query
    from app.settings import Settings

FAILED = 1
BAD_INPUT = 2  # as argparse ends on bad arguments
INTERRUPTED = 130

# Headings and widths of the table; with two spaces between, 100 columns.
COLUMNS = (
    ("type", 11),
    ("status", 9),
    ("trigger", 12),
    ("who (role)", 22),
    ("where", 12),
    ("when", 10),
    ("how much", 12),
)


class CommandError(Exception):
    """What is told on stderr, without a trace; ``exit_code`` ends the process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def serve(options: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT."""
    settings = _settings(host=options.host, port=options.port)
    from app.main import serve as serve_settings

    return serve_settings(settings)


def extract(options: argparse.Namespace) -> int:
    """Prints the events of one article."""
    query = _query(options)
    extraction, model = _ask(options.url, query, options.api_key) if options.url else _extract_here(query)
    if options.table:
        print(table(extraction, model))
    else:
        from app.api.schemas import render

        print(render(extraction, model).json.decode())
    return 0


def openapi(_: argparse.Namespace) -> int:
    """Prints the OpenAPI document of the default settings."""
    print(openapi_document(), end="")
    return 0


def openapi_document() -> str:
    """The document as it is committed."""
    from app.main import create_app
    from app.settings import Settings

    defaults = Settings.model_construct()  # whatever the environment holds
    return json.dumps(create_app(defaults).openapi(), indent=2, ensure_ascii=False) + "\n"


def _settings(**flags: object) -> Settings:
    """The settings of the environment, under those flags that were given."""
    from pydantic import ValidationError

    from app.settings import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise CommandError(f"bad settings: {_reasons(error)}", BAD_INPUT) from None


def _query(options: argparse.Namespace) -> Query:
    from pydantic import ValidationError

    from app.api.schemas import ArticleRequest

    asked = {
        "text": _read(options.file),
        "title": options.title,
        "published_at": options.published_at,
        "source_url": options.source_url,
        "types": options.types.split(",") if options.types else None,
        "min_confidence": options.min_confidence,
    }
    try:
        return ArticleRequest.model_validate(asked).query()
    except ValidationError as error:
        raise CommandError(_reasons(error), BAD_INPUT) from None


def _read(name: str) -> str:
    """The text with its line ends as they are, since the answer's offsets count them; a byte order mark is no text."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}", BAD_INPUT) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"cannot read {name}: byte {error.start} is not UTF-8", BAD_INPUT) from None


def _reasons(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in found)


def _ask(url: str, query: Query, api_key: str | None) -> tuple[Extraction, ModelInfo]:
    """The answer of a running service."""
    import httpx

    from app.client import Client, ServiceError

    try:
        with Client(url, retry=False, api_key=api_key or os.environ.get("EVENTS_API_KEY")) as client:
            answer = client.extract(query.article, types=query.types, min_confidence=query.min_confidence)
    except ServiceError as error:
        raise CommandError(f"{url} answered {error}", FAILED) from None
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise CommandError(f"{url} cannot be reached: {error}", FAILED) from None
    return answer, answer.model


def _extract_here(query: Query) -> tuple[Extraction, ModelInfo]:
    """The answer of the model, loaded for it."""
    settings = _settings()
    from app.main import load_extractor

    try:
        extractor = load_extractor(settings, lambda stage, seconds: None)
    except Exception as error:  # whatever a broken folder makes the libraries raise
        raise CommandError(f"the model in {settings.model_folder} cannot be loaded: {error}", FAILED) from None
    segmented = extractor.segment(query.article, query.min_confidence)
    vectors = list(extractor.encode(segmented.windows))
    return extractor.finish(segmented, vectors, query.types, query.min_confidence), extractor.info


# ----------------------------------------------------------------------------------------------------- the table


def table(extraction: Extraction, model: ModelInfo) -> str:
    """The events as plain text of up to 100 columns, without an end of line."""
    rows = [[title for title, _ in COLUMNS], ["-" * width for _, width in COLUMNS]]
    lines = [line for row in rows for line in _lines([[cell] for cell in row])]
    for event in extraction.events:
        lines += _lines(_cells(event))
        lines.append("")
    if not extraction.events:
        lines = ["No events.", ""]
    document = extraction.document
    published = f"{document.published_at} (from {document.published_from})" if document.published_at else "unknown"
    lines.append(f"Published: {published}. Model: {model.name} {model.version}.")
    return "\n".join(lines)


def _cells(event: Event) -> list[list[str]]:
    """The items of each column, each of which begins a line."""
    purpose = [f"for {event.purpose.text}"] if event.purpose else []
    return [
        [event.type.replace("_", " ")],
        [event.status],
        _distinct(mention.text for mention in event.mentions),
        [f"{who.name} ({who.role})" for who in event.participants],
        [f"{where.name} ({where.country})" if where.country else where.name for where in event.locations],
        _distinct((when.value or when.text) + (" (target)" if when.role == "target" else "") for when in event.dates),
        [_amount(amount) for amount in event.amounts] + purpose,
    ]


def _distinct(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _amount(amount: Amount) -> str:
    unit = {"percent": "%", "percent_of_gdp": "% of GDP", "percent_of_budget": "% of budget", "factor": "times"}
    kind = "" if amount.kind == "total" else f" ({amount.kind})"
    return f"{amount.value:,.15g} {unit.get(amount.unit, amount.unit)}{kind}"


def _lines(cells: list[list[str]]) -> list[str]:
    """The lines of one row; a second line of an item is indented."""
    wrapped = [
        [line for item in items for line in wrap(" ".join(item.split()), width, subsequent_indent=" ")]
        for items, (_, width) in zip(cells, COLUMNS, strict=True)
    ]
    height = max(map(len, wrapped))
    padded = [[*lines, *[""] * (height - len(lines))] for lines in wrapped]
    widths = [width for _, width in COLUMNS]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*padded, strict=True)
    ]


# ------------------------------------------------------------------------------------------------- the arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="News text in, typed events out.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="serve over HTTP", description="Serves; settings are in README.md.")
    command.add_argument("--host", help="address to listen on, instead of EVENTS_HOST")
    command.add_argument("--port", help="port to listen on, instead of EVENTS_PORT")
    command.set_defaults(run=serve)

    command = commands.add_parser("extract", help="print the events of one article")
    command.add_argument("file", metavar="FILE", help="the article's text in UTF-8; - for standard input")
    command.add_argument("--title", help="the headline, if it is not part of the text")
    command.add_argument("--published-at", metavar="DATE", help="YYYY-MM-DD or an RFC 3339 date-time")
    command.add_argument("--source-url", metavar="URL", help="where the article stands")
    command.add_argument("--types", metavar="TYPE,...", help="event types wanted, separated by commas; default: all")
    command.add_argument("--min-confidence", type=float, metavar="0...1", help="leave out events below it")
    command.add_argument("--url", help="ask the service there instead of loading the model")
    command.add_argument(
        "--api-key", metavar="KEY", help="for --url; default: EVENTS_API_KEY, which no list of processes shows"
    )
    output = command.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the service's JSON (default)")
    output.add_argument("--table", action="store_true", help="print a table for reading")
    command.set_defaults(run=extract)

    command = commands.add_parser("openapi", help="print the OpenAPI document")
    command.set_defaults(run=openapi)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 1 for a failure, 2 for bad arguments, settings or input."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader has seen enough; nothing more can be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
