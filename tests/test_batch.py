import json
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from erasers import dark
from files import damage_page, files, page, pages_of, report, run, save_pdf, save_tiff, whitened
from PIL import Image

from dehw.commands.erase import batch, plan
from dehw.commands.erase.progress import Progress
from dehw.eraser import STAGES, Eraser
from dehw.errors import ExitCode, InputError
from dehw.files import FORMATS
from dehw.files.images import kind_of, read_image, write_image


class Told(Progress):
    """Progress that remembers."""

    def __init__(self, total):
        super().__init__(total)
        self.messages, self.seen = [], []

    def message(self, text):
        self.messages.append(text)

    def _show(self):
        self.seen.append(self.done)


# -- documents of many pages ---------------------------------------------------------------------------------


def test_a_tiff_is_erased_page_by_page(eraser):
    pictures = [page(), page(ink=False, size=(30, 40)), page(size=(50, 90))]
    save_tiff("in.tif", *pictures, dpi=(300, 300))
    assert run("in.tif") == ExitCode.OK
    cleaned = pages_of("in.clean.tif")
    assert len(cleaned) == 3
    for clean, picture in zip(cleaned, pictures):
        np.testing.assert_array_equal(clean, whitened(picture))
    with Image.open("in.clean.tif") as image:
        assert image.info["dpi"] == (300, 300)


def test_a_pdf_keeps_its_page_count_and_sizes(eraser):
    save_pdf("in.pdf", page(), page(ink=False), page(), points=(40.25, 30.5))
    assert run("in.pdf", "-o", "out") == ExitCode.OK
    before, after = (pypdfium2.PdfDocument(path) for path in ("in.pdf", "out/in.pdf"))
    assert [each.get_size() for each in after] == [each.get_size() for each in before] == [(40.25, 30.5)] * 3
    for clean in pages_of("out/in.pdf"):
        assert clean.shape == (60, 80, 3) and clean.min() > 200


def test_a_document_without_handwriting_is_copied_byte_for_byte(eraser):
    save_tiff("in.tif", page(ink=False), page(ink=False))
    save_pdf("in.pdf", page(ink=False))
    assert run("in.tif", "in.pdf", "-o", "out") == ExitCode.OK
    for name in ("in.tif", "in.pdf"):
        assert Path("out", name).read_bytes() == Path(name).read_bytes()


def test_a_document_with_a_bad_page_keeps_the_rest_and_says_so(eraser, capsys):
    save_tiff("in.tif", page(), page(), page(ink=False))
    damage_page("in.tif", 1)
    assert run("in.tif", "--report", "report.json") == ExitCode.FAILED
    cleaned = pages_of("in.clean.tif")
    np.testing.assert_array_equal(cleaned[0], whitened(page()))
    assert cleaned[1].shape == (60, 80, 3) and cleaned[1].min() == 255
    np.testing.assert_array_equal(cleaned[2], page(ink=False))
    written = capsys.readouterr().err
    assert "in.tif, page 2, cannot be read" in written and "an empty page stands in its place" in written
    assert "1 page erased, 1 without handwriting copied, 1 failed" in written
    assert [each["status"] for each in report()["pages"]] == ["erased", "failed", "empty"]


@pytest.mark.parametrize("save, name", [(save_tiff, "in.tif"), (save_pdf, "in.pdf")])
def test_a_page_too_large_for_the_memory_stays_as_it_was(eraser, capsys, save, name, monkeypatch):
    save(name, page(), page(size=(90, 120)))
    called = Eraser.__call__

    def limited(self, image, **options):
        if len(image) > 60:
            raise MemoryError
        return called(self, image)

    monkeypatch.setattr(Eraser, "__call__", limited)
    assert run(name, "-o", "out") == ExitCode.FAILED
    assert "page 2: not enough memory for this page. In the output it stays as it was" in capsys.readouterr().err
    before, after = pages_of(name), pages_of(f"out/{name}")
    np.testing.assert_array_equal(after[1], before[1])
    assert after[0].min() > 200


