"""The web page without a browser; test_serve_browser.py has what people see and click."""

import io
import os
import re
import runpy
import socket
import sys
import threading
import time
import urllib.request
import zipfile
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from dehw.commands import main, serve
from dehw.commands.serve.limits import Limits
from dehw.commands.serve.opened import COLOURS, ERASE, KEEP, NOTHING, read_strokes
from dehw.commands.serve.session import Sessions
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser
from dehw.errors import DehwError, ExitCode, InputError
from dehw.files import documents
from dehw.files.images import read_image

ROOT = Path(__file__).resolve().parents[1]
INK = slice(10, 14), slice(5, 30)
FAINT = slice(40, 44), slice(5, 20)
needs_gradio = pytest.mark.skipif(util.find_spec("gradio") is None, reason=f"no Gradio: pip install {serve.GRADIO}")


@pytest.fixture(autouse=True)
def environment():
    """What serving sets for its process goes again."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


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


@pytest.fixture
def eraser():
    return make_eraser()


@pytest.fixture
def sessions(eraser):
    made = Sessions(eraser, Limits(megapixels=1, pages=4))
    yield made
    made.close()


@pytest.fixture
def session(sessions):
    return sessions.of("visitor")


def page(ink=True):
    """Paper with handwriting, probability 0.88, and with traces of 0.41, which the usual sensitivity leaves."""
    picture = np.full((60, 80, 3), 230, np.uint8)
    if ink:
        picture[INK] = 30
        picture[FAINT] = 150
    return picture


def upload(tmp_path, name="page.png", picture=None, content=None):
    """A file where Gradio puts it: in a folder of its own."""
    path = tmp_path / f"upload{len(list(tmp_path.iterdir()))}" / name
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    else:
        Image.fromarray(page() if picture is None else picture).save(path)
    return path


def upload_pdf(tmp_path, *pictures, name="exam.pdf"):
    pdf = io.BytesIO()
    first, *others = [Image.fromarray(picture) for picture in pictures]
    first.save(pdf, "PDF", save_all=True, append_images=others)
    return upload(tmp_path, name, content=pdf.getvalue())


def silent(share, words):
    pass


def erase(session, *paths):
    added, problems = session.add(paths)
    return problems + session.erase(added, silent)


def again(session, page, sensitivity=0.5, strokes=None):
    page.ask(sensitivity, strokes)
    return session.erase([each for each in session.documents if page in each.pages], silent)


def drawn(rows, columns, meaning, size=(60, 80)):
    strokes = np.zeros(size, np.uint8)
    strokes[rows, columns] = meaning
    return strokes


# -- what a visitor does to pages ----------------------------------------------------------------------------


def test_a_page_is_erased_as_the_eraser_does_it(session, eraser, tmp_path):
    assert erase(session, upload(tmp_path)) == []
    (target,) = session.targets
    assert target.name == "page.clean.png"
    np.testing.assert_array_equal(read_image(target), eraser(page()).page)
    assert (read_image(target)[INK] == 255).all() and (read_image(target)[FAINT] == 150).all()


def test_the_upload_is_taken_away(session, tmp_path):
    path = upload(tmp_path)
    erase(session, path)
    assert not path.exists() and not path.parent.exists()


@pytest.mark.parametrize("sensitivity", [0.3, 0.6, 1.0])
def test_another_sensitivity_costs_no_second_look(session, eraser, tmp_path, sensitivity):
    erase(session, upload(tmp_path))
    looks = eraser.segmenter.count
    again(session, session.page, sensitivity)
    assert eraser.segmenter.count == looks == 1
    np.testing.assert_array_equal(read_image(session.targets[0]), eraser(page(), sensitivity).page)


def test_a_higher_sensitivity_takes_the_faint_traces_too(session, tmp_path):
    erase(session, upload(tmp_path))
    again(session, session.page, 0.7)
    assert (read_image(session.targets[0])[FAINT] == 255).all()


def test_what_is_asked_for_again_as_it_is_costs_nothing(session, eraser, tmp_path):
    erase(session, upload(tmp_path))
    generator = eraser.generators[0][0]
    before = generator.count
    again(session, session.page, 0.5, np.zeros((60, 80), np.uint8))
    assert generator.count == before
    again(session, session.page, 0.6)
    assert generator.count == before + 1


@pytest.mark.parametrize("cmp", [True, False])
def test_the_brush_keeps_and_erases(sessions, tmp_path, cmp):
    sessions.eraser = make_eraser(cmp)
    session = sessions.of("brush")
    erase(session, upload(tmp_path))
    strokes = drawn(slice(10, 14), slice(5, 15), KEEP) + drawn(slice(50, 55), slice(60, 70), ERASE)
    again(session, session.page, 0.5, strokes)
    clean = read_image(session.targets[0])
    np.testing.assert_array_equal(clean[10:14, 5:15], page()[10:14, 5:15])
    assert (clean[10:14, 15:30] == 255).all() and (clean[50:55, 60:70] == 255).all()
    if cmp:
        np.testing.assert_array_equal(clean[FAINT], page()[FAINT])
    again(session, session.page)
    assert (read_image(session.targets[0])[INK] == 255).all(), "without strokes it is erased as at first"


def test_strokes_on_a_smaller_picture_hold_for_the_page(session, tmp_path):
    erase(session, upload(tmp_path, picture=np.full((600, 800, 3), 230, np.uint8)))
    again(session, session.page, 0.5, drawn(slice(10, 20), slice(0, 80), ERASE))
    clean = read_image(session.targets[0])
    assert (clean[100:200] == 255).all() and (clean[:100] == 230).all() and (clean[200:] == 230).all()


def test_the_brush_is_read_by_its_colours():
    layer = np.zeros((1, 4, 4), np.uint8)
    layer[0, 0] = *COLOURS[KEEP], 255
    layer[0, 1] = *COLOURS[ERASE], 255
    layer[0, 2] = *COLOURS[ERASE], 100  # the soft edge of a stroke
    assert read_strokes(layer).tolist() == [[KEEP, ERASE, NOTHING, NOTHING]]


def test_a_drawing_comes_back_as_it_was_made(session, tmp_path):
    erase(session, upload(tmp_path))
    assert session.page.drawing() is None
    strokes = drawn(slice(0, 5), slice(0, 9), KEEP) + drawn(slice(20, 30), slice(2, 4), ERASE)
    session.page.ask(0.5, strokes)
    with Image.open(session.page.drawing()) as picture:
        np.testing.assert_array_equal(read_strokes(np.array(picture)), strokes)


def test_a_pdf_comes_back_as_one_and_a_page_alone_is_done_again(session, eraser, tmp_path):
    assert erase(session, upload_pdf(tmp_path, page(), page(ink=False), page())) == []
    assert [each.name for each in session.pages] == [f"exam.pdf, page {number}" for number in (1, 2, 3)]
    looks, passes = eraser.segmenter.count, eraser.generators[0][0].count
    again(session, session.pages[2], 0.5, drawn(slice(20, 30), slice(40, 60), ERASE))
    assert (eraser.segmenter.count, eraser.generators[0][0].count) == (looks, passes + 1)
    with documents.open_document(session.targets[0]) as document:
        assert (document.kind, document.count) == ("PDF", 3)
        first, last = document.read(0).image, document.read(2).image
    assert first[11:13, 10:25].min() > 240 and 220 < first[22:28, 45:55].mean() < 240
    assert last[22:28, 45:55].min() > 240


def test_several_files_come_in_one_zip(session, tmp_path):
    erase(session, upload(tmp_path, "a.png"))
    assert not session.zip.exists()
    erase(session, upload(tmp_path, "a.png", page(ink=False)), upload(tmp_path, "b.bmp"))
    with zipfile.ZipFile(session.zip) as archive:
        assert archive.namelist() == ["a.clean.png", "a.clean (2).png", "b.clean.bmp"]
        assert archive.read("a.clean.png") == session.targets[0].read_bytes()


def test_progress_tells_of_tiles(session, tmp_path):
    told = []
    added, _ = session.add([upload_pdf(tmp_path, page(), page())])
    session.erase(added, lambda share, words: told.append((share, words)))
    assert (0.25, "page 1 of 2: looking for handwriting, tile 1 of 1") in told
    assert any("page 2 of 2: erasing" in words for _, words in told)
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1


# -- what is refused -----------------------------------------------------------------------------------------


def test_files_that_cannot_be_read_are_named_and_the_others_erased(session, tmp_path):
    torn = upload(tmp_path, "torn.png")
    torn.write_bytes(torn.read_bytes()[:60])
    text = upload(tmp_path, "notes.txt", content=b"hello")
    problems = erase(session, torn, text, upload(tmp_path, "good.png"))
    assert len(problems) == 2
    assert problems[0].startswith("notes.txt cannot be read: not an image, or damaged. Open it in a viewer")
    assert problems[1].startswith("torn.png cannot be read: ")
    assert not any(str(session.folder) in problem for problem in problems)
    assert [target.name for target in session.targets] == ["good.clean.png"]


def test_an_upload_that_is_gone_is_named(session, tmp_path):
    problems = erase(session, tmp_path / "gone" / "page.png")
    assert len(problems) == 1 and problems[0].startswith("page.png cannot be read: ")


@pytest.fixture
def undecoded(monkeypatch):
    """Decoding any pixel fails the test."""

    def load(*arguments):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("dehw.files.pdf.read.read", load)


def test_a_picture_with_too_many_pixels_is_refused_undecoded(session, tmp_path, monkeypatch, request):
    path = upload(tmp_path, "large.png", np.zeros((2000, 3000), bool))
    request.getfixturevalue("undecoded")
    added, (problem,) = session.add([path])
    assert not added and problem.startswith("large.png has a page of 6 megapixels; 1 are allowed here. Scan it")
    assert not list(session.folder.glob("*/*")), "its file is gone"


def test_a_thin_page_counts_by_the_tiles_it_needs(session, tmp_path, request):
    path = upload(tmp_path, "thin.png", np.zeros((10_000, 2), bool))
    request.getfixturevalue("undecoded")
    assert "thin.png has a page of 5 megapixels" in session.add([path])[1][0]


def test_a_later_page_of_a_tiff_counts_too(session, tmp_path, request):
    path = upload(tmp_path, "two.tif", np.zeros((9, 9), bool))
    small, large = (Image.new("1", size) for size in ((9, 9), (3000, 2000)))
    small.save(path, save_all=True, append_images=[large])
    request.getfixturevalue("undecoded")
    assert "two.tif has a page of 6 megapixels" in session.add([path])[1][0]


def test_the_scan_in_a_pdf_counts_by_its_own_pixels(session, tmp_path, request):
    picture = Image.new("1", (3000, 2000))
    path = upload(tmp_path, "scan.pdf", content=b"")
    picture.save(path, "PDF", resolution=3000)  # an inch wide: 200 x 133 pixels at 200 dpi
    request.getfixturevalue("undecoded")
    assert "scan.pdf has a page of 6 megapixels" in session.add([path])[1][0]


def test_a_scan_in_a_pdf_of_huge_paper_is_no_larger_than_its_pixels(session, tmp_path):
    path = upload(tmp_path, "scan.pdf", content=b"")
    Image.fromarray(page()).save(path, "PDF", resolution=2)  # 40 x 30 inches: 48 megapixels at 200 dpi
    assert erase(session, path) == []
    assert read_image(session.page.folder / "clean.png").shape == page().shape


def test_a_pdf_without_pictures_counts_as_it_is_drawn(session, tmp_path):
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(595, 842)
    path = upload(tmp_path, "text.pdf", content=b"")
    pdf.save(path)
    assert "text.pdf has a page of 4 megapixels" in session.add([path])[1][0]


def test_too_many_pages_are_refused(session, tmp_path):
    assert "exam.pdf has 5 pages; 4 may be open" in erase(session, upload_pdf(tmp_path, *[page()] * 5))[0]
    assert erase(session, upload_pdf(tmp_path, *[page()] * 3)) == []
    message = erase(session, upload_pdf(tmp_path, *[page()] * 2))[0]
    assert "exam.pdf has 2 pages and 3 are open already; 4 may be open at once here. Take fewer" in message
    assert "--help" in message and len(session.pages) == 3


# -- sessions and their files --------------------------------------------------------------------------------


def test_visitors_do_not_meet_and_leave_nothing_behind(sessions, tmp_path):
    one, two = sessions.of("one"), sessions.of("two")
    erase(one, upload(tmp_path))
    assert sessions.of("one") is one and two.pages == []
    sessions.end("one")
    assert not one.folder.exists() and two.folder.exists()
    with pytest.raises(InputError, match="Drop them again"):
        sessions.of("one").page  # noqa: B018
    sessions.close()
    assert not sessions.folder.exists()


def test_a_run_stops_when_its_visitor_leaves(sessions, session, eraser, tmp_path):
    added, _ = session.add([upload(tmp_path, f"{number}.png") for number in range(4)])
    leaving = threading.Thread(target=sessions.end, args=["visitor"])

    def leave(share, words):
        if not leaving.ident:
            leaving.start()
        while not session.ended:
            time.sleep(0.001)

    with pytest.raises(DehwError, match="has left"):
        session.erase(added, leave)
    leaving.join()
    assert (eraser.segmenter.count, eraser.generators[0][0].count) == (1, 0), "it went on"
    assert not session.folder.exists()


def test_stray_uploads_are_swept_and_sessions_are_not(sessions, session):
    old, new = sessions.folder / "old", sessions.folder / "new"
    for path in (old, new):
        path.mkdir()
        (path / "layer_0.png").touch()
    for path in (old, session.folder):
        os.utime(path, (0, time.time() - 7200))
    sessions.sweep()
    assert not old.exists() and new.exists() and session.folder.exists()
    os.utime(new, (0, time.time() - 120))
    sessions.sweep()
    assert new.exists(), "the visitor's run may wait for it"
    sessions.end("visitor")
    sessions.sweep()
    assert not new.exists()


# -- the command ---------------------------------------------------------------------------------------------


def test_without_gradio_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main.main(["serve"]) == ExitCode.USAGE
    assert f"the web page needs one more package, pip install {serve.GRADIO}" in capsys.readouterr().err


def test_the_extra_names_the_same_gradio():
    assert f"\n{serve.GRADIO}\n" in (ROOT / "requirements" / "serve.txt").read_text(encoding="utf-8")


def run_offline(messages, path="/"):
    """What the middleware sends for an application that sends these messages."""
    import asyncio

    sent = []

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    async def send(message):
        sent.append(message)

    asyncio.run(serve.Offline(app)({"type": "http", "path": path}, None, send))
    return sent


def test_foreign_sites_are_taken_out_of_the_page():
    html = [b'<meta content="https://gradio.app/"><a href="https://example.org/">', b"<p>text</p>"]
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
    bodies = [{"type": "http.response.body", "body": part, "more_body": part is html[0]} for part in html]
    head, body = run_offline([start, *bodies])
    assert body["body"] == b'<meta content=""><a href="https://example.org/"><p>text</p>'
    headers = dict(head["headers"])
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert b"default-src 'self'" in headers[b"content-security-policy"]


def test_other_answers_pass_as_they_come():
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    bodies = [
        {"type": "http.response.body", "body": b"https://gradio.app/", "more_body": more} for more in (True, False)
    ]
    sent = run_offline([dict(start), *bodies])
    assert sent[1:] == bodies and b"cache-control" not in dict(sent[0]["headers"])
    stored = run_offline([dict(start), *bodies], "/gradio_api/file=/tmp/page.png")
    assert dict(stored[0]["headers"])[b"cache-control"] == b"no-store"


# -- with Gradio ---------------------------------------------------------------------------------------------


@pytest.fixture
def desk(sessions):
    serve._import_gradio()
    from dehw.commands.serve.page import Desk

    return Desk(sessions)


VISITOR = SimpleNamespace(session_hash="visitor")
STATUS, CHOICE, SLIDER, EDITOR, SENSITIVITY, ONE, BUNDLE = range(7)


def untouched(size=(60, 80)):
    return {"background": None, "layers": [np.zeros((*size, 4), np.uint8)], "composite": None}


@needs_gradio
def test_the_controls_show_what_was_done(desk, tmp_path):
    progress = lambda share, words: None  # noqa: E731
    view = desk.take([str(upload(tmp_path)), str(upload(tmp_path, "x.txt", content=b"x"))], VISITOR, progress)
    assert re.fullmatch(r"x\.txt cannot be read: .*\npage\.png: 2\.1% of it erased, in \d\.\d s\.", view[STATUS])
    before, after = (read_image(path) for path in view[SLIDER])
    assert before[INK].mean() < 60 and after[INK].min() > 240
    assert view[EDITOR]["layers"] == [] and read_image(view[EDITOR]["background"])[12, 20, 0] > 100
    assert Path(view[ONE].value["path"] if isinstance(view[ONE].value, dict) else view[ONE].value).exists()

    drawing = untouched()
    drawing["layers"][0][INK] = *COLOURS[KEEP], 255
    view = desk.again(0.5, drawing, VISITOR, progress)
    assert view[STATUS] == "page.png: no handwriting found, in 0.0 s." and len(view[EDITOR]["layers"]) == 1

    view = desk.take([str(upload(tmp_path, "b.png"))], VISITOR, progress)
    assert view[STATUS].startswith("b.png: 2.1%")
    view = desk.choose(0.5, untouched(), SimpleNamespace(index=0), VISITOR)
    assert view[STATUS].startswith("page.png: no handwriting")
    view = desk.every(0.7, untouched(), VISITOR, progress)
    assert view[STATUS].startswith("page.png: 3.3%") and view[SENSITIVITY] == 0.7
    view = desk.choose(0.7, untouched(), SimpleNamespace(index=1), VISITOR)
    assert view[STATUS].startswith("b.png: 3.3%")

    view = desk.clear(VISITOR)
    assert view[STATUS] == "" and view[SLIDER] is None and view[EDITOR] is None


@needs_gradio
def test_erasing_again_without_a_page_is_explained(desk):
    import gradio as gr

    with pytest.raises(gr.Error, match="Drop them again"):
        desk.again(0.5, None, VISITOR)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@needs_gradio
def test_serving_asks_no_foreign_host_and_names_none(eraser, monkeypatch):
    asked = []
    connect = socket.socket.connect

    def watched(self, address):
        asked.append(address[0] if isinstance(address, tuple) else "127.0.0.1")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", only_local(socket.getaddrinfo, asked))
    app = serve.build(eraser)
    serve.launch(app, port=free_port(), wait=False)
    try:
        root = urllib.request.urlopen(app.local_url).read().decode()
        style = urllib.request.urlopen(app.local_url + "theme.css").read().decode()
    finally:
        app.close()
        app.sessions.close()
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z0-9]+)", root + style))
    assert hosts <= {"127.0.0.1", "www.w3.org"}, hosts
    assert asked and set(asked) <= {"127.0.0.1", "localhost"}
    assert 'analytics_enabled":false' in root.replace(" ", "")


def only_local(getaddrinfo, asked):
    def lookup(host, *arguments, **options):
        asked.append(host)
        return getaddrinfo(host, *arguments, **options)

    return lookup


@needs_gradio
def test_a_port_that_is_taken_is_named(eraser):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        app = serve.build(eraser)
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{other.getsockname()[1]} cannot be served from.*--port"):
            serve.launch(app, port=other.getsockname()[1], wait=False)
    app.sessions.close()


@needs_gradio
def test_the_application_for_ai_studio_is_the_same_page(eraser, monkeypatch):
    monkeypatch.setattr(Eraser, "load", lambda: eraser)
    demo = runpy.run_path(str(ROOT / "work" / "app.gradio.py"))["demo"]
    other = serve.build(eraser)
    names = [[type(block).__name__ for block in app.blocks.values()] for app in (demo, other)]
    assert names[0] == names[1] and "ImageSlider" in names[0]
    for app in (demo, other):
        app.sessions.close()
