"""Of the fault tests, what is quick; `make test-faults` runs all of them, in full."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from .clock import asks_for_the_wall_clock
from .fuzz import run
from .harness import ROOT

AUDIT = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("pickle.", "socket.")) else None)
from app.extraction.values import Article
from app.main import load_extractor
from app.settings import Settings
extractor = load_extractor(Settings(), lambda stage, seconds: None)
extractor.extract(Article("Ana Duarte met Tom Keller in Oslo on Monday. Finland pledged $5 million for roads."))
assert not seen, seen
"""
CODE_FROM_DATA = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


def test_made_up_articles_crash_nothing_and_keep_their_spans() -> None:
    counts = run(300)
    assert counts.articles == 150
    assert counts.events > 30
    assert counts.phrases >= 150


def test_no_module_asks_for_the_wall_clock() -> None:
    assert asks_for_the_wall_clock() == []


def test_loading_and_answering_unpickle_nothing_and_open_no_socket() -> None:
    run = subprocess.run([sys.executable, "-c", AUDIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_code_runs_nothing_that_came_as_data() -> None:
    for path in sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "training").rglob("*.py")]):
        tree = ast.parse(path.read_text("utf-8"))
        assert not _imported(tree) & CODE_FROM_DATA, path
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"torch.load", "eval", "exec", "yaml.load", "yaml.unsafe_load"}, path


def _imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_every_fault_test_is_run_by_the_make_target() -> None:
    from .__main__ import ALL

    here = {path.stem for path in Path(__file__).parent.glob("*.py")}
    assert set(ALL) == here - {"__init__", "__main__", "harness", "test_faults"}