def test_a_document_with_no_good_page_is_not_written(eraser, capsys):
    save_tiff("in.tif", page(), page())
    damage_page("in.tif", 0)
    damage_page("in.tif", 1)
    assert run("in.tif", "--report", "report.json") == ExitCode.FAILED
    assert files() == ["in.tif", "report.json"]
    assert [(each["page"], each["output"]) for each in report()["pages"]] == [(1, None), (2, None)]
    assert "in.tif: none of its pages could be erased" in capsys.readouterr().err


def test_ink_annotations_within_a_box_to_keep_stay(eraser):
    """The page is blank but for two of them; the one in the box is spared, and the report counts the other alone."""
    import pikepdf

    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(72, 72))
        notes = []
        for bottom in (10, 50):
            rect = [10, bottom, 60, bottom + 8]
            look = pdf.make_stream(f"0 0 1 rg 10 {bottom} 50 8 re f".encode(), {"/BBox": pikepdf.Array(rect)})
            look.Type, look.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
            note = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Ink, Rect=rect, F=4)
            note.AP = pikepdf.Dictionary(N=look)
            notes.append(pdf.make_indirect(note))
        pdf.pages[0].obj.Annots = pikepdf.Array(notes)
        pdf.save("in.pdf")
    assert run("in.pdf", "-o", "out", "--keep", "0,0,200,80", "--report", "report.json", "--compare") == ExitCode.OK
    with pikepdf.open("out/in.pdf") as pdf:
        assert [float(note.Rect[1]) for note in pdf.pages[0].Annots] == [50]
    [told] = report()["pages"]
    assert told["status"] == "erased" and 0.05 < told["share"] < 0.1
    assert run("in.pdf", "-o", "drawn", "--keep", "0,0,200,80", "--format", "png") == ExitCode.OK
    drawn = read_image("drawn/in.png")
    assert drawn[42:58, 40:150, 0].max() < 50 and drawn[100:].min() > 250


def test_a_link_that_leads_to_itself_is_named(eraser, capsys):
    Path("ring").symlink_to("ring")
    Path("in").mkdir()
    Path("in/ring.jpg").symlink_to("ring.jpg")
    write_image("in/a.png", page())
    assert run("ring", "-o", "out") == ExitCode.USAGE
    assert "ring: a link that leads nowhere" in capsys.readouterr().err
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.OK and files("out") == ["a.png"]
    assert run("in/a.png", "-o", "ring") != ExitCode.OK


# -- kinds of file -------------------------------------------------------------------------------------------


def test_kinds_are_told_by_content_and_kept(eraser):
    """A JPEG under a PNG's name stays both."""
    Image.fromarray(page()).save("wrong.png", "JPEG", quality=95)
    Image.fromarray(page()).save("none", "PNG")
    assert run("wrong.png", "none", "-o", "out") == ExitCode.OK
    assert kind_of("out/wrong.png") == "JPEG" and kind_of("out/none") == "PNG"
    np.testing.assert_array_equal(pages_of("out/none")[0], whitened(page()))


