"""No network: the service starts and answers in a network namespace of its own, in which there is but a loopback."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys

from .harness import HTTP, Report, articles, have, service

INSIDE = "FAULTS_INSIDE"
_SIOCSIFFLAGS, _UP = 0x8914, 0x1


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))


def outside_is_unreachable() -> bool:
    try:
        with socket.create_connection(("192.0.2.1", 80), timeout=3):
            return False
    except OSError:
        return [name for _, name in socket.if_nameindex()] == ["lo"]


def inside() -> int:
    report = Report("no network")
    raise_loopback()
    report.check("there is none here", outside_is_unreachable())
    with service() as running:
        texts = articles()[:8]
        statuses = [HTTP.post(f"{running.url}/v1/extract", json={"text": text}).status_code for text in texts]
        report.check("the service starts and answers", set(statuses) == {200}, f"{len(statuses)} articles")
        page = HTTP.get(f"{running.url}/docs").status_code
        report.check("so does its documentation", page == 200, page)
    return report.status()


def main() -> int:
    if os.environ.get(INSIDE):
        return inside()
    unshare = ["unshare", "--map-root-user", "--net"]
    if not have("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        report = Report("no network")
        report.skip("the service starts and answers", "no network namespace can be made here")
        return 0
    command = [*unshare, sys.executable, "-m", "tests.faults.offline"]
    return subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
