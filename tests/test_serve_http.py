"""The server of the web page, as programs meet it over HTTP: who may ask, what is sent back, what is refused."""

import io
import json
import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from files import pages_of
from PIL import Image
from test_questions import printed
from visits import INK, Visitor, held, make_eraser, page

from dehw.commands import serve
from dehw.commands.serve import opened
from dehw.commands.serve.limits import Limits
from dehw.eraser import Eraser
from dehw.errors import InputError
from dehw.page import questions
from dehw.page.layout import Reader

MISSING = [name for name in ("fastapi", "uvicorn", "python_multipart") if util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
ROOT = Path(__file__).resolve().parents[1]


def serving(**options):
    """A server of a page over an eraser of tests."""
    limits = options.pop("limits", Limits(megabytes=1, megapixels=1, pages=4))
    app = serve.build(options.pop("eraser", make_eraser()), limits, **options)
    background = serve.Background(app)
    background.sessions = app.state.sessions
    return background


@pytest.fixture
def server():
    with serving() as started:
        yield started


@pytest.fixture
def visitor(server):
    return Visitor(server.url).open()


@pytest.fixture
def exam(tmp_path):
    Image.fromarray(page()).save(tmp_path / "exam.png")
    return tmp_path / "exam.png"


def picture(content):
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


# -- a visit -------------------------------------------------------------------------------------------------


def test_a_page_is_sent_erased_shown_and_downloaded(visitor, exam):
    assert visitor.send(exam) == (200, None)
    state = visitor.finished()
    (shown,) = state["pages"]
    assert (shown["status"], shown["file"], shown["count"]) == ("erased", "exam.png", 1)
    assert 0.02 < shown["share"] < 0.04 and state["problems"] == []
    for what, ink in (("before", 30), ("after", 255)):
        status, headers, content = visitor.ask("GET", f"/visit/pages/{shown['key']}/{what}.jpg")
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert abs(picture(content)[INK].mean() - ink) < 12
    status, headers, content = visitor.ask("GET", "/visit/files/1")
    assert headers["content-disposition"] == 'attachment; filename="exam.clean.png"'
    np.testing.assert_array_equal(picture(content), make_eraser()(page()).page)
    assert visitor.ask("GET", "/visit/files.zip")[0] == 410, "one file needs no zip"


def test_brush_and_sensitivity_are_asked_for(visitor, exam):
    visitor.send(exam)
    key = visitor.finished()["pages"][0]["key"]
    stroke = {"says": 1, "width": 0.2, "points": [[0.0, 0.15], [0.5, 0.15]]}
    assert visitor.ask("POST", f"/visit/pages/{key}", {"sensitivity": 0.5, "strokes": [stroke]})[0] == 200
    (shown,) = visitor.finished()["pages"]
    assert (shown["status"], shown["strokes"]) == ("empty", [stroke])
    visitor.ask("POST", f"/visit/pages/{key}", {"sensitivity": 0.7, "strokes": []})
    assert visitor.finished()["pages"][0]["share"] > 0.03, "the faint traces too"
    visitor.ask("POST", "/visit/pages", {"sensitivity": 0.1})
    assert visitor.finished()["pages"][0]["sensitivity"] == 0.1
    status, _, mask = visitor.ask("GET", f"/visit/pages/{key}/mask.png?sensitivity=0.5")
    assert status == 200 and (np.array(Image.open(io.BytesIO(mask)).convert("RGBA"))[INK][..., 3] > 0).all()


@pytest.mark.parametrize(
    "asked",
    [
        {"sensitivity": 2},
        {"sensitivity": 0.5, "strokes": [{"says": 3, "width": 0.1, "points": [[0, 0]]}]},
        {"sensitivity": 0.5, "strokes": [{"says": 1, "width": 0.1, "points": []}]},
        {"sensitivity": 0.5, "strokes": [{"says": 1, "width": 0.1, "points": [[1e9, 0]]}]},
        {"sensitivity": 0.5, "strokes": [{"says": 1, "width": 0.1, "points": [[0, 0]] * 5001}]},
    ],
)
def test_what_makes_no_sense_is_refused(asked, visitor, exam):
    visitor.send(exam)
    visitor.finished()
    assert visitor.ask("POST", "/visit/pages/1-0", asked)[0] == 422


def test_several_files_come_in_one_zip_and_all_are_removed(visitor, server, exam):
    visitor.send(exam)
    visitor.send(exam, "b.png")
    assert visitor.finished()["zip"]
    with zipfile.ZipFile(io.BytesIO(visitor.ask("GET", "/visit/files.zip")[2])) as archive:
        assert archive.namelist() == ["exam.clean.png", "b.clean.png"]
    assert visitor.ask("DELETE", "/visit")[0] == 200
    assert visitor.state()["pages"] == [] and not list(server.sessions.folder.glob("session-*"))


def test_the_sample_is_a_page_that_can_be_tried(visitor):
    visitor.ask("POST", "/visit/sample")
    assert [shown["file"] for shown in visitor.state()["pages"]] in ([], ["sample.jpg"])
    visitor.ask("DELETE", "/visit")


def test_a_refresh_keeps_the_pages_and_another_visitor_sees_none(visitor, server, exam):
    visitor.send(exam)
    visitor.finished()
    visitor.open()
    assert len(visitor.state()["pages"]) == 1
    other = Visitor(server.url).open()
    assert other.cookie != visitor.cookie and other.state()["pages"] == []
    assert other.ask("GET", "/visit/pages/1-0/after.jpg")[0] == 410
    assert other.ask("GET", "/visit/files/1")[0] == 410


def test_visitors_that_send_the_same_file_get_their_own_copies(server, exam):
    visitors = [Visitor(server.url).open() for _ in range(5)]
    senders = [threading.Thread(target=visitor.send, args=[exam]) for visitor in visitors]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    for visitor in visitors:
        state = visitor.finished()
        assert [shown["status"] for shown in state["pages"]] == ["erased"] and state["problems"] == []
        assert visitor.ask("GET", "/visit/files/1")[0] == 200
    assert len(list(server.sessions.folder.glob("session-*"))) == 5


def test_without_a_cookie_nothing_is_taken(server, exam):
    status, told = Visitor(server.url).send(exam)
    assert status == 410 and "cookie" in told["error"]
    assert not list(server.sessions.folder.glob("session-*"))


# -- who may ask ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("192.168.1.20", 200),
        ("[::1]:7860", 200),
        ("localhost:1", 200),
        ("exam.example:7860", 200),
        ("EXAM.example.", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ],
)
def test_names_that_the_server_does_not_go_by_are_refused(host, status):
    with serving(hosts=["exam.example"]) as server:
        answer = Visitor(server.url).ask("GET", "/visit", Host=host)
        assert answer[0] == status
        if status == 403:
            assert b"--allow-host NAME" in answer[2] and answer[1]["x-content-type-options"] == "nosniff"