def test_other_kinds_in_folders_are_named(eraser, capsys):
    write_image("in/a.png", page())
    Path("in/notes.txt").write_text("hello")
    Path("in/sub").mkdir()
    Path("in/sub/table.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    Path("in/.hidden").write_text("")
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.OK
    assert files("out") == ["a.png"]
    written = capsys.readouterr().err
    assert "in/notes.txt: passed over" in written and "in/sub/table.xls: passed over" in written
    assert ".hidden" not in written
    assert sorted(report()["unknown"]) == ["in/notes.txt", "in/sub/table.xls"]


def test_a_named_file_of_another_kind_ends_the_run_before_work(eraser, capsys):
    Path("notes.txt").write_text("hello")
    write_image("a.png", page())
    assert run("notes.txt", "a.png") == ExitCode.USAGE
    message = capsys.readouterr().err
    assert "notes.txt: not a kind of file" in message and files() == ["a.png", "notes.txt"]
    assert ".pdf" in message and ".heic" in message


def test_folders_keep_their_tree_with_all_kinds(eraser):
    for name in ("in/a/1.png", "in/b/1.png"):
        write_image(name, page())
    save_pdf("in/b/2.pdf", page())
    save_tiff("in/3.tif", page(), page())
    assert run("in", "-o", "out") == ExitCode.OK
    assert files("out") == ["3.tif", "a/1.png", "b/1.png", "b/2.pdf"]


@pytest.mark.parametrize("form", FORMATS)
def test_format_chooses_the_kind_and_the_suffix(eraser, form):
    if form == "heic":
        pytest.importorskip("pillow_heif")
    Image.fromarray(page()).save("a.webp", lossless=True)
    write_image("empty.bmp", page(ink=False))
    assert run("a.webp", "empty.bmp", "-o", "out", "--format", form) == ExitCode.OK
    assert files("out") == [f"a.{form}", f"empty.{form}"]
    for name, expected in ((f"out/a.{form}", whitened(page())), (f"out/empty.{form}", page(ink=False))):
        assert kind_of(name) == FORMATS[form]
        assert np.abs(pages_of(name)[0].astype(int) - expected).max() <= (40 if form in ("jpg", "heic", "pdf") else 0)


def test_format_knows_both_names_of_a_kind(eraser):
    Image.fromarray(page()).save("a.jpeg")
    assert run("a.jpeg", "--format", "jpg") == ExitCode.OK
    assert files() == ["a.clean.jpeg", "a.jpeg"]


def test_many_pages_go_from_tiff_to_pdf_and_back_but_not_to_png(eraser, capsys):
    save_tiff("in.tif", page(), page(ink=False), dpi=(144, 144))
    assert run("in.tif", "-o", "out", "--format", "pdf") == ExitCode.OK
    assert [each.get_size() for each in pypdfium2.PdfDocument("out/in.pdf")] == [(40, 30)] * 2
    assert run("out/in.pdf", "-o", "back", "--format", "tif") == ExitCode.OK
    with Image.open("back/in.tif") as image:
        assert image.n_frames == 2 and image.size == (80, 60)
        assert image.info["dpi"] == pytest.approx((144, 144), abs=0.1)
    assert run("in.tif", "-o", "out", "--format", "png") == ExitCode.USAGE
    assert "a PNG cannot hold its 2 pages; choose --format tif or pdf" in capsys.readouterr().err


def test_two_files_that_format_brings_together_end_before_work(eraser, capsys):
    for name in ("in/a.png", "in/a.bmp"):
        write_image(name, page())
    assert run("in", "-o", "out", "--format", "jpg") == ExitCode.USAGE
    assert not Path("out").exists() and "another page would end in" in capsys.readouterr().err


# -- grey, and what the file says ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_grey_pages_stay_grey(eraser, suffix):
    grey = page()[..., 0]
    Image.fromarray(grey).save(f"a.{suffix}", **({"quality": 95} if suffix == "jpg" else {}))
    assert run(f"a.{suffix}") == ExitCode.OK
    with Image.open(f"a.clean.{suffix}") as image:
        assert image.mode == "L"
        if suffix != "jpg":
            np.testing.assert_array_equal(np.array(image), whitened(grey))


def test_a_tiff_keeps_what_it_says_of_the_page(eraser):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x010E] = 6, "Scanner", "Class 5"
    Image.fromarray(np.ascontiguousarray(np.rot90(page()))).save("a.tif", exif=exif.tobytes(), dpi=(300, 300))
    assert run("a.tif") == ExitCode.OK
    np.testing.assert_array_equal(read_image("a.clean.tif"), whitened(page()))
    with Image.open("a.clean.tif") as image:
        read = image.getexif()
        assert (image.size, image.info["dpi"]) == ((80, 60), (300, 300))
        assert (read[0x010F], read[0x010E]) == ("Scanner", "Class 5") and read.get(0x0112, 1) == 1


