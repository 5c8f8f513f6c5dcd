"""`dehw serve`: the eraser as a page in the browser, which needs no network but the way to this machine."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from collections.abc import Collection
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dehw.commands.arguments import add_networks, at_least
from dehw.commands.serve.limits import Limits
from dehw.errors import ExitCode, InputError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from dehw.eraser import Eraser

PACKAGES = ("fastapi", "uvicorn", "python_multipart")
EXTRA = "pip install 'dehw[serve]'"
LOCAL = ("127.0.0.1", "localhost", "::1")
PORTS = range(7860, 7960)  # tried where none is given
# The sites that show applications in a frame, for work/app.gradio.py.
STUDIOS = ("https://aistudio.baidu.com", "https://*.aistudio.baidu.com", "https://huggingface.co", "https://*.hf.space")
GOODBYE = 3  # seconds that answers under way may take at the end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw serve`."""
    parser.description = (
        "Serve a page on which people drop pages and PDFs, watch them being erased, correct by brush what was taken "
        f"for handwriting, and download the result; and the same for programs, as /openapi.json tells. Needs {EXTRA}."
    )
    limits = Limits()
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this machine alone")
    add("--port", type=at_least(0, int), default=7860, help="default: %(default)s")
    add("--allow-host", action="append", default=[], metavar="NAME", help="a name this server goes by; may be repeated")
    add("--root-path", default="", metavar="/PATH", help="where a proxy shows this page, when it is not at its root")
    add_networks(parser)
    bounds: list[tuple[str, int, int, str, str]] = [
        ("--max-megabytes", 1, limits.megabytes, "N", "of a file"),
        ("--max-megapixels", 1, limits.megapixels, "N", "of a page"),
        ("--max-pages", 1, limits.pages, "N", "of a visitor"),
        ("--max-queue", 0, limits.queue, "N", "visitors that wait"),
        ("--max-visitor-disk", 1, limits.visitor_megabytes, "MB", "files of one visitor"),
        ("--max-disk", 1, limits.all_megabytes, "MB", "files of all visitors"),
    ]
    for name, least, default, unit, of in bounds:
        add(name, type=at_least(least, int), default=default, metavar=unit, help=f"{of}; default: %(default)s")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises InputError where a package is missing or the address is taken, and as Eraser.load."""
    from dehw.eraser import Eraser

    _check_packages()
    limits = Limits(
        args.max_megabytes, args.max_megapixels, args.max_pages, args.max_queue, args.max_visitor_disk, args.max_disk
    )
    eraser = Eraser.load(args.pipeline, args.device, args.weights, engine=args.engine)
    print(f"dehw: engine {eraser.engine}", file=sys.stderr)
    if args.host not in LOCAL:
        warning = f"whoever reaches {args.host} can use this page, and others on the way can read along"
        print(f"dehw: {warning}; put a server that speaks HTTPS and knows your users in front of it.", file=sys.stderr)
    app = build(eraser, limits, (args.host, *args.allow_host), root_path=args.root_path)
    launch(app, args.host, args.port)
    return ExitCode.OK


def build(
    eraser: Eraser | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] = (),
    frames: Collection[str] = (),
    root_path: str | None = None,
) -> FastAPI:
    """The page as an ASGI application.

    eraser: the default pipeline's when left out. hosts: names it may be asked by beside localhost; "*" is any.
    frames: sites that may show it in a frame. root_path: where a proxy shows it; GRADIO_ROOT_PATH when left out.
    Raises InputError, and what Eraser.load raises.
    """
    _check_packages()
    from dehw.commands.serve.app import build as build_app
    from dehw.commands.serve.session import Sessions
    from dehw.eraser import Eraser

    path = os.environ.get("GRADIO_ROOT_PATH", "") if root_path is None else root_path
    path = f"/{path.strip('/')}" if path.strip("/") else ""
    return build_app(Sessions(eraser or Eraser.load(), limits or Limits()), hosts, frames, path)


def launch(app: FastAPI, host: str | None = None, port: int | None = None) -> None:
    """Serve an application of `build` until Ctrl-C; where, see `server`. Raises InputError and KeyboardInterrupt."""
    listening, serving = server(app, host, port)
    print(f"dehw: open {url(listening)} in a browser; Ctrl-C ends it", file=sys.stderr)
    serving.run(sockets=[listening])


class Background:
    """An application of `build` served by a thread, within a `with`; `url` is its address."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int | None = None):
        listening, self.serving = server(app, host, port)
        self.url = url(listening)
        self.thread = threading.Thread(target=self.serving.run, kwargs={"sockets": [listening]}, daemon=True)

    def __enter__(self) -> Background:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.serving.should_exit = True
        self.thread.join()


def server(app: FastAPI, host: str | None = None, port: int | None = None) -> tuple[socket.socket, uvicorn.Server]:
    """A socket that listens, and the server that is to run on it.

    Without host and port, GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where, as studios set them, or else 127.0.0.1
    and the first free port from 7860 on. Raises InputError where that cannot be had.
    """
    import uvicorn

    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    given = port or int(os.environ.get("GRADIO_SERVER_PORT", 0))
    listening = _listen(host, [given] if given else list(PORTS))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GOODBYE
    )
    return listening, uvicorn.Server(config)


def _listen(host: str, ports: list[int]) -> socket.socket:
    """Listen on the first of these ports that is free. Raises InputError where none is."""
    for port in ports:
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except (OSError, OverflowError) as error:
            failure = error
    where = f"{host}:{ports[0]}"
    raise InputError(f"{where} cannot be served from; choose another --host or --port ({failure})") from failure


def url(listening: socket.socket) -> str:
    """The address under which this machine's browsers reach a socket."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/"


def _check_packages() -> None:
    """Raises InputError where the server's packages are not installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise InputError(f"the web page needs the extra serve: {EXTRA} (there is no {', '.join(missing)})")
