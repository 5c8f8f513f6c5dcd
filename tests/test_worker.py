"""Files that are made to crash, to hang or to unfold: each costs its page, and nothing else."""

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from files import files, page, pages_of, report, run, save_pdf, save_tiff, whitened
from pdfs import add_page, erase, has_ink, is_blue, is_flat, over, paper, picture
from pikepdf import Array, Dictionary, Name

from dehw.commands.serve.limits import Limits
from dehw.errors import ConfigError, InputError, PageError
from dehw.files import images
from dehw.files.documents import new_document, open_document
from dehw.files.images import Metadata
from dehw.files.pdf import document, read, write
from dehw.files.sheet import Sheet
from dehw.files.worker import client, wire
from dehw.files.worker import heif as worker_heif
from dehw.files.worker.client import WorkerLost

WORK = Path(__file__).parents[1] / "work"
MORE = "needs more than 600 MB. Set DEHW_PAGE_MEMORY higher"
INK = slice(110, 160), slice(40, 120)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A worker that starts with the limits of the test."""
    monkeypatch.setattr(client, "WORKER", client.Worker())
    yield client.WORKER
    client.WORKER.stop()


def endless(pdf):
    """A pattern that is drawn with itself, a million times, and again in each."""
    page = add_page(pdf, "/Pattern cs /P scn 0 0 60 90 re f")
    about = Dictionary(
        Type=Name.Pattern, PatternType=1, PaintType=1, TilingType=1, BBox=Array([0, 0, 1, 1]), XStep=0.001, YStep=0.001
    )
    about.Resources = Dictionary()
    pattern = pdf.make_indirect(pdf.make_stream(b"/Pattern cs /P scn 0 0 1 1 re f", about))
    pattern.Resources.Pattern = Dictionary(P=pattern)
    page.Resources.Pattern = Dictionary(P=pattern)


def nested(pdf):
    """A form that draws itself twice."""
    page = add_page(pdf, "/X Do")
    about = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 60, 90]), Resources=Dictionary())
    form = pdf.make_indirect(pdf.make_stream(b"/X Do /X Do", about))
    form.Resources.XObject = page.Resources.XObject = Dictionary(X=form)


def unfolding(pdf):
    """700 MB of content in 3 MB."""
    block, times, packer = b"0 0 m 9 9 l S\n" * 75_000, 700, zlib.compressobj()
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # which may be repeated
    check = 1
    for _ in range(times):
        check = zlib.adler32(block, check)
    data = start + packed * times + b"\3\0" + check.to_bytes(4, "big")
    add_page(pdf, "").obj.Contents = pikepdf.Stream(pdf, data, Dictionary(Filter=Name.FlateDecode))


def written_on(pdf):
    add_page(pdf, over(), pictures=[picture(pdf, paper(250, 167, INK))])


def save(path, *makers):
    with pikepdf.new() as pdf:
        for maker in makers:
            maker(pdf)
        pdf.save(path)
    return path


def by_hand(path, count, box="0 0 60 90"):
    """A PDF of one page that claims `count`."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[3 0 R]/Count {count}>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]>>",
    ]
    path.write_text("%PDF-1.4\n" + "\n".join(f"{n} 0 obj{each}endobj" for n, each in enumerate(objects, 1)))
    with path.open("a") as file:
        file.write("\ntrailer<</Size 4/Root 1 0 R>>\n%%EOF\n")
    return path


# -- hostile pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hostile, variables, cause",
    [
        (endless, {"DEHW_PAGE_SECONDS": "1"}, "takes more than 1 seconds. Set DEHW_PAGE_SECONDS higher"),
        (nested, {"DEHW_PAGE_SECONDS": "20", "DEHW_PAGE_MEMORY": "600"}, MORE),
        pytest.param(unfolding, {"DEHW_PAGE_MEMORY": "600"}, MORE, marks=pytest.mark.slow),
    ],
)
def test_a_hostile_page_fails_and_the_others_are_erased(eraser, capsys, monkeypatch, hostile, variables, cause):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    save(Path("in.pdf"), written_on, hostile, written_on)
    assert run("in.pdf", "-o", "out", "--report", "report.json") == 1
    told = capsys.readouterr().err
    assert "in.pdf, page 2, cannot be read: " in told and cause in told and "Traceback" not in told
    assert [each["status"] for each in report()["pages"]] == ["erased", "failed", "erased"]
    assert not has_ink("out/in.pdf")
    with pikepdf.open("out/in.pdf") as pdf:
        assert len(pdf.pages) == 3
    assert files() == ["in.pdf", "out/in.pdf", "report.json"]