def test_exif_of_a_photo_goes_into_a_tiff_without_its_sizes(eraser):
    exif = Image.Exif()
    exif[0x0100], exif[0x0101], exif[0x010F] = 9999, 9999, "Camera"
    Image.fromarray(page()).save("a.jpg", quality=95, exif=exif)
    assert run("a.jpg", "--format", "tif") == ExitCode.OK
    with Image.open("a.clean.tif") as image:
        assert image.size == (80, 60) and image.getexif()[0x010F] == "Camera"


# -- resume, in place, report, progress ----------------------------------------------------------------------


def test_resume_passes_over_what_is_done(eraser, capsys):
    for name in ("a.png", "b.png"):
        write_image(f"in/{name}", page())
    Path("out").mkdir()
    Path("out/a.png").write_bytes(b"done before")
    assert run("in", "-o", "out", "--resume", "--report", "report.json") == ExitCode.OK
    assert Path("out/a.png").read_bytes() == b"done before"
    np.testing.assert_array_equal(read_image("out/b.png"), whitened(page()))
    assert [(each["input"], each["status"]) for each in report()["pages"]] == [
        ("in/a.png", "skipped"),
        ("in/b.png", "erased"),
    ]
    assert "1 page erased, 0 without handwriting copied, 1 done before, 0 failed" in capsys.readouterr().err


def test_resume_with_nothing_left_loads_no_network(eraser, monkeypatch):
    write_image("in/a.png", page())
    assert run("in", "-o", "out") == ExitCode.OK
    monkeypatch.setattr(Eraser, "load", None)
    assert run("in", "-o", "out", "--resume") == ExitCode.OK


def test_in_place_replaces_files_when_whole_and_leaves_others_alone(eraser):
    write_image("in/a.png", page())
    write_image("in/empty.png", page(ink=False))
    save_pdf("in/b.pdf", page(), page(ink=False))
    os.chmod("in/a.png", 0o640)
    before = Path("in/empty.png").read_bytes(), os.stat("in/empty.png").st_mtime_ns
    os.symlink("in/a.png", "link.png")
    Path("in/broken.png").write_bytes(b"no image")
    assert run("in", "--in-place") == ExitCode.FAILED
    assert files("in") == ["a.png", "b.pdf", "broken.png", "empty.png"]
    np.testing.assert_array_equal(read_image("in/a.png"), whitened(page()))
    assert os.stat("in/a.png").st_mode & 0o777 == 0o640
    assert (Path("in/empty.png").read_bytes(), os.stat("in/empty.png").st_mtime_ns) == before
    assert len(pages_of("in/b.pdf")) == 2 and pages_of("in/b.pdf")[0].min() > 200
    assert Path("in/broken.png").read_bytes() == b"no image"
    write_image("in/a.png", page())
    assert run("link.png", "--in-place") == ExitCode.OK
    assert os.path.islink("link.png")
    np.testing.assert_array_equal(read_image("in/a.png"), whitened(page()))


@pytest.mark.parametrize("other", [["-o", "out"], ["--format", "png"], ["--resume"]])
def test_in_place_goes_with_nothing_that_contradicts_it(eraser, other):
    write_image("a.png", page())
    assert run("a.png", "--in-place", *other) == ExitCode.USAGE
    np.testing.assert_array_equal(read_image("a.png"), page())


def test_one_file_named_twice_in_place_ends_before_work(eraser):
    write_image("a.png", page())
    assert run("a.png", "./a.png", "--in-place") == ExitCode.USAGE


def test_the_report_lists_each_page(eraser):
    Path("in").mkdir()
    save_tiff("in/a.tif", page(), page(ink=False))
    Image.fromarray(page()).convert("RGBA").save("in/b.png")
    Path("in/c.png").write_bytes(b"broken")
    assert run("in", "-o", "out", "--report", "report.json", "--pipeline", "tiny") == ExitCode.FAILED
    content = report()
    assert content["pipeline"] == "tiny" and content["unknown"] == []
    pages = content["pages"]
    assert [(Path(each["input"]).name, each["page"], each["status"]) for each in pages] == [
        ("a.tif", 1, "erased"),
        ("a.tif", 2, "empty"),
        ("b.png", 1, "erased"),
        ("c.png", 1, "failed"),
    ]
    assert pages[0]["share"] == pytest.approx(4 * 25 / (60 * 80), abs=1e-6) and pages[0]["seconds"] > 0
    assert pages[1]["share"] == 0 and pages[0]["warnings"] == []
    assert pages[2]["warnings"] == ["transparent pixels became white"] and pages[2]["output"] == "out/b.png"
    assert pages[3]["output"] is None and "in/c.png cannot be read" in pages[3]["warnings"][0]


