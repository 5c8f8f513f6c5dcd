"""`dehw erase --scan`, `--paper` and `--merge`."""

import errno
import os
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from files import files, page, pages_of, report, run, save_pdf
from PIL import Image
from test_scan import SIZE, photo_of, pose_of, sheet

from dehw.commands import erase
from dehw.commands.erase import merge
from dehw.eraser import Eraser
from dehw.errors import ExitCode
from dehw.files.images import Metadata, read_image, write_image
from dehw.page.scan.papers import MARGIN, PAPERS


@pytest.fixture
def photo(eraser):
    """A photo of a sheet in the current folder, where dark pixels count as handwriting."""
    write_image("photo.jpg", photo_of(sheet(), pose_of()), metadata=Metadata(dpi=(72, 72)))
    return read_image("photo.jpg")


def test_a_photo_becomes_the_white_sheet_of_its_own_size(photo):
    assert run("photo.jpg", "--scan", "--save-mask", "--report", "report.json") == ExitCode.OK
    clean = read_image("photo.clean.jpg")
    assert clean.shape[0] / clean.shape[1] == pytest.approx(2**0.5, rel=0.01)
    assert np.median(clean) > 245
    assert read_image("photo.mask.png").shape == clean.shape
    with Image.open("photo.clean.jpg") as image:
        assert image.height / image.info["dpi"][1] == pytest.approx(297 / 25.4, rel=0.01)
    [told] = report()["pages"]
    assert told["status"] == "erased" and not [each for each in told["warnings"] if "no edge" in each]


def test_paper_has_its_size_in_the_file(photo):
    assert run("photo.jpg", "--scan", "--paper", "a4", "--format", "pdf") == ExitCode.OK
    with pikepdf.open("photo.clean.pdf") as pdf:
        width, height = (float(side) for side in pdf.pages[0].mediabox[2:])
    assert (width, height) == pytest.approx((210 / 25.4 * 72, 297 / 25.4 * 72), abs=0.5)
    [placed] = pages_of("photo.clean.pdf")
    margin = int(MARGIN / 297 * placed.shape[0])
    assert placed[:margin].min() > 245 and placed[:, :margin].min() > 245


def test_the_command_offers_every_paper():
    assert erase.PAPERS == tuple(PAPERS)


def test_a_page_that_fills_its_picture_is_named_and_erased(eraser, capfd):
    write_image("full.png", sheet())
    assert run("full.png", "--scan") == ExitCode.OK
    assert "full.png: no edge of a sheet was found" in capfd.readouterr().err
    clean = read_image("full.clean.png")
    assert clean.shape == sheet().shape and np.median(clean) > 245


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (4000, 40)])
def test_a_page_too_thin_for_a_sheet_is_named_and_erased(eraser, capfd, size):
    write_image("thin.png", np.full((*size, 3), 255, np.uint8))
    assert run("thin.png", "--scan") == ExitCode.OK
    assert "thin.png: no edge of a sheet was found" in capfd.readouterr().err
    assert read_image("thin.clean.png").shape[:2] == size


@pytest.mark.parametrize("size", [(60, 20000), (20000, 60)])
def test_a_page_too_thin_for_paper_is_refused_before_it_is_erased(eraser, monkeypatch, capfd, size):
    write_image("strip.png", np.full((*size, 3), 255, np.uint8))
    write_image("photo.png", photo_of(sheet(), pose_of()))
    erased = []
    erase_page = Eraser.__call__
    monkeypatch.setattr(Eraser, "__call__", lambda *given, **options: erased.append(1) or erase_page(*given, **options))
    assert run("strip.png", "photo.png", "--scan", "--paper", "a4") == ExitCode.FAILED
    cause = f"strip.png: a page of {size[1]} by {size[0]} pixels is too thin for a4; leave out --paper, or crop it."
    assert cause in capfd.readouterr().err and len(erased) == 1
    assert files() == ["photo.clean.png", "photo.png", "strip.png"]


def test_a_page_without_handwriting_is_scanned_too(eraser):
    blank = np.full((300, 200, 3), 255, np.uint8)
    write_image("blank.png", photo_of(np.repeat(blank, 2, 1), pose_of(), "light"))
    assert run("blank.png", "--scan", "--report", "report.json") == ExitCode.OK
    assert report()["pages"][0]["status"] == "empty"
    clean = read_image("blank.clean.png")
    assert clean.shape[:2] != SIZE and np.median(clean) > 245


def test_photos_in_a_pdf_are_scanned(photo):
    save_pdf("in.pdf", photo, photo, points=(300, 400))
    assert run("in.pdf", "--scan", "-o", "out", "--report", "report.json") == ExitCode.OK
    for clean in pages_of("out/in.pdf"):
        assert clean.shape[0] / clean.shape[1] == pytest.approx(2**0.5, rel=0.02) and np.median(clean) > 245
    assert "its page became a picture" in report()["pages"][1]["warnings"]


