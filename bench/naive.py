"""The service that one would write in an afternoon: one model call for each request, in a plain endpoint.

The same model and the same stages, in float32, with torch and uvicorn as they come: ``python -m bench.naive --port N``.
"""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI, Response

from app.api.schemas import ArticleRequest, render
from app.extraction.extractor import Extractor
from app.settings import Settings


def create_app(extractor: Extractor) -> FastAPI:
    """The application around a loaded model."""
    app = FastAPI()

    @app.post("/v1/extract")
    def extract(article: ArticleRequest) -> Response:
        rendered = render(extractor.extract(article.query().article), extractor.info)
        return Response(rendered.json, media_type="application/json")

    @app.get("/readyz")
    def readyz() -> str:
        return "ready"

    return app


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    extractor = Extractor.load(Settings().model_folder, "float32", early_exit=False)
    uvicorn.run(create_app(extractor), port=port, log_level="warning")


if __name__ == "__main__":
    main()
