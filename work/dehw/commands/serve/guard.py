"""What stands before the page: who may ask by which name, what browsers may do with the answers."""

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ANY = "*"
# What browsers may load and talk to: this server alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {frames}"
)
HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Middleware (ASGI) before every route.

    A request by a name that is neither localhost nor in `hosts` is refused: a foreign site can have its own name lead
    to this machine, and would then read the answers (DNS rebinding). Plain addresses need no such care, since nobody
    else can give them out. So is a request by which another site's page would change something: by Sec-Fetch-Site, or
    by Origin, for browsers say the former to HTTPS and localhost alone. hosts: may hold ANY.
    frames: sites that may show the page in a frame. root_path: where a proxy shows it, as /sub; whether the proxy
    takes that off what it passes on does not matter.
    """

    def __init__(self, app: App, hosts: Collection[str] = (), frames: Collection[str] = (), root_path: str = ""):
        self.app, self.hosts, self.root_path = app, {host.lower() for host in hosts}, root_path
        headers = {**HEADERS, "content-security-policy": POLICY.format(frames=" ".join(frames) or "'none'")}
        if not frames:
            headers["x-frame-options"] = "DENY"
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                if not any(name == b"cache-control" for name, _ in given):
                    given = [*given, (b"cache-control", b"no-store")]
                message = {**message, "headers": [*given, *self.headers]}
            await send(message)

        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        asked = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = asked.get(b"host", "")
        if not self._is_known(host):
            return await refuse(f"this server does not go by the name {host!r}; give it --allow-host NAME", pass_on)
        if scope["method"] not in ("GET", "HEAD") and self._is_foreign(asked):
            return await refuse("another site's page may not change anything here; open this server's own", pass_on)
        path, root = scope["path"], self.root_path
        scope = {**scope, "root_path": root, "path": path if path.startswith(f"{root}/") else root + path}
        await self.app(scope, receive, pass_on)

    def _is_foreign(self, asked: dict[bytes, str]) -> bool:
        site, origin = asked.get(b"sec-fetch-site"), asked.get(b"origin")
        if site or origin is None or ANY in self.hosts:  # what is no browser says neither
            return site in ("cross-site", "same-site")
        return host_name(origin.partition("://")[2]) not in (host_name(asked[b"host"]), *self.hosts)

    def _is_known(self, host: str) -> bool:
        name = host_name(host)
        return ANY in self.hosts or name in self.hosts or name == "localhost" or is_address(name)


def host_name(host: str) -> str:
    """The name or address in a Host header, without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def is_address(name: str) -> bool:
    """Whether it is a plain IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def refuse(why: str, send: Send) -> None:
    """Answer 403 with a sentence."""
    body = f"{why}.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
