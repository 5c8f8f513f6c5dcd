"""The web page as people see it: clicked through in headless Chromium, which Debian's package `chromium` brings.

Each test runs in the windows and languages it names: a phone's and a desk's, English and Chinese.
"""

import io
import re
import shutil
import time
import zipfile
from importlib import util
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dehw.commands import serve
from dehw.commands.serve import opened
from dehw.commands.serve.limits import Limits
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser
from dehw.files import documents
from dehw.files.images import read_image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [name for name in ("fastapi", "playwright") if util.find_spec(name) is None] + ["chromium"] * (not CHROMIUM)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
# Chromium itself would otherwise look for news of its own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
FLAGS += ["--disable-component-update"]
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample" / "images" / "dehw_sample_01.jpg"
PATIENCE = 60_000  # ms, for machines that do other work meanwhile
PHONE, DESK = (390, 844), (1440, 900)  # (width, height) of the window
BOTH = pytest.mark.parametrize("window", [(PHONE, "zh-CN"), (DESK, "en-US")], ids=["phone", "desk"], indirect=True)
ROW = slice(300, 312), slice(100, 260)  # of the handwriting on page()


def page(paper=230):
    picture = np.full((700, 500, 3), paper, np.uint8)
    for top in range(60, 640, 80):
        picture[top : top + 12, 100:260] = 30
    return picture


def slow_eraser(seconds):
    """Finds ink by its darkness and whitens it, slowly enough to be watched."""

    def segmenter(tiles):
        time.sleep(seconds)
        dark = tiles.mean(1, keepdims=True)
        return np.where(dark < 0.5, np.where(dark < 0.3, 0.9, 0.4), 0).astype(np.float32)

    def generator(tiles, mask):
        time.sleep(seconds)
        return np.ones_like(tiles)

    network = NetworkConfig(type="erasenet", weights="tiny.pdparams")
    pipeline = Pipeline(
        name="tiny",
        segment=Segment(network=network, window=256, stride=256),
        mask=Mask(threshold=0.5, dilate=1),
        erase=Erase(networks=[network], tile=256, margin=13),
    )
    return Eraser(pipeline, segmenter, [(generator, 1.0)])


@pytest.fixture(scope="module")
def server():
    app = serve.build(slow_eraser(0.1), Limits(megabytes=1, megapixels=3, pages=5))
    with serve.Background(app) as started:
        started.sessions = app.state.sessions
        yield started


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def window(request):
    return getattr(request, "param", (DESK, "en-US"))


@pytest.fixture
def tab(server, browser, window):
    yield from visit(server.url, browser, *window)


def visit(url, browser, size=DESK, locale="en-US", scan="off"):
    """A tab with the page; at the end it is held to have asked no other host, and to have failed nowhere.

    scan: whether photos are made flat and white; None leaves it as it is at a first visit.
    """
    width, height = size
    viewport = {"width": width, "height": height}
    context = browser.new_context(viewport=viewport, locale=locale, has_touch=size == PHONE, is_mobile=size == PHONE)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    requests, faults = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    if scan:
        context.add_init_script(f"localStorage.getItem('dehw-scan') ?? localStorage.setItem('dehw-scan', '{scan}')")
    opened.goto(url)
    opened.wait_for_selector("#big:not(:disabled)")
    yield opened
    context.close()
    assert requests and [each for each in requests if not each.startswith((url, "blob:", "data:"))] == []
    assert faults == []


def choose(tab, *files):
    tab.set_input_files("#files", [str(file) for file in files])


def done(tab, name):
    """Wait until this file's page is shown and nothing runs, and return what is said of it."""
    tab.wait_for_function("name => document.querySelector('#summary').textContent.startsWith(name)", arg=name)
    tab.wait_for_selector("#big:not(:disabled)")
    tab.wait_for_function("() => document.querySelector('#after').naturalWidth")
    return tab.inner_text("#summary")


def again(tab, name):
    tab.click("#big")
    tab.wait_for_selector("#big:disabled")
    return done(tab, name)


def save(path, picture=None):
    Image.fromarray(page() if picture is None else picture).save(path)
    return path


def download(tab, button="#big"):
    with tab.expect_download() as waiting:
        tab.click(button)
    return waiting.value