def test_the_command_takes_names():
    from dehw.commands.main import parser

    args = parser().parse_args(["serve", "--host", "0.0.0.0", "--allow-host", "a.example", "--allow-host", "b.example"])
    assert args.allow_host == ["a.example", "b.example"] and args.max_queue == 20


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
def test_other_sites_pages_change_nothing(site, status, visitor, exam):
    visitor.headers["Sec-Fetch-Site"] = site
    assert visitor.send(exam)[0] == status if status == 200 else visitor.ask("PUT", "/visit/files?name=a")[0] == status
    assert visitor.ask("GET", "/")[0] == 200, "following a link to the page is no harm"


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://192.168.1.20:7860", "192.168.1.20:7860", 200),
        ("https://[fe80::1]", "[fe80::1]", 200),
        ("https://EXAM.example:8443", "exam.example", 200),
        ("https://exam.example", "127.0.0.1:7860", 200),  # behind a proxy that passes its own name on
        ("http://evil.example", "192.168.1.20:7860", 403),
        ("http://evil.example", "0.0.0.0:7860", 403),
        ("http://6.6.6.6", "192.168.1.20:7860", 403),
        ("null", "192.168.1.20:7860", 403),
        ("", "192.168.1.20:7860", 403),
        ("http://[", "192.168.1.20:7860", 403),
    ],
)
def test_nor_where_browsers_name_the_asking_page_alone(origin, host, status):
    """By plain HTTP at an address, they send no Sec-Fetch-Site."""
    file = io.BytesIO()
    Image.fromarray(page()).save(file, "PNG")
    with serving(hosts=["exam.example"]) as server:
        asking = Visitor(server.url, Origin=origin, Host=host)
        assert asking.post_form("/api/erase", ("a.png", file.getvalue()))[0] == status
        assert asking.ask("GET", "/")[0] == 200


def test_headers_keep_browsers_to_this_server(server):
    for path in ("/", "/visit", "/page/page.js", "/nothing"):
        headers = Visitor(server.url).ask("GET", path)[1]
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert headers["x-frame-options"] == "DENY" and headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff" and "server" not in headers