def test_many_documents_end_in_one_pdf(eraser):
    write_image("a.png", page())
    write_image("b.jpg", page(size=(80, 60)))
    save_pdf("c.pdf", page(), page(ink=False))
    assert run("b.jpg", "a.png", "c.pdf", "--merge", "all.pdf", "--report", "report.json") == ExitCode.OK
    merged = pages_of("all.pdf")
    assert len(merged) == 4 and all(each.min() > 200 for each in merged)
    assert merged[0].shape[0] > merged[0].shape[1] and merged[1].shape[0] < merged[1].shape[1]  # in the order given
    assert {each["output"] for each in report()["pages"]} == {"all.pdf"}
    assert files() == ["a.png", "all.pdf", "b.jpg", "c.pdf", "report.json"]


def test_documents_of_one_name_end_in_one_pdf(eraser):
    for name, height in (("a.png", 40), ("a.jpg", 60), ("in/a.png", 80)):
        write_image(name, page(size=(height, 50)))
    assert run("a.png", "a.jpg", "in/a.png", "--merge", "all.pdf") == ExitCode.OK
    heights = [each.shape[0] / each.shape[1] for each in pages_of("all.pdf")]
    assert heights == pytest.approx([40 / 50, 60 / 50, 80 / 50], abs=0.05)


def test_more_documents_than_can_be_open_end_in_one_pdf_too(tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "AT_ONCE", 2)
    paths = [tmp_path / f"{number}.pdf" for number in range(7)]
    for number, path in enumerate(paths):
        save_pdf(path, page(ink=False), points=(40 + number, 30))
    (tmp_path / "all").mkdir()
    merge.join(paths, tmp_path / "all" / "all.pdf")
    with pikepdf.open(tmp_path / "all" / "all.pdf") as pdf:
        assert [int(each.mediabox[2]) for each in pdf.pages] == [40, 41, 42, 43, 44, 45, 46]
    assert os.listdir(tmp_path / "all") == ["all.pdf"]


def test_a_document_that_fails_is_left_out_of_the_merged_one(eraser):
    write_image("a.png", page())
    Path("b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("a.png", "b.png", "--merge", "all.pdf") == ExitCode.FAILED
    assert len(pages_of("all.pdf")) == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_merged_pdf_that_never_was_has_no_pages_in_the_report(eraser, monkeypatch, error):
    def fail(paths, target):
        raise error

    monkeypatch.setattr(merge, "join", fail)
    write_image("a.png", page())
    assert run("a.png", "--merge", "all.pdf", "--report", "report.json") != ExitCode.OK
    [told] = report()["pages"]
    assert (told["status"], told["output"]) == ("failed", None)
    assert "all.pdf cannot be written: No space" in told["warnings"][-1] or "stopped" in told["warnings"][-1]
    assert files() == ["a.png", "report.json"]


def test_a_document_that_cannot_be_written_is_named_by_itself(eraser, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dehw.files.documents.PdfWriter._add", full)
    write_image("a.png", page())
    assert run("a.png", "--merge", "all.pdf") == ExitCode.FAILED
    assert "a.png: all.pdf cannot be written: No space left" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, cause",
    [
        (["--merge", "all.pdf", "-o", "out"], "drop -o"),
        (["--merge", "all.pdf", "--save-mask"], "drop --save-mask"),
        (["--merge", "all.png"], "ends in .pdf"),
        (["--merge", "there.pdf"], "--overwrite"),
        (["--merge", "new.pdf", "--report", "./new.pdf"], "choose another file for --report"),
        (["--merge", "none/all.pdf"], "no folder"),
        (["--paper", "a4"], "add --scan"),
    ],
)
def test_what_does_not_go_together_is_said_before_the_work(eraser, capfd, arguments, cause):
    write_image("a.png", page())
    save_pdf("there.pdf", page())
    assert run("a.png", *arguments) == ExitCode.USAGE
    assert cause in capfd.readouterr().err and files() == ["a.png", "there.pdf"]


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_merged_pdf_takes_the_place_of_nothing_else(eraser, capfd, monkeypatch, overwrite):
    write_image("a.png", page())
    os.mkdir("folder.pdf")
    os.mkfifo("pipe.pdf")
    os.symlink("nowhere", "link.pdf")
    monkeypatch.setattr(Eraser, "load", None)
    for name in ["folder.pdf", "pipe.pdf"] + ["link.pdf"] * (not overwrite):
        assert run("a.png", "--merge", name, *overwrite) == ExitCode.USAGE
        assert name in capfd.readouterr().err
    assert sorted(os.listdir()) == ["a.png", "folder.pdf", "link.pdf", "pipe.pdf"]
    assert Path("pipe.pdf").is_fifo() and Path("link.pdf").is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="no such folders there")
def test_a_folder_to_merge_into_that_may_not_be_written_in_is_told(eraser, capfd, monkeypatch):
    write_image("a.png", page())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert run("a.png", "--merge", "all.pdf") == ExitCode.USAGE
    assert "may not be written in" in capfd.readouterr().err


def test_a_merged_pdf_is_none_of_its_own_pages(eraser, capfd):
    save_pdf("all.pdf", page())
    assert run("all.pdf", "--merge", "all.pdf", "--overwrite") == ExitCode.USAGE
    assert "one of the pages" in capfd.readouterr().err