def shown(tab, what):
    """A picture of the stage, as the browser got it: before, after or mask."""
    address = tab.locator(f"#{what}").evaluate("image => image.src")
    return np.array(Image.open(io.BytesIO(tab.request.get(address).body())).convert("RGBA"))


def seen(tab, selector):
    """An element as it stands in the window."""
    return np.array(Image.open(io.BytesIO(tab.locator(selector).screenshot())).convert("RGB")).astype(int)


def is_in_window(tab, selector):
    box, size = tab.locator(selector).bounding_box(), tab.viewport_size
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]


@BOTH
def test_by_the_one_big_button_a_page_is_erased_and_downloaded(tab, window, tmp_path):
    is_chinese = window[1] == "zh-CN"
    assert tab.inner_text("#big") == ("选择或拍摄页面" if is_chinese else "Choose or photograph pages")
    assert tab.locator("#empty li").count() == 3 and tab.is_visible("#sample")
    save(tmp_path / "exam.png")
    with tab.expect_file_chooser() as chooser:
        tab.click("#big")
    chooser.value.set_files(tmp_path / "exam.png")
    tab.wait_for_function(
        "() => /(Page 1 of 1|第 1 页，共 1 页).*\\d+ ?%/.test(document.querySelector('#big').innerText)"
    )
    told = done(tab, "exam.png")
    assert ("擦除了页面的 4.4%" if is_chinese else "4.4 % of the page erased") in told
    for selector in ("#stage", "#hold", "#brush", "#big", "#more"):
        assert is_in_window(tab, selector), selector
    assert tab.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), "one screen"
    assert tab.locator("#stage").bounding_box()["height"] > 450
    assert shown(tab, "before")[ROW][..., 0].max() < 60 and shown(tab, "after")[ROW][..., 0].min() > 240
    got = download(tab)
    assert got.suggested_filename == "exam.clean.png"
    np.testing.assert_array_equal(read_image(got.path()), np.where(page() < 128, 255, page()).astype(np.uint8))


def test_the_sample_can_be_tried_and_removed(tab, server):
    tab.click("#sample")
    done(tab, "sample.jpg")
    tab.click("#more summary")
    tab.click("#clear")
    tab.wait_for_selector("#empty", state="visible")
    assert not list(server.sessions.folder.rglob("sample.jpg"))


def test_a_dropped_file_is_taken(tab, tmp_path):
    save(tmp_path / "exam.png")
    tab.evaluate(
        """async (bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "exam.png", {type: "image/png"}));
            document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
        }""",
        list((tmp_path / "exam.png").read_bytes()),
    )
    assert "4.4 %" in done(tab, "exam.png")