def test_the_report_of_an_interrupted_run_tells_what_was_done(eraser, monkeypatch):
    for name in ("a.png", "b.png"):
        write_image(f"in/{name}", page())
    called, calls = Eraser.__call__, []

    def interrupted(self, image, **options):
        calls.append(image)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return called(self, image)

    monkeypatch.setattr(Eraser, "__call__", interrupted)
    assert run("in", "-o", "out", "--report", "report.json") == 130
    assert [each["input"] for each in report()["pages"]] == ["in/a.png"] and files("out") == ["a.png"]


def test_a_report_is_no_page(eraser, capsys):
    """Not written over one, and in the folder of the pages not taken for one."""
    write_image("in/a.png", page())
    assert run("in", "-o", "out", "--report", "in/a.png") == ExitCode.USAGE
    for _ in range(2):
        assert run("in", "-o", "out", "--report", "in/report.json", "--overwrite") == ExitCode.OK
    assert "passed over" not in capsys.readouterr().err


def test_progress_counts_the_tiles_of_all_pages(eraser):
    """A page of 60x80 has 1 x 2 windows of 64, and three tiles of 38 kept pixels hold its ink."""
    save_tiff("a.tif", page(), page(ink=False))
    write_image("b.png", page())
    Path("c.png").write_bytes(b"broken")
    found, _ = plan.find_documents([Path(name) for name in ("a.tif", "b.png", "c.png")], lambda path: False)
    jobs, _ = plan.make(found, Path("out"))
    told = Told(sum(job.count for job in jobs))
    for _ in batch.erase_all(batch.with_eraser(eraser), jobs, told):
        pass
    assert told.total == 4 and told.seen[-1] == 4
    assert told.seen == sorted(set(told.seen))
    windows = [done for done in told.seen if done <= 0.5]
    assert windows == [0.25, 0.5] and 1.25 in told.seen and 2.5 in told.seen
    assert len(told.messages) == 1


def test_the_eraser_tells_its_tiles(eraser):
    calls = []
    eraser(page(), progress=lambda *call: calls.append(call))
    tiles = [call for call in calls if call[1]]
    assert tiles == [("segment", 1, 2), ("segment", 2, 2), ("erase", 1, 1)]
    assert [stage for stage, done, _ in calls if not done] == list(STAGES)


@pytest.mark.parametrize("kind, lines", [("json", True), ("none", False)])
def test_progress_on_stderr(eraser, capsys, kind, lines):
    write_image("a.png", page())
    assert run("a.png", "--progress", kind) == ExitCode.OK
    *shown, summary = capsys.readouterr().err.splitlines()
    if lines:
        figures = json.loads(summary)
        assert figures.pop("message").startswith("1 page erased")
        assert figures == {"erased": 1, "empty": 0, "skipped": 0, "failed": 0}
        assert {"done": 1.0, "total": 1} in map(json.loads, shown)  # every line is JSON
    else:
        assert summary.startswith("dehw: 1 page erased") and shown == ["dehw: engine paddle"]


def test_whatever_json_progress_tells_is_json(eraser, capsys):
    """Messages, what libraries warn of, and the error that ends the run."""
    write_image("in/a.png", page())
    Path("in/broken.png").write_bytes(b"no image")
    Path("in/notes.txt").write_text("hello")
    eraser.segmenter = lambda tiles: (warnings.warn("a library's", stacklevel=1), dark(tiles))[1]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run("in", "-o", "out", "--progress", "json") == ExitCode.FAILED
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    messages = " ".join(each.get("message", "") for each in told)
    for part in ("notes.txt: passed over", "broken.png cannot be read", "a library's", "1 failed"):
        assert part in messages
    assert run("nowhere", "--progress", "json") == ExitCode.USAGE
    assert "no such file" in json.loads(capsys.readouterr().err)["message"]


