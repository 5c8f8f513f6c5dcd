"""The routes of `dehw serve`: the page, and what its script asks for. Needs FastAPI."""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from dehw import __version__
from dehw.commands.serve import api, state
from dehw.commands.serve.chinese import translated
from dehw.commands.serve.guard import Guard
from dehw.commands.serve.opened import PICTURES, OpenPage, Stroke
from dehw.commands.serve.runs import Busy
from dehw.commands.serve.session import Full, Gone, Session, Sessions
from dehw.commands.serve.uploads import Asking, language, receive
from dehw.errors import DehwError, InputError
from dehw.files import images

PAGE = Path(__file__).parent / "page"
SAMPLE = PAGE / "sample.jpg"
COOKIE = "dehw"
KEY = re.compile(r"[\w-]{43}")  # of a visitor: 32 random bytes
STATUS = {Busy: 503, Full: 507, Gone: 410, InputError: 422}
PHOTOS = ("JPEG", "PNG", "WEBP", "HEIF")  # kinds that are straightened; documents are scans already, unless it is asked
MOST_STROKES, MOST_POINTS = 2_000, 5_000
MOST_QUESTIONS = 500
Share = Annotated[float, Field(ge=0, le=1)]
Place = Annotated[float, Field(ge=-20, le=20)]

router = APIRouter(include_in_schema=False, route_class=Asking)


class AskedStroke(BaseModel):
    """A line of the brush, see opened.Stroke."""

    says: Literal[0, 1, 2]
    width: Annotated[float, Field(gt=0, le=1)]
    points: Annotated[list[tuple[Place, Place]], Field(min_length=1, max_length=MOST_POINTS)]

    def read(self) -> Stroke:
        return Stroke(self.says, self.width, tuple(self.points))


class Asked(BaseModel):
    """How a page is to be erased."""

    sensitivity: Share
    strokes: Annotated[list[AskedStroke], Field(max_length=MOST_STROKES)] = []
    scan: bool | None = None


class QuestionPlace(BaseModel):
    """A box of a page, which is named as in its addresses, in shares of the page's width and height."""

    page: Annotated[str, Field(pattern=r"^\d{1,9}-\d{1,9}$")]
    box: tuple[Share, Share, Share, Share]


class Collected(BaseModel):
    """The questions for the sheets, in order."""

    questions: Annotated[list[QuestionPlace], Field(min_length=1, max_length=MOST_QUESTIONS)]


class AskedOfAll(BaseModel):
    """How all pages are to be erased, each with its own strokes."""

    sensitivity: Share


def build(sessions: Sessions, hosts: Collection[str], frames: Collection[str], root_path: str) -> FastAPI:
    """The application over these sessions. hosts, frames, root_path: see Guard."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(sessions.close)

    app = FastAPI(
        title="dehw",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        middleware=[Middleware(Guard, hosts=hosts, frames=frames, root_path=root_path)],
    )
    app.state.sessions, app.state.framed = sessions, bool(frames)
    app.add_exception_handler(DehwError, _refused)
    app.add_exception_handler(RequestValidationError, _misasked)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(ClientDisconnect, _left)
    app.include_router(router)
    app.include_router(api.router)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def _key(request: Request) -> str:
    """The visitor's key. Raises Gone without one, as of a browser that takes no cookies."""
    key = request.cookies.get(COOKIE, "")
    if not KEY.fullmatch(key):
        raise Gone("your browser keeps no cookie of this page. Allow it, and load the page again.")
    return key


def _session(request: Request) -> Session:
    """The visitor's session. Raises Gone."""
    session = _sessions(request).find(_key(request))
    if session is None:
        raise Gone("the files were removed. Choose them again.")
    return session


Visited = Annotated[Session, Depends(_session)]


def _open_page(session: Visited, number: int, index: int) -> OpenPage:
    return session.page(number, index)


Opened = Annotated[OpenPage, Depends(_open_page)]


async def _refused(request: Request, error: Exception) -> Response:
    """What was refused, in the visitor's language."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)
    return JSONResponse({"error": translated(str(error), language(request))}, status)


async def _misasked(request: Request, error: Exception) -> Response:
    """Which field of a request is wrong, and how."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    told = "; ".join(f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in faults)
    return JSONResponse({"error": told}, 422)