def test_what_claims_a_hundred_thousand_pages_has_those_it_has(tmp_path):
    with open_document(by_hand(tmp_path / "lie.pdf", 100_000)) as opened:
        assert opened.count == 1 and opened.read(0).image.shape == (250, 167, 3)


def test_more_pages_than_are_taken_are_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHW_MAX_PAGES", "2")
    save_pdf(tmp_path / "two.pdf", page(), page())
    save_pdf(tmp_path / "three.pdf", page(), page(), page())
    assert len(pages_of(tmp_path / "two.pdf")) == 2
    with pytest.raises(PageError, match="three.pdf cannot be read: it has 3 pages, of 2 at most .DEHW_MAX_PAGES"):
        pages_of(tmp_path / "three.pdf")


def test_a_page_thinner_than_paper_is_drawn_as_long_as_pictures_may_be(tmp_path):
    [image] = pages_of(by_hand(tmp_path / "thin.pdf", 1, "0 0 1 1000000000"))
    assert image.shape == (65_500, 1, 3)


def test_after_some_lost_pages_the_others_of_a_document_are_not_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHW_PAGE_SECONDS", "1")
    monkeypatch.setattr(document, "LOST", 1)
    with open_document(save(tmp_path / "in.pdf", endless, endless, written_on)) as opened:
        for index, cause in enumerate(("more than 1 seconds", "page 2, was not tried", "page 3, was not tried")):
            with pytest.raises(PageError, match=cause):
                opened.read(index)
    with open_document(tmp_path / "in.pdf") as opened:
        assert is_blue(opened.read(2).image).any()


def test_a_limit_that_is_no_number_is_told(tmp_path, monkeypatch):
    save_pdf(tmp_path / "in.pdf", page())
    for text in ("much", "-1", "0", "9" * 5000):
        monkeypatch.setenv("DEHW_PAGE_SECONDS", text)
        with pytest.raises(ConfigError, match="DEHW_PAGE_SECONDS is .* whole number"):
            client.run("", read.count, tmp_path / "in.pdf")


def test_the_web_page_s_limits_are_held_against_pages_in_the_worker(tmp_path, fresh):
    """A page that ends it, too, is none of the program's own."""
    save(tmp_path / "in.pdf", nested)
    Limits().check(tmp_path / "in.pdf", 0)
    with pytest.raises(InputError, match="0 megapixels|0 are allowed"):
        Limits(megapixels=0).check(tmp_path / "in.pdf", 0)
    assert fresh.process


# -- pages that cannot be taken over, or looked into ---------------------------------------------------------


@pytest.fixture
def losing(monkeypatch):
    """Lets the worker be lost when certain functions are called; a set of them."""
    functions, call = set(), client.run

    def lose(failing, function, *arguments, times=1):
        if function in functions:
            raise WorkerLost(f"{failing}: crashed")
        return call(failing, function, *arguments, times=times)

    monkeypatch.setattr(client, "run", lose)
    return functions


def test_a_page_that_may_not_be_taken_over_becomes_empty_and_never_in_place(eraser, capsys, losing):
    losing |= {write.can_stay}
    before = save(Path("in.pdf"), written_on, written_on, written_on).read_bytes()

    def fail(self, index, read=document.PdfFile.read):
        if index == 1:
            raise PageError("page 2 is hostile.")
        return read(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document.PdfFile, "read", fail)
        assert run("in.pdf", "-o", "out") == 1
        assert "page 2 is hostile. In the output an empty page stands in its place" in capsys.readouterr().err
        assert run("in.pdf", "--in-place") == 1
        assert "in.pdf stays as it is: its page 2 would be lost" in capsys.readouterr().err
    assert Path("in.pdf").read_bytes() == before
    assert [is_blue(image).any() for image in pages_of("out/in.pdf")] == [False] * 3
    assert pages_of("out/in.pdf")[1].min() == 255 and not has_ink("out/in.pdf")


