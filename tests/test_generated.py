"""What is committed though the code could tell it: it must be what the code tells."""

from __future__ import annotations

from pathlib import Path

from app.__main__ import openapi_document
from app.settings import settings_table

ROOT = Path(__file__).parents[1]


def test_openapi_document_is_fresh() -> None:
    committed = (ROOT / "openapi" / "openapi.json").read_text("utf-8")
    assert committed == openapi_document(), "run `make openapi`"


def test_settings_in_the_readme_are_fresh() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert settings_table() in readme, "put app.settings.settings_table() into README.md"
