"""What the web page does with a visitor's pages, without a server, which test_serve_http.py has."""

import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from visits import FAINT, INK, held, make_eraser, page

from dehw.commands import main
from dehw.commands.serve import state
from dehw.commands.serve.limits import Limits
from dehw.commands.serve.opened import ERASE, KEEP, NOTHING, Ask, OpenPage, Stroke, draw
from dehw.commands.serve.runs import Busy, Runs
from dehw.commands.serve.session import GRACE, Full, Gone, Sessions, remove_dead, safe_name, used
from dehw.errors import DehwError, ExitCode
from dehw.files import documents
from dehw.files.images import read_image

WORK = Path(__file__).resolve().parents[1] / "work"


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


def upload(tmp_path, name="page.png", picture=None, content=None):
    """A file where uploads are put: in a folder of its own."""
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


def silent(doing):
    pass


def erase(session, *paths):
    added, problems = session.add(paths)
    return problems + session.erase(added, silent)


def again(session, page, sensitivity=0.5, strokes=()):
    page.ask(sensitivity, strokes)
    return session.erase([each for each in session.documents if page in each.pages], silent)


def line(says, y, left, right, width=5, page_width=80):
    """A stroke along a row of a page, its lengths in pixels."""
    points = tuple(((x + 0.5) / page_width, (y + 0.5) / page_width) for x in (left, right))
    return Stroke(says, width / page_width, points)


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
    again(session, session.pages[0], sensitivity)
    assert eraser.segmenter.count == looks == 1
    np.testing.assert_array_equal(read_image(session.targets[0]), eraser(page(), sensitivity).page)


def test_a_higher_sensitivity_takes_the_faint_traces_too(session, tmp_path):
    erase(session, upload(tmp_path))
    again(session, session.pages[0], 0.7)
    assert (read_image(session.targets[0])[FAINT] == 255).all()


def test_what_is_asked_for_again_as_it_is_costs_nothing(session, eraser, tmp_path):
    erase(session, upload(tmp_path))
    generator = eraser.generators[0][0]
    before = generator.count
    again(session, session.pages[0], 0.5, ())
    assert generator.count == before
    again(session, session.pages[0], 0.6)
    assert generator.count == before + 1


@pytest.mark.parametrize("cmp", [True, False])
def test_the_brush_keeps_and_erases(sessions, tmp_path, cmp):
    sessions.eraser = make_eraser(cmp)
    session = sessions.of("brush")
    erase(session, upload(tmp_path))
    strokes = [line(KEEP, 12, 5, 14), line(ERASE, 52, 60, 69)]
    again(session, session.pages[0], 0.5, strokes)
    clean = read_image(session.targets[0])
    np.testing.assert_array_equal(clean[10:14, 5:15], page()[10:14, 5:15])
    assert (clean[10:14, 18:30] == 255).all() and (clean[50:55, 60:70] == 255).all()
    if cmp:
        np.testing.assert_array_equal(clean[FAINT], page()[FAINT])
    again(session, session.pages[0])
    assert (read_image(session.targets[0])[INK] == 255).all(), "without strokes it is erased as at first"


def test_strokes_on_a_smaller_picture_hold_for_the_page(session, tmp_path):
    erase(session, upload(tmp_path, picture=np.full((600, 800, 3), 230, np.uint8)))
    again(session, session.pages[0], 0.5, [line(ERASE, 15, -5, 85, 11)])
    clean = read_image(session.targets[0])
    assert (clean[105:200] == 255).all() and (clean[:90] == 230).all() and (clean[220:] == 230).all()


def test_strokes_are_drawn_in_their_order_and_can_be_rubbed_out():
    drawn = draw([line(KEEP, 20, 10, 60), line(ERASE, 20, 30, 60), line(NOTHING, 20, 50, 60)], (60, 80))
    assert [drawn[20, x] for x in (15, 40, 55)] == [KEEP, ERASE, NOTHING]
    assert (drawn[:17] == NOTHING).all() and (drawn[24:] == NOTHING).all()
    assert draw([line(ERASE, 20, 40, 40)], (60, 80))[20, 40] == ERASE, "a dot"


def test_the_preview_shows_the_mask_of_another_sensitivity_and_runs_nothing(session, eraser, tmp_path):
    with pytest.raises(FileNotFoundError):
        erase(session, upload(tmp_path, picture=np.zeros((9, 9, 3), np.uint8), name="other.png"))
        OpenPage(tmp_path, "unseen", Ask()).preview(eraser, 0.5)
    erase(session, upload(tmp_path))
    looks = eraser.segmenter.count
    for sensitivity in (0.2, 0.5, 0.8):
        shown = Image.open(io.BytesIO(session.pages[1].preview(eraser, sensitivity)))
        np.testing.assert_array_equal(np.array(shown.convert("RGBA"))[..., 3] > 0, eraser(page(), sensitivity).mask)
    assert eraser.segmenter.count == looks + 3, "only the comparison itself looked"


