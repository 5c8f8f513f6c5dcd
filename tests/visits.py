"""Programs and browsers that ask the web page over HTTP, without a browser."""

import http.client
import json
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np

from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser

INK = slice(10, 14), slice(5, 30)
FAINT = slice(40, 44), slice(5, 20)


class Visitor:
    """Asks a server, and keeps its cookie, as a browser does."""

    def __init__(self, url, language="en", **headers):
        self.url, self.headers = urlsplit(url), {"Accept-Language": language, **headers}
        self.cookie = None

    def ask(self, method, path, body=None, **headers):
        """The status, headers and body of an answer; the path is taken from the server's root."""
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        sent = {**self.headers, **({"Cookie": self.cookie} if self.cookie else {}), **headers}
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        if given := answer.headers["set-cookie"]:
            self.cookie = given.partition(";")[0]
        connection.close()
        return answer.status, answer.headers, content

    def open(self):
        """Load the page, which gives a cookie."""
        self.ask("GET", "/")
        return self

    def send(self, path, name=None):
        """Upload a file as the page does; the status and what was said."""
        status, _, told = self.ask(
            "PUT", f"/visit/files?name={quote(name or Path(path).name)}", Path(path).read_bytes()
        )
        return status, json.loads(told)

    def state(self):
        return json.loads(self.ask("GET", "/visit")[2])

    def finished(self):
        """The state once nothing runs any more."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not (state := self.state())["run"]:
                return state
            time.sleep(0.02)
        raise AssertionError("the run does not end")

    def post_form(self, path, file=None, **fields):
        """Send a form: a file (name, bytes) and fields."""
        border = uuid.uuid4().hex
        parts = [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
        if file:
            parts.append((f'name="file"; filename="{file[0]}"', file[1]))
        body = b"".join(
            f"--{border}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
            for head, value in parts
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={border}"}
        return self.ask("POST", path, body + f"--{border}--\r\n".encode(), **kind)

    def cut_short(self, path, head=b"", length=100_000):
        """Begin to send a body of this length, and hang up."""
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        method = "PUT" if "files" in path else "POST"
        with socket.create_connection((self.url.hostname, self.url.port)) as connection:
            line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}Content-Length: {length}\r\n"
            connection.sendall(line.encode() + head + b"\r\n" + b"x" * 1000)
            time.sleep(0.2)


@contextmanager
def held(sessions):
    """Nobody's run begins within this."""
    going = threading.Event()
    sessions.runs.add(going.wait)
    try:
        yield
    finally:
        going.set()


class Calls:
    """Counts the tiles of a network made of a function."""

    def __init__(self, network):
        self.network, self.count = network, 0

    def __call__(self, *inputs):
        self.count += 1
        return self.network(*inputs)


def make_eraser(cmp=True):
    """Finds ink by its darkness and whitens it, in one tile a page."""
    network = NetworkConfig(type="erasenet", weights="tiny.pdparams")
    pipeline = Pipeline(
        name="tiny",
        segment=Segment(network=network, window=128, stride=128),
        mask=Mask(threshold=0.5, dilate=1),
        erase=Erase(networks=[network], tile=128, margin=13, cmp=cmp),
    )
    segmenter = Calls(lambda tiles: 1 - tiles.mean(1, keepdims=True))
    return Eraser(pipeline, segmenter, [(Calls(lambda tiles, mask: np.ones_like(tiles)), 1.0)])


def page(ink=True):
    """Paper with handwriting, probability 0.88, and with traces of 0.41, which the usual sensitivity leaves."""
    picture = np.full((60, 80, 3), 230, np.uint8)
    if ink:
        picture[INK] = 30
        picture[FAINT] = 150
    return picture