@BOTH
def test_the_language_can_be_switched_and_is_kept(tab, window, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    choose(tab, tmp_path / "notes.txt")
    tab.wait_for_selector("#problems", state="visible")
    said = {"zh-CN": "无法读取 notes.txt", "en-US": "notes.txt cannot be read"}
    other = next(locale for locale in said if locale != window[1])
    assert tab.inner_text("#problems li").startswith(said[window[1]])
    tab.click("#language")
    tab.wait_for_function("said => document.querySelector('#problems').innerText.startsWith(said)", arg=said[other])
    assert tab.get_attribute("html", "lang") == other.removesuffix("-US")
    tab.reload()
    tab.wait_for_selector("#problems", state="visible")
    assert tab.get_attribute("html", "lang") == other.removesuffix("-US")
    tab.click("#forget")
    tab.wait_for_selector("#problems", state="hidden")


@BOTH
def test_a_refresh_keeps_the_pages(tab, tmp_path):
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    tab.reload()
    assert "4.4" in done(tab, "exam.png")
    assert shown(tab, "after")[ROW][..., 0].min() > 240


@BOTH
def test_the_slider_moves_and_holding_shows_the_page_before(tab, tmp_path):
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    sheet = tab.locator("#sheet").bounding_box()
    y = sheet["y"] + sheet["height"] * 306 / 700

    def ink():
        """How much of the handwriting is seen, in shares of the page's width."""
        tab.wait_for_timeout(100)
        picture = seen(tab, "#sheet")
        row = picture[round(len(picture) * 306 / 700)]
        return np.mean(row.max(1) < 100)

    whole = 160 / 500
    tab.mouse.click(sheet["x"] + sheet["width"] * 180 / 500, y)
    assert ink() == pytest.approx(whole / 2, abs=0.02)
    tab.mouse.move(sheet["x"] + sheet["width"] * 180 / 500, y)
    tab.mouse.down()
    tab.mouse.move(sheet["x"] + 5, y, steps=4)
    tab.mouse.up()
    assert ink() < 0.02
    tab.locator("#hold").hover()
    tab.mouse.down()
    assert ink() == pytest.approx(whole, abs=0.02)
    tab.mouse.up()
    assert ink() < 0.02


def paint(tab, says, *points):
    """Draw a line through points (x, y) of page()."""
    tab.locator(f"[data-says='{says}']").click()
    box = tab.locator("#sheet").bounding_box()
    places = [(box["x"] + x * box["width"] / 500, box["y"] + y * box["width"] / 500) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=3)
    tab.mouse.up()


@BOTH
def test_the_brush_keeps_and_erases_and_takes_back(tab, tmp_path):
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    tab.click("#brush")
    before = seen(tab, "#sheet")
    keep, erase, rub = 1, 2, 0
    paint(tab, keep, (120, 306), (160, 306))
    paint(tab, erase, (300, 345), (400, 345))
    paint(tab, rub, (370, 345), (400, 345))
    paint(tab, erase, (300, 500), (400, 500))
    drawn = seen(tab, "#sheet")
    assert 0.003 < (np.abs(drawn - before).max(2) > 30).mean() < 0.1, "the strokes are seen"
    at = round(len(drawn) * 500 / 700), round(drawn.shape[1] * 350 / 500)
    assert 60 < drawn[at].min() < 200 and drawn[at].max() > 230, "see-through, on paper of 230"
    tab.keyboard.press("Control+z")
    tab.wait_for_timeout(100)
    assert np.abs(seen(tab, "#sheet")[at] - before[at]).max() < 10, "undone"
    again(tab, "exam.png")
    clean = read_image(download(tab).path())
    assert clean[306, 125:155].max() < 40, "kept"
    assert clean[306, 220:250].min() == 255, "erased as before"
    assert clean[345, 305:355].min() == 255, "erased by the brush"
    assert clean[345, 380:395].max() == 230, "rubbed out"
    assert clean[500, 305:395].max() == 230, "undone"
    tab.reload()
    done(tab, "exam.png")
    tab.click("#brush")
    for _ in range(3):
        tab.click("#undo")
    assert tab.is_disabled("#undo"), "strokes survive a refresh"


def test_files_that_the_network_loses_are_sent_again_by_the_big_button(tab, tmp_path):
    choose(tab, save(tmp_path / "one.png"))
    done(tab, "one.png")
    tab.context.set_offline(True)
    choose(tab, save(tmp_path / "two.png"), save(tmp_path / "three.png"))
    tab.wait_for_function("() => document.querySelector('#big').innerText === 'Send again (2)'")
    assert "does not answer" in tab.inner_text("#problems")
    tab.context.set_offline(False)
    tab.wait_for_selector("#problems", state="hidden")
    tab.click("#big")
    done(tab, "two.png")
    assert tab.locator("#pages img").count() == 3


def test_an_answer_that_comes_late_undoes_nothing(tab, tmp_path):
    late = []

    def hold_the_first(route):
        if late:
            route.continue_()
        else:
            late.append((route, route.fetch()))

    tab.route("**/visit", hold_the_first)
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # the page asks what there is: nothing
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    ((route, answer),) = late
    route.fulfill(response=answer)
    tab.wait_for_timeout(300)
    assert tab.is_hidden("#problems") and tab.inner_text("#summary").startswith("exam.png")


@BOTH
def test_a_server_that_was_restarted_has_the_pages_chosen_again(browser, window, tmp_path):
    app = serve.build(slow_eraser(0.01))
    with serve.Background(app) as first:
        visits = visit(first.url, browser, *window)
        tab = next(visits)
        choose(tab, save(tmp_path / "exam.png"))
        done(tab, "exam.png")
    tab.click("#more summary")
    tab.click("#every")
    tab.wait_for_selector("#problems", state="visible")
    with serve.Background(serve.build(slow_eraser(0.01)), port=int(first.url.rstrip("/").rpartition(":")[2])):
        tab.wait_for_selector("#empty", state="visible")
        said = "服务器上已没有这些页面" if window[1] == "zh-CN" else "not on the server any more"
        assert tab.locator("#problems li").count() == 1 and said in tab.inner_text("#problems")
        choose(tab, tmp_path / "exam.png")
        done(tab, "exam.png")
        next(visits, None)


def test_pages_that_come_later_do_not_take_the_stage_from_the_brush(tab, tmp_path):
    choose(tab, save(tmp_path / "one.png"))
    done(tab, "one.png")
    tab.click("#brush")
    choose(tab, save(tmp_path / "two.png"), save(tmp_path / "three.png"))
    tab.wait_for_function("() => document.querySelectorAll('#pages img').length === 3")
    assert tab.locator("#pages [aria-pressed=true]").inner_text() == "1"
    tab.click("#brush")
    assert tab.inner_text("#summary").startswith("one.png")


@BOTH
def test_names_are_told_to_screen_readers_and_long_ones_are_shortened(tab, window, tmp_path):
    is_chinese = window[1] == "zh-CN"
    long = "高二年级数学阶段练习" * 6 + ".png"
    choose(tab, save(tmp_path / long), save(tmp_path / "two.png"))
    name = done(tab, long[:20] + "…" + long[-10:]).split("：" if is_chinese else ": ")[0]
    assert tab.get_by_alt_text(f"{name}，擦除后" if is_chinese else f"{name}, erased").count() == 1
    tab.wait_for_function("() => document.querySelectorAll('#pages img').length === 2")
    assert tab.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert tab.title() == ("dehw – 擦除试卷上的手写笔迹" if is_chinese else "dehw – Erases handwriting from exam pages")
    nameless = """() => [...document.querySelectorAll('button, input:not([type=file]), img')].filter((each) => {
        const label = each.ariaLabel || each.alt || each.innerText || each.labels?.[0]?.innerText;
        return each.checkVisibility() && !label && !each.closest('button > *, button');
    }).map((each) => each.outerHTML)"""
    assert [each for each in tab.evaluate(nameless) if 'id="mask"' not in each] == []


@BOTH
def test_words_stand_out_by_day_and_by_night(tab, tmp_path):
    """By 4.5 to 1, as WCAG 2.1 asks, for text and what is behind it."""
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    tab.click("#more summary")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for selector in ("header span", "#hold", "#summary", "#more summary", "#more .small", "#big", "#language"):
            assert contrast(tab, selector) >= 4.5, (scheme, selector)


def contrast(tab, selector):
    """The contrast of an element's text by what it is painted on, as WCAG 2.1 defines it."""
    colours = tab.locator(selector).first.evaluate(
        """(element) => {
            const ground = (each) => {
                const colour = getComputedStyle(each).backgroundColor;
                return colour === "rgba(0, 0, 0, 0)" && each.parentElement ? ground(each.parentElement) : colour;
            };
            return [getComputedStyle(element).color, ground(element)];
        }"""
    )
    shares = [np.array([int(each) for each in re.findall(r"\d+", colour)[:3]]) / 255 for colour in colours]
    linear = [np.where(each <= 0.04045, each / 12.92, ((each + 0.055) / 1.055) ** 2.4) for each in shares]
    dark, light = sorted(each @ (0.2126, 0.7152, 0.0722) + 0.05 for each in linear)
    return light / dark


def test_a_pinch_zooms_and_draws_nothing(server, browser, tmp_path):
    for tab in visit(server.url, browser, PHONE):
        choose(tab, save(tmp_path / "exam.png"))
        done(tab, "exam.png")
        tab.click("#brush")
        width = tab.locator("#sheet").bounding_box()["width"]
        touch = tab.context.new_cdp_session(tab)
        for kind, far in (("touchStart", 0), ("touchStart", 40), ("touchMove", 80), ("touchMove", 120)):
            points = [{"x": 150, "y": 300, "id": 1}, {"x": 150 + far, "y": 300, "id": 2}][: 2 if far else 1]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert tab.locator("#sheet").bounding_box()["width"] == pytest.approx(3 * width, rel=0.1)
        assert tab.is_disabled("#undo") and tab.inner_text("#big") == "Download"


@BOTH
def test_moving_the_sensitivity_shows_the_mask_at_once_and_runs_nothing(tab, server, tmp_path):
    picture = page()
    picture[300:312, 100:260] = 100  # a faint answer, probability 0.4
    choose(tab, save(tmp_path / "exam.png", picture))
    done(tab, "exam.png")
    assert not tab.is_visible("#sensitivity"), "folded away"
    tab.click("#more summary")
    for sensitivity, is_found in ((0.8, True), (0.4, False)):
        began = time.monotonic()
        tab.fill("#sensitivity", str(sensitivity))
        tab.wait_for_function(
            "end => document.querySelector('#mask').src.endsWith(end)", arg=f"sensitivity={sensitivity}"
        )
        assert time.monotonic() - began < 5
        mask = shown(tab, "mask")[..., 3] > 0
        assert (mask[ROW].mean() > 0.9) == is_found and mask[220:232, 100:260].all()
    assert all(not each.is_working for each in server.sessions.open.values())
    assert is_in_window(tab, "#big")
    tab.fill("#sensitivity", "0.8")
    assert "4.4" in again(tab, "exam.png")


@BOTH
def test_a_pdf_and_pictures_come_as_one_pdf_or_as_a_zip(tab, window, tmp_path):
    scans = [Image.fromarray(page(paper)) for paper in (230, 200)]
    scans[0].save(tmp_path / "exam.pdf", save_all=True, append_images=scans[1:])
    choose(tab, tmp_path / "exam.pdf", save(tmp_path / "a.jpg"))
    tab.wait_for_function("() => document.querySelectorAll('#pages img').length === 3")
    tab.wait_for_selector("#big:not(:disabled)")
    tab.click("#more summary")
    with zipfile.ZipFile(download(tab, "#zip").path()) as archive:
        assert sorted(archive.namelist()) == ["a.clean.jpg", "exam.clean.pdf"]
        archive.extract("exam.clean.pdf", tmp_path)
    with documents.open_document(tmp_path / "exam.clean.pdf") as document:
        assert (document.kind, document.count) == ("PDF", 2)
        assert document.read(1).image.min() > 180
    tab.locator("#pages button").nth(1).click()
    done(tab, "exam.pdf 第 2 页" if window[1] == "zh-CN" else "exam.pdf, page 2")
    assert 190 < np.median(shown(tab, "before")[..., 0]) < 210
    assert download(tab, "#download").suggested_filename == "exam.clean.pdf", "this file alone"
    with documents.open_document(download(tab).path()) as document:
        assert (document.kind, document.count) == ("PDF", 3)
        height, width = document.read(2).image.shape[:2]
        assert height / width == pytest.approx(297 / 210, rel=0.01), "pictures are put on A4"


@BOTH
def test_files_that_cannot_be_taken_are_explained(tab, window, tmp_path):
    torn = save(tmp_path / "torn.png")
    torn.write_bytes(torn.read_bytes()[:70])
    (tmp_path / "notes.txt").write_text("hello")
    save(tmp_path / "huge.png", np.zeros((2000, 2000, 3), np.uint8))
    save(tmp_path / "noise.bmp", np.random.default_rng(0).integers(0, 256, (700, 600, 3), np.uint8))
    choose(
        tab, torn, tmp_path / "notes.txt", tmp_path / "huge.png", tmp_path / "noise.bmp", save(tmp_path / "good.png")
    )
    done(tab, "good.png")
    told = tab.inner_text("#problems")
    expected = {
        "en-US": (
            "torn.png cannot be read",
            "notes.txt cannot be read: not an image",
            "huge.png has a page of 4 megapixels; 3 are allowed here",
            "noise.bmp has more than 1 megabytes",
        ),
        "zh-CN": (
            "无法读取 torn.png",
            "无法读取 notes.txt：不是图片",
            "huge.png 中有 4 百万像素",
            "noise.bmp 超过 1 MB",
        ),
    }
    assert all(sentence in told for sentence in expected[window[1]]), told


def test_a_full_queue_is_told_and_the_others_are_served(browser, tmp_path):
    exam = save(tmp_path / "exam.png", np.tile(page(), (2, 2, 1)))
    with serve.Background(serve.build(slow_eraser(0.4), Limits(queue=1))) as server:
        visits = [visit(server.url, browser) for _ in range(3)]
        running, waiting, refused = (next(each) for each in visits)
        choose(running, exam)
        running.wait_for_function("() => /Page 1 of 1/.test(document.querySelector('#big').innerText)")
        choose(waiting, exam)
        waiting.wait_for_function("() => /1 before you/.test(document.querySelector('#big').innerText)")
        choose(refused, exam)
        refused.wait_for_selector("#problems", state="visible")
        assert "1 others wait already. Try again" in refused.inner_text("#problems")
        assert "4.4 %" in done(running, "exam.png") and "4.4 %" in done(waiting, "exam.png")
        for each in visits:
            next(each, None)


@BOTH
def test_questions_are_chosen_by_a_tap_or_a_box_and_come_as_a_pdf(tab, server, window, tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "_questions", lambda eraser, image: [(0.1, 0.1, 0.6, 0.2), (0.1, 0.3, 0.6, 0.4)])
    choose(tab, save(tmp_path / "exam.png"))
    done(tab, "exam.png")
    assert not tab.is_visible("#boxes button")
    tab.click("#collect")
    assert tab.locator("#boxes button").count() == 2 and tab.is_disabled("#big")
    for x, y in ((0.3, 0.35), (0.3, 0.15), (0.3, 0.35)):  # chosen, chosen, and left out again
        tab.mouse.click(*place(tab, x, y))
    assert tab.locator("#boxes [aria-pressed=true]").count() == 1
    tab.mouse.move(*place(tab, 0.2, 0.6))
    tab.mouse.down()
    tab.mouse.move(*place(tab, 0.5, 0.7))
    assert tab.is_visible("#band")
    tab.mouse.move(*place(tab, 0.8, 0.9))
    tab.mouse.up()
    assert tab.locator("#boxes [aria-pressed=true]").count() == 2 and not tab.is_visible("#band")
    assert "2" in tab.inner_text("#big")
    for _ in range(2):  # the keyboard does it, too
        tab.locator("#boxes button").first.focus()
        tab.keyboard.press("Enter")
    assert tab.locator("#boxes [aria-pressed=true]").count() == 2
    with tab.expect_download() as saved:
        tab.click("#big")
    saved.value.save_as(tmp_path / "questions.pdf")
    with documents.open_document(tmp_path / "questions.pdf") as document:
        assert document.count == 1
    tab.click("#collect")
    assert not tab.is_visible("#boxes button") and tab.is_visible("#hold")


def place(tab, x, y):
    """A place of the page in the window, of shares of the page's sides."""
    box = tab.locator("#sheet").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def desk_photo():
    """The sample page, askew and shaded on a dark desk, as a phone takes it: (4000, 3000, 3) uint8."""
    sheet = read_image(SAMPLE)
    height, width = sheet.shape[:2]
    corners = np.float32([(260, 330), (2700, 240), (2810, 3690), (190, 3760)])
    matrix = cv2.getPerspectiveTransform(np.float32([(0, 0), (width, 0), (width, height), (0, height)]), corners)
    lit = cv2.warpPerspective(np.full(sheet.shape[:2], 255, np.uint8), matrix, (3000, 4000))[..., None] > 127
    photo = np.where(lit, cv2.warpPerspective(sheet, matrix, (3000, 4000), flags=cv2.INTER_CUBIC), (70, 55, 45))
    return (photo * np.linspace(0.65, 0.9, 3000)[None, :, None]).astype(np.uint8)


@BOTH
def test_a_photo_of_twelve_megapixels_becomes_a_sheet_to_print(browser, window, tmp_path):
    Image.fromarray(desk_photo()).save(tmp_path / "photo.jpg", quality=90)
    with serve.Background(serve.build(Eraser.load("lite"))) as server:
        for tab in visit(server.url, browser, *window, scan=None):
            assert tab.is_checked("#empty .scan")
            choose(tab, tmp_path / "photo.jpg")
            done(tab, "photo.jpg")
            before, after = shown(tab, "before")[..., :3], shown(tab, "after")[..., :3]
            assert before.shape == after.shape and before[[9, 9, -9, -9], [9, -9, 9, -9]].min() > 120, "no desk"
            assert np.percentile(after, 40) > 245 > np.percentile(before, 90), "white paper"
            sheet = read_image(download(tab).path())
            assert sheet.shape[0] > 3000 and np.percentile(sheet, 40) > 245
            with Image.open(SAMPLE.parents[1] / "gts" / f"{SAMPLE.stem}.png") as printed:
                ink = np.array(printed.convert("L").resize(sheet.shape[1::-1])) < 128
            assert 0.3 < (sheet.max(2) < 128).sum() / ink.sum() < 1.7, "print is there"