def test_a_page_that_cannot_be_looked_into_becomes_a_picture(tmp_path, losing):
    losing |= {write.change}
    save(tmp_path / "in.pdf", written_on, written_on)
    losses = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: is_blue(sheet.image))
    assert losses == [("it became a picture, without text, links and fields",)] * 2
    assert is_flat(tmp_path / "out.pdf", 1) and not has_ink(tmp_path / "out.pdf")


# -- the worker ends -----------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_in_the_middle_costs_its_page(tmp_path, fresh):
    save(tmp_path / "in.pdf", endless, written_on)
    with open_document(tmp_path / "in.pdf") as opened:
        killer = threading.Timer(0.5, fresh.process.kill)
        killer.start()
        with pytest.raises(PageError, match="page 1, cannot be read: its decoder crashed"):
            opened.read(0)
        assert is_blue(opened.read(1).image).any()


def test_a_worker_that_ended_between_two_pages_costs_nothing(tmp_path, fresh):
    save_pdf(tmp_path / "in.pdf", page(), page())
    with open_document(tmp_path / "in.pdf") as opened, new_document(tmp_path / "out.pdf", "PDF", opened) as writer:
        for index in range(2):
            sheet = opened.read(index)
            fresh.process.kill()
            fresh.process.wait()
            writer.add(Sheet(whitened(sheet.image), sheet.metadata, sheet.points))
            fresh.process.kill()
            fresh.process.wait()
        writer.finish()
    assert all(each.min() > 200 for each in pages_of(tmp_path / "out.pdf"))