def test_the_page_names_no_foreign_site():
    for path in (ROOT / "work/dehw/commands/serve/page").iterdir():
        if path.suffix != ".jpg":
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(r"(?:https?:)?//([\w-]+\.[\w.-]+)", text)) <= {"www.w3.org"}, path


def test_the_cookie_is_out_of_other_sites_reach(server):
    cookie = Visitor(server.url).ask("GET", "/")[1]["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    cookie = Visitor(server.url, **{"X-Forwarded-Proto": "https"}).ask("GET", "/")[1]["set-cookie"]
    assert "SameSite=Lax" in cookie and "Secure" in cookie


# -- what is refused -----------------------------------------------------------------------------------------


def test_refusals_are_told_in_the_visitors_language_without_a_traceback(visitor, tmp_path, capfd):
    (tmp_path / "notes.txt").write_text("hello")
    Image.new("1", (3000, 2000)).save(tmp_path / "large.png")
    visitor.send(tmp_path / "notes.txt")
    visitor.send(tmp_path / "large.png")
    problems = visitor.finished()["problems"]
    assert problems[0].startswith("notes.txt cannot be read: not an image")
    assert problems[1].startswith("large.png has a page of 6 megapixels; 1 are allowed here")
    visitor.headers["Accept-Language"] = "zh-CN,zh;q=0.9"
    told = visitor.state()["problems"]
    assert told[0].startswith("无法读取 notes.txt：不是图片") and "6 百万像素" in told[1]
    visitor.ask("DELETE", "/visit/problems")
    assert visitor.state()["problems"] == []
    (tmp_path / "noise.bmp").write_bytes(bytes(1_000_001))
    status, told = visitor.send(tmp_path / "noise.bmp")
    assert status == 422 and told["error"] == "noise.bmp 超过 1 MB，这里不接收更大的文件。"
    assert capfd.readouterr().err == ""


def test_a_body_longer_than_it_says_ends_at_the_limit(visitor, server):
    """A body that comes in pieces says no length."""
    piece = b"%x\r\n%s\r\n" % (100_000, bytes(100_000))
    head = f"PUT /visit/files?name=a HTTP/1.1\r\nHost: localhost\r\nCookie: {visitor.cookie}\r\n"
    with socket.create_connection((visitor.url.hostname, visitor.url.port), timeout=20) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(11):
            connection.sendall(piece)
        assert b" 422 " in connection.recv(1000).partition(b"\r\n")[0]
    assert not list(server.sessions.folder.rglob("a"))


@pytest.mark.parametrize("path", ["/visit/pages", "/visit/pages/1-0", "/visit/questions"])
def test_what_is_asked_is_bounded_too(path, visitor, monkeypatch):
    monkeypatch.setattr("dehw.commands.serve.uploads.MOST_ASKED", 1)
    piece = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((visitor.url.hostname, visitor.url.port), timeout=20) as connection:
        connection.sendall(f"{head}Cookie: {visitor.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(11):
            connection.sendall(piece)
        assert b" 413 " in connection.recv(1000).partition(b"\r\n")[0]


def test_uploads_side_by_side_do_not_exceed_a_visitors_room(exam):
    exam.write_bytes(exam.read_bytes() + bytes(30_000))
    with serving(limits=Limits(megabytes=1, visitor_megabytes=2)) as server:
        visitor, other = Visitor(server.url).open(), Visitor(server.url).open()
        head = f"PUT /visit/files?name=a HTTP/1.1\r\nHost: localhost\r\nCookie: {visitor.cookie}\r\n"
        with socket.create_connection(("127.0.0.1", visitor.url.port)) as one:
            with socket.create_connection(("127.0.0.1", visitor.url.port)) as two:
                for connection in (one, two):
                    connection.sendall(f"{head}Content-Length: 990000\r\n\r\nxxx".encode())
                deadline = time.monotonic() + 20
                while server.sessions.incoming < 1_980_000 and time.monotonic() < deadline:
                    time.sleep(0.02)
                status, told = visitor.send(exam)
                assert status == 507 and "your files take all the room" in told["error"]
                assert other.send(exam)[0] == 200
        while server.sessions.incoming and time.monotonic() < deadline:
            time.sleep(0.02)
        assert visitor.send(exam)[0] == 200


def uploads(server) -> list[str]:
    """Names of what is being uploaded. Unlike Path.rglob, os.walk passes over folders that vanish meanwhile."""
    names = (name for _, folders, files in os.walk(server.sessions.folder) for name in (*folders, *files))
    return [name for name in names if name.startswith("upload-")]


def test_uploads_that_are_cut_short_vanish(visitor, server, capfd):
    visitor.cut_short("/visit/files?name=exam.png")
    deadline = time.monotonic() + 20
    while (uploads(server) or server.sessions.incoming) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert uploads(server) == [] and server.sessions.incoming == 0
    assert visitor.state()["pages"] == [] and visitor.state()["run"] is None
    assert capfd.readouterr().err == ""


def test_uploads_that_fall_silent_vanish(visitor, server, monkeypatch):
    monkeypatch.setattr("dehw.commands.serve.uploads.SILENCE", 0.2)
    with socket.create_connection((visitor.url.hostname, visitor.url.port), timeout=20) as connection:
        head = f"PUT /visit/files?name=a HTTP/1.1\r\nHost: localhost\r\nCookie: {visitor.cookie}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\nxxx".encode())
        answer = b""
        while b"the upload was cut short" not in answer:
            answer += (piece := connection.recv(5000))
            assert piece, answer
    assert not uploads(server)


def test_a_full_server_takes_no_more(exam):
    with serving(limits=Limits(megabytes=1, all_megabytes=0)) as server:
        status, told = Visitor(server.url, "zh").open().send(exam)
        assert status == 507 and told["error"].startswith("服务器暂时没有空间")


def test_a_full_queue_is_told(exam):
    with serving(limits=Limits(queue=0)) as server:
        with held(server.sessions):
            status, told = Visitor(server.url).open().send(exam)
        assert status == 503 and told["error"].startswith("0 others wait already")


def test_a_waiting_visitor_learns_how_many_come_before(visitor, server, exam):
    with held(server.sessions):
        visitor.send(exam)
        assert visitor.state()["run"] == {"ahead": 1}
    assert visitor.finished()["pages"][0]["status"] == "erased"


# -- where it is served --------------------------------------------------------------------------------------


class Proxy(BaseHTTPRequestHandler):
    """A reverse proxy that shows a server at /sub/. strips: whether it takes that off what it passes on."""

    strips, behind = True, None

    def pass_on(self):
        assert self.path.startswith("/sub/")
        asking = Visitor(self.behind)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        kept = {name: value for name, value in self.headers.items() if name != "Content-Length"}
        status, headers, content = asking.ask(
            self.command, self.path[len("/sub") :] if self.strips else self.path, body, **kept
        )
        self.send_response(status)
        for name, value in headers.items():
            if name != "content-length":
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = pass_on

    def log_message(self, *args):
        pass


def behind_proxy(server, strips=True):
    handler = type("Behind", (Proxy,), {"behind": server.url, "strips": strips})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    return proxy, f"http://127.0.0.1:{proxy.server_address[1]}"


@pytest.mark.parametrize("strips", [True, False])
def test_behind_a_proxy_at_a_path_uploads_work(strips, exam):
    with serving(root_path="/sub") as server:
        proxy, url = behind_proxy(server, strips)
        visitor = Visitor(url)
        headers = visitor.ask("GET", "/sub/")[1]
        assert "Path=/sub/;" in headers["set-cookie"]
        assert visitor.ask("GET", "/sub/page/page.js")[0] == 200
        assert visitor.ask("PUT", "/sub/visit/files?name=exam.png", exam.read_bytes())[0] == 200
        for _ in range(500):
            state = json.loads(visitor.ask("GET", "/sub/visit")[2])
            if state["pages"] and not state["run"]:
                break
            time.sleep(0.02)
        assert visitor.ask("GET", f"/sub/visit/pages/{state['pages'][0]['key']}/after.jpg")[0] == 200
        assert json.loads(visitor.ask("GET", "/sub/openapi.json")[2])["servers"] == [{"url": "/sub"}]
        proxy.shutdown()
        proxy.server_close()


def test_addresses_in_the_page_are_relative():
    folder = ROOT / "work/dehw/commands/serve/page"
    html, script = ((folder / name).read_text(encoding="utf-8") for name in ("index.html", "page.js"))
    assert not re.findall(r'(?:src|href)="/', html) and not re.findall(r"""["'`]/(?:visit|page)""", script)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port} cannot be served from.*--port"):
            serve.server(None, port=port)
    with pytest.raises(InputError, match="99999 cannot be served from.*--port"):
        serve.server(None, port=99999)


