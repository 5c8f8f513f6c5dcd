"""`POST /api/erase`: a file in, the erased file out, for other programs. Needs FastAPI."""

import asyncio
import base64
import secrets
import shutil
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from dehw.commands.serve.chinese import translated
from dehw.commands.serve.session import MEGA, Session, Sessions
from dehw.commands.serve.uploads import bounded, language, length
from dehw.errors import InputError
from dehw.files import images
from dehw.page.masks import BALANCED

OFTEN = 0.05  # seconds between two looks whether a run has ended
FORM = 100_000  # bytes of a form beside its file


class Page(BaseModel):
    """What was done to a page of the file."""

    status: Annotated[str, Field(description="erased, empty (no handwriting, kept as it was) or failed")]
    share: Annotated[float, Field(description="share of the page's pixels that was erased")]
    seconds: float
    warnings: Annotated[list[str], Field(description="what looks wrong, a sentence each")]
    mask: Annotated[str | None, Field(description="PNG in base64: white where handwriting was")]


class Answer(BaseModel):
    """An erased file, as JSON."""

    name: str
    file: Annotated[str, Field(description="the erased file in base64, of the kind that was sent")]
    pages: list[Page]


class Refusal(BaseModel):
    """Why a file was not erased."""

    error: str


class Limited(APIRoute):
    """A route whose body is bounded while it is read, and whose files fit on the disk."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            sessions: Sessions = request.app.state.sessions
            sessions.runs.check()
            most = sessions.limits.megabytes * MEGA + FORM
            with sessions.reserved(length(request, most, "the request")):
                return await handle(bounded(request, most))

        return limited


router = APIRouter(route_class=Limited)
REFUSALS: dict[int | str, dict[str, Any]] = {
    403: {"description": "the name is not one of this server's, or another site's page asks"},
    408: {"model": Refusal, "description": "the upload fell silent"},
    413: {"model": Refusal, "description": "the upload went on beyond the limit"},
    422: {"model": Refusal, "description": "the file cannot be erased, and why"},
    503: {"model": Refusal, "description": "too many wait already"},
    507: {"model": Refusal, "description": "no room on the server's disk"},
}
DONE = {
    "description": "the erased file; with answer=json, all about it",
    "model": Answer,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post("/api/erase", responses={200: DONE, **REFUSALS}, response_model=None)
async def erase(
    request: Request,
    file: UploadFile,
    sensitivity: Annotated[float, Form(ge=0, le=1, description="the higher, the more is erased")] = BALANCED,
    scan: Annotated[bool, Form(description="pages are photos: find the sheet, straighten and whiten it")] = False,
    answer: Annotated[Literal["file", "json"], Form(description="the erased file alone, or JSON")] = "file",
) -> Response | Answer:
    """Erase the handwriting of an image or a document.

    JPEG, PNG, WebP, BMP, TIFF, PDF and HEIC, detected by content. What comes back has the kind of what was sent.
    Sentences come in English, or in Chinese by Accept-Language.
    """
    sessions: Sessions = request.app.state.sessions
    key = secrets.token_urlsafe(32)
    session = await run_in_threadpool(sessions.of, key)
    session.sensitivity = sensitivity
    session.scan = images.SIGNATURES if scan else ()
    try:
        await run_in_threadpool(_start, session, file)
        while session.is_working:
            if await request.is_disconnected():
                raise ClientDisconnect
            await asyncio.sleep(OFTEN)
        return await run_in_threadpool(_answer, session, answer, language(request), lambda: sessions.end(key))
    except BaseException:
        await run_in_threadpool(sessions.end, key)
        raise


def _start(session: Session, file: UploadFile) -> None:
    with session.receiving(file.filename or "page") as received:
        shutil.copyfileobj(file.file, received)
    session.start()


def _answer(session: Session, answer: str, words: str, end: Callable[[], None]) -> Response | Answer:
    """The erased file of a session that has ended its run. Raises InputError where there is none."""
    if not session.targets:
        raise InputError(" ".join(session.problems) or "the file could not be erased.")
    (target,) = session.targets
    if answer == "file":
        return FileResponse(
            target, filename=target.name, media_type=images.media_type(target), background=BackgroundTask(end)
        )
    pages = []
    for page in session.pages:
        mask, done = page.folder / "mask.png", page.outcome
        if done:
            told = [translated(warning, words) for warning in done.warnings]
            png = _base64(mask.read_bytes()) if mask.exists() else None
            pages.append(Page(status=done.status, share=done.share, seconds=done.seconds, warnings=told, mask=png))
    whole = Answer(name=target.name, file=_base64(target.read_bytes()), pages=pages)
    end()
    return whole


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