def test_a_pdf_comes_back_as_one_and_a_page_alone_is_done_again(session, eraser, tmp_path):
    assert erase(session, upload_pdf(tmp_path, page(), page(ink=False), page())) == []
    assert [each.name for each in session.pages] == [f"exam.pdf, page {number}" for number in (1, 2, 3)]
    looks, passes = eraser.segmenter.count, eraser.generators[0][0].count
    again(session, session.pages[2], 0.5, [line(ERASE, 25, 40, 59, 11)])
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


def test_names_that_differ_in_case_alone_unpack_side_by_side_also_without_a_clock(session, tmp_path, monkeypatch):
    write = zipfile.ZipFile.write

    def long_ago(self, path, name):
        os.utime(path, (0, 0))
        write(self, path, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", long_ago)
    assert erase(session, upload(tmp_path, "a.png"), upload(tmp_path, "A.png")) == []
    with zipfile.ZipFile(session.zip) as archive:
        assert archive.namelist() == ["a.clean.png", "A.clean (2).png"]


def test_progress_tells_of_tiles(session, tmp_path):
    told = []
    added, _ = session.add([upload_pdf(tmp_path, page(), page())])
    session.erase(added, told.append)
    assert {"share": 0.25, "page": 1, "pages": 2, "step": "segment", "tile": 1, "tiles": 1} in told
    assert any((doing["page"], doing.get("step")) == (2, "erase") for doing in told)
    shares = [doing["share"] for doing in told]
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
    assert not list(session.folder.rglob("*.png")), "its file is gone"


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
    assert read_image(session.pages[0].folder / "clean.png").shape == page().shape


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
    with pytest.raises(Gone, match="Choose the file again"):
        sessions.of("one").page(1, 0)
    sessions.close()
    assert not sessions.folder.exists()


def test_a_run_stops_when_its_visitor_leaves(sessions, session, eraser, tmp_path):
    added, _ = session.add([upload(tmp_path, f"{number}.png") for number in range(4)])
    leaving = threading.Thread(target=sessions.end, args=["visitor"])

    def leave(doing):
        if not leaving.ident:
            leaving.start()
        while not session.ended:
            time.sleep(0.001)

    with pytest.raises(DehwError, match="has left"):
        session.erase(added, leave)
    leaving.join()
    assert (eraser.segmenter.count, eraser.generators[0][0].count) == (1, 0), "it went on"
    assert not session.folder.exists()


def test_a_session_ends_an_hour_after_its_visitor_was_last_heard_of(sessions, session, tmp_path):
    erase(session, upload(tmp_path))
    session.seen -= GRACE - 60
    sessions.sweep()
    assert sessions.find("visitor") is session and session.folder.exists(), "a refresh keeps the pages"
    session.seen -= GRACE + 1
    sessions.sweep()
    assert sessions.find("visitor") is None and not session.folder.exists()


def test_a_session_at_work_is_not_swept(sessions, session):
    with held(sessions):
        session.run = sessions.runs.add(lambda: None)
        session.seen -= 2 * GRACE
        sessions.sweep()
        assert session.folder.exists()
    session.run.result(timeout=10)
    sessions.sweep()
    assert not session.folder.exists()


def test_folders_of_servers_that_were_killed_are_removed_at_the_next_start(tmp_path, monkeypatch, eraser):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "from dehw.commands.serve.session import *; s = Sessions(None, Limits()); print(s.folder, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    other = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(WORK), "TMPDIR": str(tmp_path)}, **pipes
    )
    folder = Path(other.stdout.readline().strip())
    assert folder.parent == tmp_path
    Sessions(eraser, Limits()).close()
    assert folder.exists(), "that server runs"
    other.kill()
    other.wait()
    (tmp_path / "dehw-serve-new").mkdir()
    (tmp_path / "mine").mkdir()
    Sessions(eraser, Limits()).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dehw-serve-new", "mine"]


@pytest.mark.skipif(os.name == "nt", reason="no other users' pipes there")
def test_what_another_user_calls_so_is_left_alone(tmp_path, monkeypatch):
    """To open a pipe would wait without end, and a link leads elsewhere."""
    (tmp_path / "dehw-serve-a").mkdir()
    os.mkfifo(tmp_path / "dehw-serve-a" / "lock")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dehw-serve-b").symlink_to("elsewhere")
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    monkeypatch.setattr("dehw.commands.serve.session.SOON", 0)
    remove_dead(tmp_path)
    assert (tmp_path / "dehw-serve-a" / "lock").is_fifo() and list((tmp_path / "elsewhere").iterdir()) == []


def test_a_visitor_and_all_visitors_have_so_much_room(eraser, tmp_path):
    sessions = Sessions(eraser, Limits(visitor_megabytes=1, all_megabytes=2))
    try:
        one, two = sessions.of("one"), sessions.of("two")
        (one.folder / "large").write_bytes(bytes(1_100_000))
        with pytest.raises(Full, match="your files take all the room"), one.receiving("a.png"):
            pass
        with two.receiving("a.png") as file:
            file.write(bytes(950_000))
        with pytest.raises(Full, match="no room for more files now"), sessions.reserved(100_000):
            pass
        sessions.end("one")
        with sessions.reserved(900_000), pytest.raises(Full), sessions.reserved(900_000):
            pass
        assert sessions.incoming == 0
        two.check_room()
    finally:
        sessions.close()