def test_a_command_that_cannot_serve_leaves_no_folder(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = [sys.executable, "-m", "dehw", "serve", "--port", str(other.getsockname()[1])]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "work"), "TMPDIR": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "cannot be served from" in done.stderr and done.stdout == ""
    assert not list(tmp_path.glob("dehw-serve-*"))


def test_studios_say_where_to_serve(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    listening, _ = serve.server(None)
    assert listening.getsockname() == ("0.0.0.0", port) and serve.url(listening) == f"http://127.0.0.1:{port}/"
    listening.close()


def test_the_application_for_studios_is_the_same_page_in_their_frames(monkeypatch):
    monkeypatch.setattr(Eraser, "load", make_eraser)
    app = runpy.run_path(str(ROOT / "work" / "app.gradio.py"))["demo"]
    with serve.Background(app) as background:
        visitor = Visitor(background.url, Host="me-dehw.hf.space", **{"X-Forwarded-Proto": "https"})
        status, headers, content = visitor.ask("GET", "/")
        assert status == 200 and content == (ROOT / "work/dehw/commands/serve/page/index.html").read_bytes()
        assert "frame-ancestors https://aistudio.baidu.com" in headers["content-security-policy"]
        assert "x-frame-options" not in headers
        assert "SameSite=None; Secure; Partitioned" in headers["set-cookie"], "else frames keep no cookie"


@pytest.mark.slow
def test_a_space_laid_out_as_the_docs_say_starts(tmp_path):
    section = (ROOT / "docs/serve.md").read_text(encoding="utf-8").split("## On Hugging Face")[1]
    *lines, upload = section.split("```sh\n")[1].split("```")[0].splitlines()
    assert upload.startswith("hf upload")
    script = "\n".join(lines).replace("space", shlex.quote(str(tmp_path / "space")))
    subprocess.run(["sh", "-ec", script], cwd=ROOT, check=True)
    space = tmp_path / "space"
    about = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert about["sdk"] == "gradio" and about["python_version"] == "3.11"
    wanted = (space / "requirements.txt").read_text()
    assert "openvino" in wanted and "fastapi" in wanted and "paddle" not in wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | told
    running = subprocess.Popen([sys.executable, about["app_file"]], cwd=space, env=environment, stderr=subprocess.PIPE)
    try:
        assert b"in a browser" in running.stderr.readline()
        visitor = Visitor(f"http://127.0.0.1:{port}", Host="you-dehw.hf.space")
        assert visitor.ask("GET", "/")[0] == 200
    finally:
        running.terminate()
        running.communicate()


def test_a_page_too_thin_for_paper_is_a_sheet_of_its_own_size(visitor, tmp_path):
    Image.fromarray(np.full((20, 1500, 3), 255, np.uint8)).save(tmp_path / "strip.png")
    Image.fromarray(page()).save(tmp_path / "exam.png")
    for name in ("strip.png", "exam.png"):
        visitor.send(tmp_path / name)
    visitor.finished()
    status, headers, content = visitor.ask("GET", "/visit/sheets.pdf")
    assert (status, headers["content-type"]) == (200, "application/pdf")
    (tmp_path / "sheets.pdf").write_bytes(content)
    strip, exam = pages_of(tmp_path / "sheets.pdf")
    assert strip.shape[1] > 50 * strip.shape[0], "no paper about it"
    assert exam.shape[1] / exam.shape[0] == pytest.approx(2**0.5, abs=0.02)


# -- questions -----------------------------------------------------------------------------------------------


def test_questions_are_found_and_the_chosen_ones_come_as_a_pdf(server, visitor, tmp_path, monkeypatch):
    image, lines = printed((100, 100, "1. How long is it?"), (100, 300, "2. Where did they go?"), size=(500, 700))
    monkeypatch.setattr(server.sessions.eraser, "reader", Reader(lines=lambda tile: None))
    monkeypatch.setattr(opened, "find_lines", lambda page, read: lines)
    Image.fromarray(150 + image // 3).save(tmp_path / "exam.png")  # light enough to stay
    assert visitor.send(tmp_path / "exam.png")[0] == 200
    (shown,) = visitor.finished()["pages"]
    one, two = shown["questions"]
    assert one[1] * 500 < 108 < 130 < one[3] * 500 <= two[1] * 500 < 308 < 330 < two[3] * 500
    assert visitor.ask("GET", "/visit/questions.pdf")[0] == 410
    asked = {"questions": [{"page": shown["key"], "box": two}, {"page": shown["key"], "box": [0, 0, 1, 0.1]}]}
    assert visitor.ask("POST", "/visit/questions", asked)[0] == 200
    status, headers, content = visitor.ask("GET", "/visit/questions.pdf")
    assert status == 200 and "questions.pdf" in headers["content-disposition"]
    (tmp_path / "questions.pdf").write_bytes(content)
    (sheet,) = pages_of(tmp_path / "questions.pdf")
    assert sheet.shape == (*questions.A4, 3)
    scale = (questions.A4[1] - 2 * questions.EDGE) / 700
    found = np.flatnonzero((sheet < 190).any((1, 2)))[[0, -1]] - questions.EDGE
    assert found == pytest.approx((np.array([308, 330]) - two[1] * 500) * scale, abs=25), "the second, alone and first"


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"page": "9-0", "box": [0, 0, 1, 1]}, 410), ({"page": "1-7", "box": [0, 0, 1, 1]}, 410),
     ({"page": "1", "box": [0, 0, 1, 1]}, 422), ({"page": "1-0", "box": [0, 0, 1, 7]}, 422)],
)  # fmt: skip
def test_questions_of_no_page_are_refused(visitor, exam, asked, status):
    visitor.send(exam)
    visitor.finished()
    assert visitor.ask("POST", "/visit/questions", {"questions": [asked]})[0] == status


