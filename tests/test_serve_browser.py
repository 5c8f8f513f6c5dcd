"""The web page as people see it: clicked through in headless Chromium, which Debian's package `chromium` brings."""

import io
import os
import shutil
import socket
import time
import zipfile
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.commands import serve
from dehw.commands.serve.limits import Limits
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser
from dehw.files import documents
from dehw.files.images import read_image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [name for name in ("gradio", "playwright") if util.find_spec(name) is None] + ["chromium"] * (not CHROMIUM)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
# Chromium itself would otherwise look for news of its own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
FLAGS += ["--disable-component-update"]
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample" / "images" / "dehw_sample_01.jpg"
PATIENCE = 60_000  # ms, for machines that do other work meanwhile
ROW = slice(300, 312), slice(100, 260)  # of the handwriting on page()


def page(paper=230):
    picture = np.full((700, 500, 3), paper, np.uint8)
    for top in range(60, 640, 80):
        picture[top : top + 12, 100:260] = 30
    return picture


def slow_eraser():
    """Finds ink by its darkness and whitens it, slowly enough to be watched."""

    def segmenter(tiles):
        time.sleep(0.2)
        return 0.9 * (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)

    def generator(tiles, mask):
        time.sleep(0.2)
        return np.ones_like(tiles)

    network = NetworkConfig(type="erasenet", weights="tiny.pdparams")
    pipeline = Pipeline(
        name="tiny",
        segment=Segment(network=network, window=256, stride=256),
        mask=Mask(dilate=1),
        erase=Erase(networks=[network], tile=256, margin=13),
    )
    return Eraser(pipeline, segmenter, [(generator, 1.0)])


def serving(eraser, limits):
    before = dict(os.environ)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["GRADIO_HEARTBEAT_INTERVAL"] = "0.5"  # how soon it is seen that a tab was closed
    app = serve.build(eraser, limits)
    serve.launch(app, port=port, wait=False)
    yield app
    app.close()
    app.sessions.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def app():
    yield from serving(slow_eraser(), Limits(megabytes=1, megapixels=2, pages=5))


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def tab(app, browser):
    yield from visit(app, browser)


def visit(app, browser, size=(1000, 700)):
    """A tab with the page; at the end it is held to have asked no other host, and to have failed nowhere."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    requests, faults = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(app.local_url)
    opened.wait_for_selector("#drop input[type=file]", state="attached")
    yield opened
    context.close()
    assert requests and [url for url in requests if not url.startswith((app.local_url, "blob:", "data:"))] == []
    assert faults == []


def drop(tab, *files):
    tab.set_input_files("#drop input[type=file]", [str(file) for file in files])


def status(tab, text):
    """Wait until the status says this, and return all of it."""
    tab.wait_for_function("text => document.querySelector('#status textarea')?.value.includes(text)", arg=text)
    return tab.input_value("#status textarea")


def save(path, picture=None):
    Image.fromarray(page() if picture is None else picture).save(path)
    return path


def download(tab, button):
    with tab.expect_download() as waiting:
        tab.click(button)
    return waiting.value


def shown(tab, number):
    """The picture of the slider, 0 before and 1 after, as the browser got it."""
    source = tab.locator("#slider img").nth(number).get_attribute("src")
    return np.array(Image.open(io.BytesIO(tab.request.get(source).body())))


def test_a_page_is_dropped_erased_and_downloaded(tab, tmp_path):
    drop(tab, save(tmp_path / "exam.png"))
    tab.wait_for_function("() => /erasing, tile \\d+ of \\d+/.test(document.querySelector('#status').innerText)")
    assert "exam.png: 4.4% of it erased" in status(tab, "exam.png")
    assert shown(tab, 0)[ROW].max() < 60 and shown(tab, 1)[ROW].min() > 240
    got = download(tab, "#one")
    assert got.suggested_filename == "exam.clean.png"
    np.testing.assert_array_equal(read_image(got.path()), np.where(page() < 128, 255, page()).astype(np.uint8))
    assert tab.is_disabled("#bundle"), "one file needs no zip"


def test_the_slider_moves(tab, tmp_path):
    drop(tab, save(tmp_path / "exam.png"))
    status(tab, "exam.png")
    handle = tab.locator("#slider .inner")
    before = handle.bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x - 100, y, steps=5)
    tab.mouse.up()
    assert -110 < handle.bounding_box()["x"] - before["x"] < -90


def test_a_pdf_and_pictures_come_as_one_zip(tab, tmp_path):
    scans = [Image.fromarray(page(paper)) for paper in (230, 200)]
    scans[0].save(tmp_path / "exam.pdf", save_all=True, append_images=scans[1:])
    drop(tab, tmp_path / "exam.pdf", save(tmp_path / "a.jpg"))
    status(tab, "exam.pdf, page 1: ")
    choice = tab.locator("#choice button.thumbnail-item")
    choice.nth(2).wait_for()
    assert choice.count() == 3
    with zipfile.ZipFile(download(tab, "#bundle").path()) as archive:
        assert sorted(archive.namelist()) == ["a.clean.jpg", "exam.clean.pdf"]
        archive.extract("exam.clean.pdf", tmp_path)
    with documents.open_document(tmp_path / "exam.clean.pdf") as document:
        assert (document.kind, document.count) == ("PDF", 2)
        assert document.read(1).image.min() > 180
    choice.nth(1).click()
    status(tab, "exam.pdf, page 2")
    assert 190 < np.median(shown(tab, 0)) < 210


def paint(tab, colour, *points):
    """Draw a line through points (x, y) of page(), which stands in the middle of the editor's canvas."""
    tab.click("#editor .toolbar-wrap button[aria-label=Color]")
    tab.locator("#editor .swatch button").nth(colour).click()
    tab.click("#editor .toolbar-wrap button[aria-label=Color]")
    zoom = int(tab.inner_text("#editor .zoom-number").rstrip("%")) / 100
    box = tab.locator("#editor canvas").first.bounding_box()
    height, width = page().shape[:2]
    left, top = box["x"] + (box["width"] - width * zoom) / 2, box["y"] + (box["height"] - height * zoom) / 2
    places = [(left + x * zoom, top + y * zoom) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place)
    tab.mouse.up()