def test_folders_that_vanish_while_they_are_counted_count_nothing(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(1000))
    scandir = os.scandir

    def vanishing(path):
        if Path(path).name == "a":
            Path(path, "file").unlink()
            Path(path).rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert 1000 <= used(tmp_path) < 20_000 and not (tmp_path / "a").exists()


def test_a_disk_that_is_full_is_told_and_the_upload_vanishes(session):
    with pytest.raises(Full, match="no room for more files"), session.receiving("a.png"):
        raise OSError(28, "No space left on device")
    assert session.uploads == [] and list(session.folder.iterdir()) == []


def test_a_page_that_fills_the_room_fails_and_is_named(eraser, tmp_path):
    sessions = Sessions(eraser, Limits(visitor_megabytes=0))
    session = sessions.of("visitor")
    (problem,) = erase(session, upload(tmp_path))
    sessions.close()
    assert problem.startswith("page.png: your files take all the room")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\page.png", "page.png"),
        ("..", "page"),
        ("", "page"),
        ("a\0b\n.jpg", "ab.jpg"),
        ("卷" * 300 + ".jpeg", "卷" * 66 + ".jpeg"),
        ("page1", "page1"),
    ],
)
def test_names_of_uploads_are_made_safe(given, kept, session, tmp_path):
    assert safe_name(given) == kept
    with session.receiving(given) as file:
        file.write(b"x")
    assert session.uploads[0].name == kept and session.folder in session.uploads[0].parents


def test_files_of_one_name_do_not_meet(session, tmp_path):
    content = upload(tmp_path).read_bytes()
    names = ("pages-1-0", "pages-2-0", "page", "page")
    assert erase(session, *[upload(tmp_path, name, content=content) for name in names]) == []
    assert len(session.targets) == 4


# -- the queue -----------------------------------------------------------------------------------------------


def test_twenty_visitors_wait_and_the_next_one_is_refused():
    runs, going = Runs(Limits().queue), threading.Event()
    under_way = runs.add(going.wait)
    waiting = [runs.add(lambda: None) for _ in range(20)]
    with pytest.raises(Busy, match="20 others wait already"):
        runs.add(lambda: None)
    assert [runs.ahead(run) for run in (under_way, waiting[0], waiting[-1])] == [0, 1, 20]
    runs.add(lambda: None, always=True)
    going.set()
    for run in waiting:
        run.result(timeout=10)
    runs.close()


def test_who_is_refused_leaves_no_upload(sessions, session, tmp_path):
    sessions.runs.most = 0
    with session.receiving("page.png") as file:
        file.write(b"x")
    with held(sessions), pytest.raises(Busy):
        session.start()
    assert session.uploads == [] and list(session.folder.iterdir()) == []


def test_what_is_asked_for_meanwhile_is_done_after_those_who_wait(sessions, session, eraser, tmp_path):
    other, order = sessions.of("other"), []
    content = upload(tmp_path).read_bytes()

    def send(visitor, name):
        with visitor.receiving(name) as file:
            file.write(content)
        visitor.start()

    def segmenter(tiles):
        order.append(next(name for name, each in sessions.open.items() if each.working.locked()))
        if len(order) == 1:
            send(other, "b.png")
            send(session, "c.png")
        return 1 - tiles.mean(1, keepdims=True)

    eraser.segmenter = segmenter
    send(session, "a.png")
    while session.is_working or other.is_working:
        time.sleep(0.01)
    assert order == ["visitor", "other", "visitor"]
    assert [target.name for target in session.targets] == ["a.clean.png", "c.clean.png"]


def test_who_is_told_that_nothing_runs_is_told_all_that_was_done(sessions, session, tmp_path, monkeypatch):
    """The page in the browser asks no more then, and would miss what a run does between two looks at it."""

    def finishing(problem, language):
        finish.set()
        session.run.result(timeout=10)
        return problem

    monkeypatch.setattr(state, "translated", finishing)
    finish = threading.Event()
    session.problems.append("an earlier one")
    session.run = sessions.runs.add(lambda: finish.wait(10) and session.problems.append("the run's own"))
    shown = state.of(session, "en")
    assert shown["run"] is not None or "the run's own" in shown["problems"]
    assert state.of(session, "en")["run"] is None


def test_an_unforeseen_error_ends_its_run_alone(sessions, session, eraser, tmp_path, capsys):
    right = eraser.segmenter
    eraser.segmenter = lambda tiles: 1 / 0
    with session.receiving("a.png") as file:
        file.write(upload(tmp_path).read_bytes())
    session.start()
    session.run.result(timeout=10)
    assert "unforeseen error" in session.problems[0] and "ZeroDivisionError" in capsys.readouterr().err
    eraser.segmenter = right
    assert erase(session, upload(tmp_path)) == []


# -- the command ---------------------------------------------------------------------------------------------


def test_without_its_packages_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main.main(["serve"]) == ExitCode.USAGE
    assert "the web page needs the extra serve: pip install 'dehw[serve]'" in capsys.readouterr().err