# -- photos --------------------------------------------------------------------------------------------------


def photo():
    """A grey sheet with a mark of ink, askew on a dark desk: (700, 900, 3) uint8, and the sheet's corners in it."""
    picture = np.full((700, 900, 3), 40, np.uint8)
    corners = np.array([(150, 90), (720, 60), (780, 640), (110, 610)], np.int32)
    cv2.fillConvexPoly(picture, corners, (190, 185, 180), cv2.LINE_AA)
    for top in range(180, 560, 30):
        for left in range(200, 660, 18):
            cv2.rectangle(picture, (left, top), (left + 9, top + 9), (90, 90, 90), -1)
    cv2.rectangle(picture, (300, 575), (420, 590), (20, 20, 60), -1)
    return picture


def test_a_photo_becomes_a_flat_white_sheet_where_that_is_asked_for(visitor, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    assert visitor.ask("PUT", "/visit/files?name=photo.png&scan=true", content)[0] == 200
    (shown,) = visitor.finished()["pages"]
    assert shown["status"] == "erased" and shown["scan"]
    key = shown["key"]
    before, after = (picture(visitor.ask("GET", f"/visit/pages/{key}/{what}.jpg")[2]) for what in ("before", "after"))
    assert before.shape == after.shape and before[[5, 5, -6, -6], [5, -6, 5, -6]].min() > 150, "the desk is gone"
    assert np.median(before) < 195 and np.percentile(after, 40) > 245, "and the paper is white"
    np.testing.assert_allclose(picture(visitor.ask("GET", "/visit/files/1")[2]).shape, after.shape, atol=1)
    mask = np.array(Image.open(io.BytesIO(visitor.ask("GET", f"/visit/pages/{key}/mask.png?sensitivity=0.5")[2])))
    assert mask.shape == after.shape[:2]

    stroke = {"says": 1, "width": 0.1, "points": [[0.5, 0.5]]}
    asked = {"sensitivity": 0.5, "strokes": [stroke], "scan": False}
    assert visitor.ask("POST", f"/visit/pages/{key}", asked)[0] == 200
    (shown,) = visitor.finished()["pages"]
    assert not shown["scan"] and shown["strokes"] == [], "they were drawn on another page"
    assert picture(visitor.ask("GET", f"/visit/pages/{key}/before.jpg")[2]).shape == photo().shape


def test_documents_are_scans_already(visitor, tmp_path):
    Image.fromarray(page()).save(tmp_path / "exam.pdf")
    visitor.ask("PUT", "/visit/files?name=exam.pdf&scan=true", (tmp_path / "exam.pdf").read_bytes())
    assert [shown["scan"] for shown in visitor.finished()["pages"]] == [False]


def test_programs_may_ask_for_it_too(server):
    content = io.BytesIO()
    Image.fromarray(photo()).save(content, "PNG")
    answer = Visitor(server.url).post_form("/api/erase", ("photo.png", content.getvalue()), scan="true")
    assert answer[0] == 200 and np.percentile(picture(answer[2]), 40) > 245
