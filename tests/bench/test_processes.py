"""The processes of the benchmark: what is known of them, and that they end."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import wait_for

from bench import processes
from bench.processes import ProcessError, Usage, between, parse_stages, peer, process, server

PEER = """
from bench.processes import answer_lines
answer_lines({"name": "adder"}, lambda a, b: {"sum": a + b})
"""
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'events_stage_seconds_sum{stage="encode"} 1.5\\nevents_stage_seconds_count{stage="encode"} 3.0\\n'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def script(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(text))
    return [sys.executable, str(file)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_peer_answers_each_question(tmp_path: Path) -> None:
    with peer(script(tmp_path, PEER), {"PYTHONPATH": os.getcwd()}, tmp_path / "log") as it:
        assert it.hello == {"name": "adder"}
        assert [it.ask(a=1, b=b)["sum"] for b in (2, 3)] == [3, 4]
        with pytest.raises(ProcessError, match="ended"):
            it.ask(a="1", b=None)
    assert "TypeError" in (tmp_path / "log").read_text()


def test_a_process_takes_its_children_along(tmp_path: Path) -> None:
    command = script(tmp_path, """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (sys.argv[1:] or print)[-1:]
        open(sys.argv[1], "w").write(str(child.pid))
        child.wait()
    """)  # fmt: skip
    told = tmp_path / "pid"
    with process([*command, str(told)], tmp_path / "log"):
        wait_for(lambda: told.exists() and told.read_text())
        child = int(told.read_text())
        assert alive(child)
    wait_for(lambda: not alive(child))


def test_a_server_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SAMPLE_S", 0.02)
    with server(script(tmp_path, SERVER), {}, tmp_path / "log", metrics=True) as it:
        assert it.ready_s > 0
        wait_for(lambda: len(it.usage) >= 3)
        first, last = it.used(it.usage[0].at, it.usage[2].at)
        assert first.rss_mb > 1
        assert last.stage_s == {"encode": 1.5}
        assert last.stage_runs == {"encode": 3.0}
        assert it.peak_mb() >= first.rss_mb
        it._process.kill()  # its watcher and its caller must not wait for ever
        with pytest.raises(ProcessError, match="has ended"):
            it.used(0, it.usage[-1].at + 1000)


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessError, match="did not get ready"),
        server(script(tmp_path, "raise SystemExit(3)"), {}, tmp_path / "log"),
    ):
        pass


def test_stages_are_read_from_the_metrics() -> None:
    text = (
        "# TYPE events_stage_seconds histogram\n"
        'events_stage_seconds_bucket{le="0.5",stage="encode"} 7.0\n'
        'events_stage_seconds_count{stage="encode"} 9.0\n'
        'events_stage_seconds_sum{stage="encode"} 1.25e-05\n'
    )
    assert parse_stages(text) == {"sum": {"encode": 1.25e-05}, "count": {"encode": 9.0}}


def test_usage_between_two_samples() -> None:
    usage = [Usage(10, 100, 1, {}, {}), Usage(20, 300, 2, {"link": 4}, {"link": 40}), Usage(30, 200, 9, {}, {})]
    assert between(usage, 15) == Usage(15, 200, 1.5, {"link": 2}, {"link": 20})
    assert between(usage, 20).rss_mb == 300
    assert between(usage, 5).rss_mb == 100
    assert between(usage, 40).cpu_s == 9
    assert between(usage[:1], 40) == usage[0]