def test_where_no_limits_are_to_be_had_the_clock_holds(tmp_path, monkeypatch):
    """As on Windows, which has no module `resource`."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "resource.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path / "without")
    monkeypatch.setenv("DEHW_PAGE_SECONDS", "1")
    save(tmp_path / "in.pdf", endless, written_on)
    with open_document(tmp_path / "in.pdf") as opened:
        start = time.monotonic()
        with pytest.raises(PageError, match="takes more than 1 seconds"):
            opened.read(0)
        assert 2.5 < time.monotonic() - start < 20
        assert is_blue(opened.read(1).image).any()


def test_ctrl_c_ends_the_call_and_the_next_one_works(tmp_path, fresh):
    save(tmp_path / "in.pdf", endless, written_on)
    with open_document(tmp_path / "in.pdf") as opened:
        process = fresh.process
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            opened.read(0)
        assert process.poll() is not None
        assert is_blue(opened.read(1).image).any()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_program_that_ends_leaves_no_worker(tmp_path, name):
    """Not even one that is drawing."""
    save(tmp_path / "in.pdf", endless)
    code = """if True:
        import sys
        from dehw.files.documents import open_document
        from dehw.files.worker import client
        with open_document(sys.argv[1]) as document:
            print(client.WORKER.process.pid, flush=True)
            document.read(0)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "in.pdf")]
    with subprocess.Popen(command, cwd=WORK, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        worker = int(program.stdout.readline())
        time.sleep(0.5)
        program.send_signal(signal.Signals[name])
        program.wait(20)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_a_process_that_is_forked_off_has_a_worker_of_its_own(tmp_path, fresh):
    save_pdf(tmp_path / "in.pdf", page())
    pages_of(tmp_path / "in.pdf")
    process = fresh.process
    child = os.fork()
    if not child:
        os._exit(0 if len(pages_of(tmp_path / "in.pdf")) == 1 and fresh.process.pid != process.pid else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert process.poll() is None and len(pages_of(tmp_path / "in.pdf")) == 1 and fresh.process is process


def test_no_module_of_the_current_folder_runs_in_the_worker(tmp_path, monkeypatch):
    save_pdf(tmp_path / "in.pdf", page())
    (tmp_path / "pikepdf.py").write_text("import os; os._exit(7)")
    monkeypatch.chdir(tmp_path)
    assert len(pages_of("in.pdf")) == 1


def test_a_path_stays_right_when_the_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    save_pdf(tmp_path / "in.pdf", page())
    save_pdf(tmp_path / "sub" / "in.pdf", page(), page())
    for folder, count in (("", 1), ("sub", 2)):
        monkeypatch.chdir(tmp_path / folder)
        assert len(pages_of("in.pdf")) == count


@pytest.mark.slow
def test_300_pages_pass_and_cost_the_worker_no_more_than_30(tmp_path, fresh):
    """Nor do they leave files open there."""
    costs = {}
    for count in (30, 300):
        save(tmp_path / "in.pdf", *[written_on] * count)
        lost = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: is_blue(sheet.image))
        assert lost == [()] * count and len(pages_of(tmp_path / "out.pdf")) == count
        about = Path(f"/proc/{fresh.process.pid}/status").read_text()
        peak = int(about.split("VmHWM:")[1].split()[0]) >> 10
        costs[count] = peak, len(os.listdir(f"/proc/{fresh.process.pid}/fd"))
        fresh.stop()
    print(costs)
    assert costs[300][0] < costs[30][0] + 30 and costs[300][1] == costs[30][1]


# -- what passes between the two -----------------------------------------------------------------------------


def sent(value):
    stream = io.BytesIO()
    wire.write(stream, value)
    stream.seek(0)
    return wire.read(stream)


def test_a_page_passes_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    about = Metadata((72.5, 90.0), b"\0icc", b"", grey=True)
    got = sent((Sheet(image[:, ::2], about, (1.5, 2.0), ("a", "\udcff"), image[..., 0] > 9), Path("a/b"), None, 0, ()))
    np.testing.assert_array_equal(got[0].image, image[:, ::2])
    np.testing.assert_array_equal(got[0].mask, image[..., 0] > 9)
    assert got[0].metadata == about and got[0].losses == ("a", "\udcff") and got[0].mask.dtype == bool
    assert got[1:] == (Path("a/b"), None, 0, ())
    assert sent(np.zeros((0, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize("value", [object(), {1}, np.zeros(2, object), np.zeros(2, np.float32), lambda: 0])
def test_nothing_else_is_sent(value):
    with pytest.raises((TypeError, ValueError)):
        sent(value)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(os.getcwd),
        b"\xff\xff\xff\xff",
        b"\0\0\0\2{}",
        b"\0\0\0\x0c" + b'{"Popen": 1}',
        b"\0\0\0\x22" + b'{"array": ["object", 1]}'.ljust(34),
        b"\0\0\0\x22" + b'{"array": ["uint8", 99999, 99999]}',
        b"\0\0\0\x18" + b'{"array": ["uint8", -1]} ',
        b"\0\2\0\0" + b"[" * 65536 + b"]" * 65536,
    ],
)
def test_what_is_no_message_is_refused(content):
    with pytest.raises((ValueError, EOFError)):
        wire.read(io.BytesIO(content))


@pytest.mark.parametrize("code", ["print('x' * 99, flush=True); input()", "1 / 0", "raise SystemExit"])
def test_a_worker_that_answers_nonsense_or_not_at_all_is_an_error_of_the_page(tmp_path, monkeypatch, code):
    monkeypatch.setattr(client, "START", code)
    save_pdf(tmp_path / "in.pdf", page())
    with pytest.raises(PageError, match="in.pdf cannot be read: its decoder"):
        pages_of(tmp_path / "in.pdf")


def test_the_worker_calls_nothing_but_the_functions_of_files():
    with pytest.raises(ValueError, match="is not the worker's"):
        client.run("", os.getcwd)


def test_an_error_of_the_worker_keeps_its_kind_and_tells_where_it_happened(tmp_path):
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(ValueError, match="damaged, or no PDF") as caught:
        client.run("", read.count, tmp_path / "bad.pdf")
    assert "Traceback" in str(caught.value.__cause__)
    with pytest.raises(OSError, match="No such file"):
        client.run("", write.picture, Sheet(page(), Metadata()), tmp_path / "no" / "folder")


def test_a_heic_photo_is_decoded_in_the_worker(tmp_path, fresh, losing):
    heif = pytest.importorskip("pillow_heif")
    image = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)
    heif.from_bytes("RGB", (30, 40), image.tobytes()).save(tmp_path / "a.heic", quality=95)
    expected = np.asarray(heif.open_heif(tmp_path / "a.heic"))
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.heic"), expected)
    assert images.image_size(tmp_path / "a.heic") == (40, 30) and fresh.process
    losing |= {worker_heif.decode}
    with pytest.raises(PageError, match="a.heic cannot be read: crashed"):
        pages_of(tmp_path / "a.heic")


def test_only_pdfs_and_heic_start_the_worker(tmp_path, fresh):
    save_tiff(tmp_path / "a.tif", page(), page())
    pages_of(tmp_path / "a.tif")
    assert fresh.process is None