def test_the_brush_keeps_and_erases(tab, tmp_path):
    drop(tab, save(tmp_path / "exam.png"))
    status(tab, "exam.png: 4.4%")
    tab.get_by_role("tab", name="Mask and brush").click()
    green, blue = 0, 1
    paint(tab, green, (120, 306), (160, 306))
    paint(tab, blue, (300, 345), (400, 345))
    tab.click("#again")
    tab.wait_for_function("() => !document.querySelector('#status textarea')?.value.includes('4.4%')")
    status(tab, "exam.png: ")
    clean = read_image(download(tab, "#one").path())
    assert clean[306, 120:160].max() < 40, "kept"
    assert clean[306, 220:250].min() == 255, "erased as before"
    assert clean[345, 305:395].min() == 255, "erased by the brush"
    assert clean[420, 305:395].max() == 230, "left as it was"


def test_sensitivity_moves_what_is_erased(tab, tmp_path):
    drop(tab, save(tmp_path / "exam.png", np.where(page() < 100, 100, page()).astype(np.uint8)))
    status(tab, "exam.png: 4.4%")
    tab.fill("#sensitivity input[type=number]", "0.1")
    tab.press("#sensitivity input[type=number]", "Tab")
    tab.click("#again")
    status(tab, "exam.png: no handwriting found")


def test_files_that_cannot_be_taken_are_explained(tab, tmp_path):
    torn = save(tmp_path / "torn.png")
    torn.write_bytes(torn.read_bytes()[:70])
    (tmp_path / "notes.txt").write_text("hello")
    save(tmp_path / "huge.png", np.zeros((1500, 2000, 3), np.uint8))
    drop(tab, torn, tmp_path / "notes.txt", tmp_path / "huge.png", save(tmp_path / "good.png"))
    told = status(tab, "good.png: 4.4%")
    assert "torn.png cannot be read" in told and "save it anew" in told
    assert "notes.txt cannot be read: not an image" in told
    assert "huge.png has a page of 3 megapixels; 2 are allowed here. Scan it at a lower resolution" in told


def test_a_file_above_the_limit_is_refused_before_it_is_sent(tab, app, tmp_path):
    save(tmp_path / "noise.bmp", np.random.default_rng(0).integers(0, 256, (700, 600, 3), np.uint8))
    drop(tab, tmp_path / "noise.bmp")
    toast = tab.wait_for_selector("[data-testid=toast-body]")
    assert "1" in toast.inner_text() and "size" in toast.inner_text().lower()
    assert tab.input_value("#status textarea") == ""


def test_the_files_of_a_closed_tab_are_removed(app, browser, tmp_path):
    visits = visit(app, browser)
    tab = next(visits)
    drop(tab, save(tmp_path / "exam.png"))
    status(tab, "exam.png")
    ours = set(app.sessions.folder.glob("session-*/*/exam.png"))
    assert ours
    next(visits, None)
    deadline = time.monotonic() + PATIENCE / 1000
    while any(path.exists() for path in ours) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(path.exists() for path in ours)


def test_a_full_queue_is_told_and_the_others_are_served(browser, tmp_path):
    exam = save(tmp_path / "exam.png", np.tile(page(), (2, 2, 1)))
    for app in serving(slow_eraser(), Limits(queue=1)):
        visits = [visit(app, browser) for _ in range(3)]
        running, waiting, refused = (next(each) for each in visits)
        drop(running, exam)
        running.wait_for_function("() => /erasing, tile/.test(document.querySelector('#status').innerText)")
        drop(waiting, exam)
        waiting.wait_for_function("() => /queue/.test(document.querySelector('#status').innerText)")
        drop(refused, exam)
        assert "busy" in refused.wait_for_selector("[data-testid=toast-body]").inner_text()
        assert "4.4% of it erased" in status(running, "exam.png") and "4.4%" in status(waiting, "exam.png")
        for each in visits:
            next(each, None)


def test_a_sample_page_is_erased_by_the_shipped_networks(browser):
    for app in serving(Eraser.load("lite"), Limits()):
        for tab in visit(app, browser, (1280, 900)):
            drop(tab, SAMPLE)
            status(tab, SAMPLE.name)
            before, after = shown(tab, 0), shown(tab, 1)
            assert before.shape == after.shape and 0.005 < (np.abs(before.astype(int) - after).max(2) > 40).mean() < 0.3