def test_large_pictures_are_read_without_a_warning_of_an_attack(eraser, recwarn, monkeypatch):
    write_image("a.png", np.full((520, 520, 3), 230, np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 520 * 520 - 1)
    assert run("a.png") == ExitCode.OK
    assert not [each for each in recwarn if each.category is Image.DecompressionBombWarning]


def test_quiet_tells_failures_alone(eraser, capsys):
    write_image("in/a.png", page())
    Path("in/notes.txt").write_text("hello")
    assert run("in", "-q", "-o", "out") == ExitCode.OK
    assert capsys.readouterr().err == ""
    Path("in/broken.png").write_bytes(b"no image")
    assert run("in", "--quiet", "-o", "out", "--overwrite") == ExitCode.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert "in/broken.png cannot be read" in line


@pytest.mark.parametrize(
    "arguments, place",
    [
        (["in/a.png"], "written to in/a.clean.png"),
        (["in"], "written beside the originals"),
        (["in", "-o", "out"], "written to out"),
        (["in", "--in-place"], "written in place"),
        (["in/a.png", "--in-place"], "written to "),
    ],
)
def test_the_summary_names_the_place_and_the_seconds(eraser, capsys, arguments, place):
    for name in ("in/a.png", "in/b.png"):
        write_image(name, page())
    assert run(*arguments) == ExitCode.OK
    summary = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"0 failed, in \d+\.\d s; ", summary) and place in summary


# -- one file ------------------------------------------------------------------------------------------------


def test_o_may_name_the_file_and_its_kind(eraser):
    write_image("a.png", page())
    save_tiff("many.tif", page(), page(ink=False))
    assert run("a.png", "-o", "new/out.jpg", "--compare", "--report", "report.json") == ExitCode.OK
    assert files("new") == ["out.compare.jpg", "out.jpg"]
    assert kind_of("new/out.jpg") == "JPEG" and report()["pages"][0]["output"] == "new/out.jpg"
    assert run("many.tif", "-o", "out.pdf") == ExitCode.OK
    assert len(pages_of("out.pdf")) == 2
    write_image("folder/a.png", page())
    Path("named.jpg").mkdir()
    assert run("a.png", "-o", "named.jpg") == ExitCode.OK and files("named.jpg") == ["a.png"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["a.png", "in", "-o", "out.png"], "out.png is one file, and there are 2"),
        (["many.tif", "-o", "out.png"], "a PNG cannot hold its 2 pages"),
        (["a.png", "-o", "out.png", "--format", "jpg"], "out.png is named as a PNG"),
        (["a.png", "-o", "out.gif"], "out.gif is named as a kind that is not written"),
        (["a.png", "-o", "precious.png"], "precious.png is there already"),
        (["a.png", "-o", "./a.png", "--overwrite"], "is a file to be erased"),
    ],
)
def test_what_does_not_fit_into_the_file_ends_before_work(eraser, capsys, arguments, message):
    for name in ("a.png", "in/b.png", "precious.png"):
        write_image(name, page())
    save_tiff("many.tif", page(), page())
    before = {name: Path(name).read_bytes() for name in files()}
    assert run(*arguments) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert {name: Path(name).read_bytes() for name in files()} == before


def test_overwrite_and_resume_contradict_each_other():
    with pytest.raises(SystemExit) as end:
        run("a.png", "--overwrite", "--resume")
    assert end.value.code == ExitCode.USAGE


def test_plan_refuses_an_output_that_is_a_file(eraser):
    write_image("a.png", page())
    found, _ = plan.find_documents([Path("a.png")], lambda path: False)
    with pytest.raises(InputError, match="is a file"):
        plan.make(found, Path("a.png"))