async def _failed(request: Request, error: Exception) -> Response:
    """What is not there, too long or cut short."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


@router.get("/")
def index(request: Request) -> Response:
    response = FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})
    if not KEY.fullmatch(request.cookies.get(COOKIE, "")):
        response.headers["set-cookie"] = _cookie(request)
    return response


@router.get("/visit")
def visit(request: Request) -> state.Json:
    key, sessions = request.cookies.get(COOKIE, ""), _sessions(request)
    shown = state.of(sessions.find(key), language(request))
    return {**shown, "max_megabytes": sessions.limits.megabytes}


@router.delete("/visit")
def clear(request: Request) -> None:
    _sessions(request).end(_key(request))


@router.delete("/visit/problems")
def forget(session: Visited) -> None:
    session.problems.clear()


@router.put("/visit/files")
async def put(request: Request, name: Annotated[str, Query(max_length=1000)], scan: bool = False) -> None:
    key, sessions = _key(request), _sessions(request)
    session = await run_in_threadpool(sessions.of, key)
    session.scan = PHOTOS if scan else ()
    await receive(request, session, name)


@router.post("/visit/sample")
def sample(request: Request, scan: bool = False) -> None:
    session = _sessions(request).of(_key(request))
    session.scan = PHOTOS if scan else ()
    with session.receiving(SAMPLE.name) as file:
        file.write(SAMPLE.read_bytes())
    session.start()


@router.post("/visit/pages/{number}-{index}")
def ask(asked: Asked, session: Visited, page: Opened, number: int) -> None:
    page.ask(asked.sensitivity, [stroke.read() for stroke in asked.strokes])
    if asked.scan is not None:
        session.document(number).ask_scan(asked.scan)
    session.start()


@router.post("/visit/pages")
def ask_all(asked: AskedOfAll, session: Visited) -> None:
    for page in session.pages:
        page.ask(asked.sensitivity, page.asked.strokes)
    session.start()


@router.get("/visit/pages/{number}-{index}/mask.png")
def mask(request: Request, page: Opened, sensitivity: Share) -> Response:
    return Response(_there(lambda: page.preview(_sessions(request).eraser, sensitivity)), media_type="image/png")


@router.get("/visit/pages/{number}-{index}/{what}.jpg")
def picture(page: Opened, what: str) -> Response:
    if what not in PICTURES:
        raise Gone("there is no such picture. Load the page again.")
    return Response(_there(page.picture(what).read_bytes), media_type="image/jpeg")


@router.post("/visit/questions")
def collect(asked: Collected, session: Visited) -> None:
    session.collect([(session.page(*map(int, each.page.split("-"))), each.box) for each in asked.questions])


@router.get("/visit/questions.pdf")
def download_questions(session: Visited) -> Response:
    return _file(session.collected)


@router.get("/visit/sheets.pdf")
def download_sheets(session: Visited) -> Response:
    return _file(session.sheets())


@router.get("/visit/files/{number}")
def download(session: Visited, number: int) -> Response:
    targets = [each.job.target for each in session.documents if each.number == number]
    return _file(targets[0] if targets else None)


@router.get("/visit/files.zip")
def download_all(session: Visited) -> Response:
    return _file(session.zip)


def _there(read: Callable[[], bytes]) -> bytes:
    """What a function reads from a session's files. Raises Gone where they are not there any more, or yet."""
    try:
        return read()
    except FileNotFoundError as error:
        raise Gone("this page is not open any more. Choose the file again.") from error


def _file(path: Path | None) -> Response:
    """An answer that browsers save as a file."""
    if path is None or not path.exists():
        raise Gone("the files were removed. Choose them again.")
    return FileResponse(path, filename=path.name, media_type=images.media_type(path))


def _cookie(request: Request) -> str:
    """A new visitor's key. In another site's frame, browsers keep a cookie only when it is marked so, and by HTTPS."""
    scope = request.scope.get("root_path", "") + "/"
    secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    framed = request.app.state.framed and secure
    rest = ["SameSite=None", "Secure", "Partitioned"] if framed else ["SameSite=Lax", *["Secure"] * secure]
    return "; ".join([f"{COOKIE}={secrets.token_urlsafe(32)}", f"Path={scope}", "HttpOnly", *rest])
