"""`dehw serve`: the eraser as a page in the browser, which needs no network but the way to this machine."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dehw.commands.arguments import add_networks
from dehw.commands.serve.limits import Limits
from dehw.errors import ExitCode, InputError

if TYPE_CHECKING:
    import gradio as gr

    from dehw.eraser import Eraser

GRADIO = "gradio==6.31.0"  # as the extra `serve` in pyproject.toml
LOCAL = ("127.0.0.1", "localhost", "::1")
# Gradio would report its use, and Hugging Face's library, which it brings, look for news.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
# What browsers may load and talk to: this server alone, whatever Gradio's scripts hold.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; form-action 'self'; base-uri 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
# Gradio's own sites, which its page names in words for link previews and in examples of what its parts take.
FOREIGN = re.compile(rb"https://(?:gradio\.app|github\.com|raw\.githubusercontent\.com)[^\"]*")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw serve`."""
    parser.description = (
        "Serve a page on which people drop pages and PDFs, watch them being erased, correct by brush what was taken "
        f"for handwriting, and download the result. Needs one more package, pip install {GRADIO}."
    )
    limits = Limits()
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this machine alone")
    add("--port", type=int, default=7860, help="default: %(default)s")
    add_networks(parser)
    add("--max-megabytes", type=int, default=limits.megabytes, metavar="N", help="of a file; default: %(default)s")
    add("--max-megapixels", type=int, default=limits.megapixels, metavar="N", help="of a page; default: %(default)s")
    add("--max-pages", type=int, default=limits.pages, metavar="N", help="of a visitor; default: %(default)s")
    add("--max-queue", type=int, default=limits.queue, metavar="N", help="runs that wait; default: %(default)s")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises InputError where Gradio is missing or the address is taken, and as Eraser.load."""
    from dehw.eraser import Eraser

    _import_gradio()
    limits = Limits(args.max_megabytes, args.max_megapixels, args.max_pages, args.max_queue)
    eraser = Eraser.load(args.pipeline, args.device, args.weights, engine=args.engine)
    print(f"dehw: engine {eraser.engine}", file=sys.stderr)
    if args.host not in LOCAL:
        print(f"dehw: whoever reaches {args.host} can use this page, and others on the way can read along; ", end="")
        print("put a server that speaks HTTPS and knows your users in front of it.", file=sys.stderr)
    app = build(eraser, limits)
    launch(app, args.host, args.port)
    return ExitCode.OK


def build(eraser: Eraser | None = None, limits: Limits | None = None) -> gr.Blocks:
    """The page as a Gradio application.

    eraser: the default pipeline's when left out. Raises InputError, and what Eraser.load raises.
    """
    _import_gradio()
    from dehw.commands.serve.page import page
    from dehw.commands.serve.session import Sessions
    from dehw.eraser import Eraser

    sessions = Sessions(eraser or Eraser.load(), limits or Limits())
    os.environ["GRADIO_TEMP_DIR"] = str(sessions.folder)  # uploads too; files in it are served without a copy
    return page(sessions)


def launch(app: gr.Blocks, host: str | None = None, port: int | None = None, wait: bool = True) -> None:
    """Serve an application of `build`, by default until Ctrl-C.

    Without host and port, GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where, or else 127.0.0.1 and the first free
    port from 7860 on. Raises InputError where that cannot be had.
    """
    from starlette.middleware import Middleware

    from dehw.commands.serve.page import LOOK

    _pass_proxies_by()
    off = ("share", "run_history", "ssr_mode", "mcp_server", "enable_monitoring", "pwa")
    try:
        app.launch(
            server_name=host,
            server_port=port,
            max_file_size=f"{app.sessions.limits.megabytes}mb",
            show_error=True,
            app_kwargs={"middleware": [Middleware(Offline)]},
            prevent_thread_lock=True,
            quiet=True,
            **dict.fromkeys(off, False),
            **LOOK,
        )
    except OSError as error:
        where = f"{host or '127.0.0.1'}:{port}" if port else "the port"
        raise InputError(f"{where} cannot be served from; choose another --host or --port ({error})") from error
    print(f"dehw: open {app.local_url} in a browser; Ctrl-C ends it", file=sys.stderr)
    if wait:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the visitors' files are removed
        app.block_thread()
        app.sessions.close()


class Offline:
    """Middleware (ASGI) that keeps browsers to this server, and pages out of their caches."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        answer: Message = {}  # to the request for the page itself: held back until it is whole

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = [*message.get("headers", []), *HEADERS]
                if "/file=" in scope["path"]:
                    headers.append((b"cache-control", b"no-store"))
                if any(key == b"content-type" and value.startswith(b"text/html") for key, value in headers):
                    answer.update(message, body=b"")
                    return
            elif message["type"] == "http.response.body" and answer:
                answer["body"] += message.get("body", b"")
                if not message.get("more_body"):
                    await send_page(answer, send)
                return
            await send(message)

        await self.app(scope, receive, pass_on if scope["type"] == "http" else send)


async def send_page(answer: Message, send: Send) -> None:
    """Send a page without the names of foreign sites."""
    body = FOREIGN.sub(b"", answer.pop("body"))
    headers = [(key, value) for key, value in answer["headers"] if key != b"content-length"]
    await send(answer | {"headers": [*headers, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


def _import_gradio() -> None:
    """Import Gradio with its reports off. Raises InputError where it is not installed."""
    os.environ.update(QUIET)
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise InputError(f"the web page needs one more package, pip install {GRADIO} ({error})") from error


def _pass_proxies_by() -> None:
    """Gradio asks its own server whether it runs; a proxy that the environment names knows nothing of it."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))
