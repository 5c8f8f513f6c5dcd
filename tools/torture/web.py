"""Requests that no browser sends, to the web page: it has to go on serving its other visitors."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tools.torture.trial import ROOT

PATIENCE = 120  # seconds until the page is there
PATHS = """/ /config /gradio_api/info /gradio_api/upload /gradio_api/queue/join /gradio_api/file=/etc/passwd
    /gradio_api/file=../../../../etc/passwd /file=/etc/passwd /static/../../../etc/passwd /%2e%2e/%2e%2e/etc/passwd
    /gradio_api/file=%2fetc%2fpasswd /gradio_api/stream/x/y/z //host/ /proxy=http://x""".split()
PATHS += ["/\0", "/" + "a" * 9000]
SECRET = b"root:"


def attempt(folder: Path, rng: random.Random, count: int) -> tuple[int, list[str]]:
    """Send so many requests; returns their number, and a line for each failure."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"PYTHONPATH": str(ROOT / "work"), "TMPDIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-m", "dehw", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        try:
            return _attempt(server, port, rng, count, folder / "log")
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _attempt(server: subprocess.Popen, port: int, rng: random.Random, count: int, log: Path) -> tuple[int, list[str]]:
    started = time.monotonic()
    while not _serves(port):
        if server.poll() is not None or time.monotonic() - started > PATIENCE:
            return count, ["the page did not come up"]
        time.sleep(0.5)
    failures = []
    for number in range(count):
        request = _request(rng, port)
        if SECRET in _send(port, request):
            failures.append(f"request {number}: gave a file of the machine's: {request[:80]!r}")
        if not _serves(port):
            return count, [*failures, f"request {number}: others are served no more: {request[:80]!r}"]
    if b"Traceback (most recent call last)" in log.read_bytes():
        failures.append("a traceback")
    return count, failures


def _request(rng: random.Random, port: int) -> bytes:
    """A request with a few things wrong."""
    method = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X" * 50, "\0"])
    host = rng.choice([f"127.0.0.1:{port}", "evil.example", "", "a" * 5000])
    form = b"--x\r\nContent-Disposition: form-data;"
    body = rng.choice([b"", b"{}", b"[" * 5000, b'{"data": [', rng.randbytes(3000), form])
    length = rng.choice([len(body), len(body), 0, 10**12, -1])
    kind = rng.choice(["application/json", "multipart/form-data; boundary=x", "text/plain", "\xff"])
    head = f"{method} {rng.choice(PATHS)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
    head += f"Content-Length: {length}\r\n\r\n"
    content = head.encode("latin1") + body
    return content[: rng.randint(0, len(content))] if rng.random() < 0.2 else content


def _send(port: int, request: bytes) -> bytes:
    """The beginning of the answer, b"" where none comes at once."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1 << 16)
    except OSError:
        return b""


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False
