"""Tries an image that buildah has built, as ``make image-test`` does: what is in it, and whether it serves.

    unshare --mount python tests/deploy/try_image.py IMAGE [ARTICLE]

Its file system is mounted read-only but for /tmp, as the Deployment has it, and its entry point runs in there as its
user, with no privilege. Needs root. Prints what it finds in the file ARTICLE, layers, size and the time until it is
ready.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_BYTES = 450 * 10**6
READY_WITHIN_S = 120
ENDS_WITHIN_S = 20
NO_NEW_PRIVILEGES = 38  # of prctl(2)
FORBIDDEN = ("sh", "bash", "dash", "pip", "pip3", "gcc", "cc", "ld", "apt", "apt-get", "dpkg", "curl", "wget", "perl")

BUILDAH = ("buildah", "--storage-driver", "vfs")
EXAMPLES = Path(__file__).parents[2] / "app" / "api" / "examples.json"


def buildah(*arguments: str) -> str:
    return subprocess.run([*BUILDAH, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def layers(image: str) -> list[dict[str, Any]]:
    """Digest and compressed size of each layer, as a registry would have them."""
    with tempfile.TemporaryDirectory() as folder:
        buildah("push", "--quiet", "--format", "v2s2", image, f"dir:{folder}")
        found: list[dict[str, Any]] = json.loads((Path(folder) / "manifest.json").read_text())["layers"]
        return found


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """The image's files, read-only but for /tmp."""
    container = buildah("from", "--pull-never", image)
    try:
        root = Path(buildah("mount", container))
        subprocess.run(["mount", "--bind", root, root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
        subprocess.run(["mount", "--bind", "/dev", root / "dev"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777,size=256m", "tmp", root / "tmp"], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        try:
            yield root
        finally:
            for path in (root / "tmp", root / "dev", root / "proc", root):
                subprocess.run(["umount", path], check=True)
    finally:
        buildah("rm", container)


def check_files(root: Path) -> None:
    """Nothing to build or install with, no shell, no cache, no privilege to gain, nothing that all may change."""
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "srv/.venv/bin"):
        for name in FORBIDDEN:
            assert not os.path.lexists(root / folder / name), f"{folder}/{name} is in the image"
    weights = 0
    for folder, names, files in os.walk(root):
        if Path(folder) == root:
            names[:] = [name for name in names if name not in ("proc", "dev", "sys")]
        assert not {"pip", "setuptools", "ensurepip"} & set(names), folder
        for name in (*names, *files):
            path = Path(folder, name)
            state = path.lstat()
            if stat.S_ISLNK(state.st_mode):
                continue
            assert not state.st_mode & (stat.S_ISUID | stat.S_ISGID) or path.is_dir(), f"{path} gives privileges"
            if not state.st_mode & stat.S_ISVTX:  # as /tmp has
                assert not state.st_mode & stat.S_IWOTH, f"all may write to {path}"
            weights += name.endswith(".safetensors")
    assert weights, "no model is in the image"
    for cache in ("root/.cache", "var/lib/apt/lists", "var/cache/apt"):
        assert not (root / cache).exists(), cache


def check_config(config: dict[str, Any]) -> None:
    user, group = config["User"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert config["Healthcheck"]["Test"][0] == "CMD", "a health check by a shell"
    environment = dict(line.split("=", 1) for line in config["Env"])
    assert environment["HF_HUB_OFFLINE"] == "1"
    labels = {name.removeprefix("org.opencontainers.image.") for name in config["Labels"]}
    assert labels >= {"title", "description", "licenses", "version", "revision", "created"}


class Container:
    """Runs commands of the image in its file system, as its user."""

    def __init__(self, root: Path, config: dict[str, Any], **environment: str) -> None:
        self._root = root
        self._config = config
        self._environment = dict(line.split("=", 1) for line in config["Env"]) | environment

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        user, group = map(int, self._config["User"].split(":"))

        def enter() -> None:
            os.chroot(self._root)
            os.chdir(self._config["WorkingDir"])
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)

        # The executable is looked for inside, along the image's own PATH.
        return subprocess.Popen(command, env=self._environment, preexec_fn=enter)


def ask(url: str, body: object = None) -> Any:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def check_service(root: Path, config: dict[str, Any], article: Path | None) -> float:
    """Starts it, waits until it is ready, has articles read, stops it; the seconds until it was ready."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    container = Container(root, config, EVENTS_PORT=str(port), EVENTS_HOST="127.0.0.1", EVENTS_DTYPE="float32")
    url = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    process = container.start(config["Entrypoint"] + (config["Cmd"] or []))
    try:
        while True:
            assert process.poll() is None, "it ended"
            assert time.monotonic() - began < READY_WITHIN_S, "it never got ready"
            try:
                ask(f"{url}/readyz")
                break
            except OSError:  # refused, or 503
                time.sleep(0.05)
        ready_s = time.monotonic() - began
        assert container.start(config["Healthcheck"]["Test"][1:]).wait(30) == 0
        [example, *_] = json.loads(EXAMPLES.read_text("utf-8"))["extract"].values()
        answer = ask(f"{url}/v1/extract", example["request"])
        shown = [(event["type"], event["mentions"]) for event in answer["events"]]
        assert shown == [(event["type"], event["mentions"]) for event in example["response"]["events"]]
        if article is not None:
            for event in ask(f"{url}/v1/extract", {"text": article.read_text("utf-8")})["events"]:
                names = ", ".join(part["name"] for part in event["participants"])
                sys.stdout.write(f"{event['type']} {event['status']}: {names}\n")
        version = ask(f"{url}/version")
        assert version["build"] == config["Labels"]["org.opencontainers.image.revision"]
        assert version["weights_sha256"]
        process.terminate()
        assert process.wait(ENDS_WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()
    return ready_s


def main(image: str, article: Path | None = None) -> int:
    if shutil.which("buildah") is None:
        sys.stderr.write("there is no buildah (Debian: apt-get install buildah)\n")
        return 1
    config = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    check_config(config)
    with mounted(image) as root:
        check_files(root)
        ready_s = check_service(root, config, article)
    found = layers(image)
    size = sum(layer["size"] for layer in found)
    for layer in found:
        sys.stdout.write(f"{layer['digest']} {layer['size']}\n")
    sys.stdout.write(f"{size / 1e6:.0f} MB compressed, ready in {ready_s:.1f} s\n")
    assert size < MOST_BYTES, f"larger than {MOST_BYTES / 1e6:.0f} MB"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:])))
