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
from collections.abc import Sequence
from pathlib import Path

from tools.torture import cases
from tools.torture.trial import ROOT

PATIENCE = 120  # seconds until the page is there
PATHS = """
    / /visit /visit/files?name=a.png /visit/files?name=../../a.png /visit/files?name= /visit/files/1 /visit/files/-1
    /visit/files.zip /visit/problems /visit/sample /visit/pages /visit/pages/1-1 /visit/pages/1-9999999999999
    /visit/pages/1-1/mask.png?sensitivity=nan /visit/pages/1-1/page.jpg /visit/pages/1-1/../../x.jpg
    /visit/questions /visit/questions.pdf /api/erase /openapi.json /page/app.js /page/../../app.py
    /page/%2e%2e/%2e%2e/%2e%2e/etc/passwd /page/..%2f..%2f..%2f..%2fetc/passwd /page//etc/passwd /etc/passwd
    /../../etc/passwd //host/
""".split()
PATHS += ["/\0", "/" + "a" * 9000]
KEY = "a" * 43  # of a visitor
BODIES = [
    *(b"", b"{}", b"[" * 5000, b'{"data": [', b'{"sensitivity": 1e999}', b'{"sensitivity": 0.5, "strokes": [[]]}'),
    b'{"sensitivity": 0.5, "strokes": [{"says": 1, "width": 1, "points": [[NaN, 0]]}]}',
    b'{"questions": [{"page": "1-1", "box": [1, 1, 0, 0]}]}',
    b"--x\r\nContent-Disposition: form-data;",
]
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
SECRET = b"root:"


def attempt(folder: Path, rng: random.Random, count: int) -> tuple[int, list[str]]:
    """Send so many requests; returns their number, and a line for each failure."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"PYTHONPATH": str(ROOT / "work"), "TMPDIR": str(folder)}
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
    failures, pictures = [], [content for _, content in cases.good("images")]
    for number in range(count):
        request = _request(rng, port, pictures)
        if SECRET in _send(port, request):
            failures.append(f"request {number}: gave a file of the machine's: {request[:80]!r}")
        if not _serves(port):
            return count, [*failures, f"request {number}: others are served no more: {request[:80]!r}"]
    if not _erases(port, pictures[0]):
        failures.append("a good page is erased no more")
    told = log.read_text(encoding="utf-8", errors="replace")
    if "Traceback (most recent call last)" in told:
        failures.append(f"a traceback: ...{told[-500:]}")
    return count, failures


def _request(rng: random.Random, port: int, pictures: Sequence[bytes]) -> bytes:
    """A request with a few things wrong. pictures: good ones, which it damages."""
    method = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X" * 50, "\0"])
    host = rng.choice([*[f"127.0.0.1:{port}"] * 9, "evil.example", "", "a" * 5000])
    picture = cases.mutated("images", rng.choice(pictures), rng.choice(pictures), rng)
    body = rng.choice([*BODIES, rng.randbytes(3000), picture, FORM % (b"a.png", picture), FORM % (b"../\xff", picture)])
    length = rng.choice([len(body), len(body), 0, 10**12, -1])
    kind = rng.choice(["application/json", "multipart/form-data; boundary=x", "text/plain", "\xff"])
    head = f"{method} {rng.choice(PATHS)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
    head += f"Cookie: dehw={rng.choice([KEY, '', 'x' * 5000])}\r\nContent-Length: {length}\r\n\r\n"
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
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/visit", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def _erases(port: int, picture: bytes) -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/erase", FORM % (b"a.jpg", picture))
    request.add_header("Content-Type", "multipart/form-data; boundary=x")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status == 200 and answer.read(2) == picture[:2]
    except OSError:
        return False
