"""What is on its way to the server: bounded in size, and gone when it is cut short. Needs FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from dehw.commands.serve.chinese import translated
from dehw.commands.serve.session import MEGA, Session
from dehw.errors import InputError

SILENCE = 60  # seconds without a byte after which an upload counts as cut short
MOST_ASKED = 20  # megabytes of JSON; the strokes of an hour with the brush take one


async def receive(request: Request, session: Session, name: str) -> None:
    """Take an upload's bytes into a session's folder, and start its run; one that is cut short leaves nothing.

    Raises InputError, Busy, Full, Gone, and ClientDisconnect where its sender leaves.
    """
    owner, most = session.owner, session.limits.megabytes * MEGA
    owner.runs.check(always=session.is_working)
    with session.reserved(length(request, most, name)), session.receiving(name) as file:
        size = 0
        async for chunk in _chunks(request):
            size += len(chunk)
            if size > most:
                raise too_large(name, most // MEGA)
            file.write(chunk)
    await run_in_threadpool(session.start)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body of a request. Raises ClientDisconnect where its sender leaves, and InputError where he falls silent."""
    stream = request.stream()
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), SILENCE)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError as error:
            raise InputError("the upload was cut short. Send the file again.") from error


def bounded(request: Request, most: int) -> Request:
    """The same request. Reading it raises HTTPException beyond so many bytes, and where its sender falls silent."""
    size = 0

    async def receive() -> Any:
        nonlocal size
        try:
            message = await asyncio.wait_for(request.receive(), SILENCE)
        except asyncio.TimeoutError as error:
            raise HTTPException(408) from error
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, translated(str(too_large("the request", most // MEGA)), language(request)))
        return message

    return Request(request.scope, receive)


class Asking(APIRoute):
    """A route whose JSON is bounded while it is read; uploads bound themselves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def asked(request: Request) -> Response:
            return await handle(bounded(request, MOST_ASKED * MEGA) if request.method == "POST" else request)

        return asked


def length(request: Request, most: int, name: str) -> int:
    """The bytes that a request brings, `most` where it does not say. Raises InputError for more."""
    told = request.headers.get("content-length", "")
    size = int(told) if told.isdecimal() and len(told) < 20 else most
    if size > most:
        raise too_large(name, most // MEGA)
    return size


def too_large(name: str, megabytes: int) -> InputError:
    """What is told of a file above the limit."""
    return InputError(
        f"{name} has more than {megabytes} megabytes, the most that is taken here. Scan it at a lower resolution."
    )


def language(request: Request) -> str:
    """The language of a visitor's sentences, en or zh."""
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
