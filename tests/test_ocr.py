"""`dehw erase --ocr`: words that are read on erased pages, laid on PDFs to search them."""

from importlib.util import find_spec

import numpy as np
import pikepdf
import pypdfium2
import pytest
from files import files, page, run, save_pdf
from pdfs import add_page, over, picture

from dehw.commands.erase import ocr
from dehw.errors import ExitCode
from dehw.files.images import Metadata, read_image, write_image
from dehw.files.pdf.text import GLYPHLESS
from dehw.files.sheet import TextLine

WORDS = {"1. 求 x² 的值": (0.1, 0.2, 0.6, 0.25), "Read the text": (0.2, 0.5, 0.9, 0.58)}  # left, top, right, bottom


@pytest.fixture
def seen(eraser, monkeypatch):
    """The pages that a recogniser saw which finds WORDS on each; the eraser whitens what is dark."""
    pages = []

    def recognise(image):
        pages.append(image.copy())
        boxes = ((text, box) for text, box in WORDS.items())
        return tuple(TextLine(text, ((x0, y0), (x1, y0), (x1, y1), (x0, y1))) for text, (x0, y0, x1, y1) in boxes)

    monkeypatch.setattr(ocr, "check", lambda: None)
    monkeypatch.setattr(ocr, "recogniser", lambda: recognise)
    return pages


def found(path, text, index=0):
    """Where PDFium finds a text on a page as it is shown: left, top, right, bottom in shares of the page."""
    pdf = pypdfium2.PdfDocument(path)
    page = pdf[index]
    letters = page.get_textpage()
    try:
        start, count = letters.search(text).get_next()
        boxes = np.array([letters.get_charbox(each) for each in range(start, start + count)])
        left, bottom, right, top = *boxes[:, :2].min(0), *boxes[:, 2:].max(0)
        # PDFium gives places in the page's own space; its own conversion turns them as the page is shown.
        width, height = (round(side * 100) for side in page.get_size())
        places = [_on_screen(page, x, y, width, height) for x, y in ((left, bottom), (right, top))]
        (x0, y0), (x1, y1) = np.sort(np.array(places) / (width, height), axis=0)
        return x0, y0, x1, y1
    finally:
        letters.close()
        page.close()
        pdf.close()


def _on_screen(page, x, y, width, height):
    import ctypes

    import pypdfium2.raw as raw

    across, down = ctypes.c_int(), ctypes.c_int()
    assert raw.FPDF_PageToDevice(page, 0, 0, width, height, 0, x, y, across, down)
    return across.value, down.value


def check_words(path, index=0):
    for text, box in WORDS.items():
        assert found(path, text, index) == pytest.approx(box, abs=0.01), text


def test_words_of_the_erased_page_are_found_at_their_place(seen):
    write_image("a.png", page(), metadata=Metadata(dpi=(100, 100)))
    assert run("a.png", "--format", "pdf", "--ocr") == ExitCode.OK
    (shown,) = seen
    assert shown.min() > 128, "handwriting was read"
    check_words("a.clean.pdf")
    assert found("a.clean.pdf", "text")[0] > 0.6, "letters are spread over their line"


def test_the_words_are_not_shown(seen):
    write_image("a.png", page())
    assert run("a.png", "--format", "pdf", "-o", "plain.pdf") == run("a.png", "--ocr", "-o", "read.pdf") == ExitCode.OK
    plain, read = (pypdfium2.PdfDocument(path)[0].render().to_numpy() for path in ("plain.pdf", "read.pdf"))
    assert np.array_equal(plain, read)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_pages_that_are_turned_or_cropped_have_the_words_where_they_are_seen(seen, turn):
    with pikepdf.new() as pdf:
        image = np.full((450, 300, 3), 250, np.uint8)
        image[100:120, 50:200] = 20
        add_page(pdf, over(), pictures=[picture(pdf, image)], Rotate=turn, CropBox=pikepdf.Array([5, 10, 55, 90]))
        pdf.save("in.pdf")
    assert run("in.pdf", "--ocr") == ExitCode.OK
    check_words("in.clean.pdf")


def test_a_page_that_leaves_its_space_moved_has_the_words_where_they_are_seen(seen):
    """Some scanners restore nothing of what they save."""
    with pikepdf.new() as pdf:
        image = np.full((450, 300, 3), 250, np.uint8)
        image[100:120, 50:200] = 20
        add_page(pdf, "q 2 0 0 2 0 0 cm q 30 0 0 45 0 0 cm /P0 Do", pictures=[picture(pdf, image)])
        pdf.save("in.pdf")
    assert run("in.pdf", "--ocr") == ExitCode.OK
    check_words("in.clean.pdf")


def test_pages_without_handwriting_are_searched_too_and_merged_ones(seen):
    save_pdf("a.pdf", page(ink=False), page(ink=False))
    write_image("b.png", page())
    assert run("a.pdf", "b.png", "--merge", "all.pdf", "--ocr") == ExitCode.OK
    for index in range(3):
        check_words("all.pdf", index)


def test_text_that_is_there_stays_the_only_text(seen):
    with pikepdf.new() as pdf:
        image = np.full((450, 300, 3), 250, np.uint8)
        image[100:120, 50:200] = 20
        add_page(pdf, over() + "BT /F1 5 Tf 5 30 Td (selectable) Tj ET", pictures=[picture(pdf, image)])
        pdf.save("in.pdf")
    assert run("in.pdf", "--ocr") == ExitCode.OK
    pdf = pypdfium2.PdfDocument("in.clean.pdf")
    assert pdf[0].get_textpage().get_text_range().strip() == "selectable"


def test_erased_again_the_file_loses_the_words_under_handwriting_alone(seen):
    written = page(ink=False)
    written[30:35, 16:72] = 30  # on the second line
    write_image("a.png", written)
    assert run("a.png", "--ocr", "--only", "0,0,1,1", "-o", "read.pdf") == ExitCode.OK
    check_words("read.pdf")
    assert run("read.pdf", "-o", "again.pdf") == ExitCode.OK
    first, second = WORDS
    assert found("again.pdf", first) == pytest.approx(WORDS[first], abs=0.01)
    assert second not in pypdfium2.PdfDocument("again.pdf")[0].get_textpage().get_text_range()


def test_one_font_serves_all_pages(seen):
    save_pdf("a.pdf", page(), page(), page())
    assert run("a.pdf", "--ocr") == ExitCode.OK
    with pikepdf.open("a.clean.pdf") as pdf:
        fonts = {each.Resources.Font["/DehwText"].objgen for each in pdf.pages}
    assert len(fonts) == 1


def test_pictures_take_no_words(seen, capfd):
    write_image("a.png", page())
    assert run("a.png", "--ocr") == ExitCode.USAGE
    assert "add --format pdf, or --merge" in capfd.readouterr().err and files() == ["a.png"]
    save_pdf("b.pdf", page())
    assert run("a.png", "b.pdf", "--ocr") == ExitCode.OK and len(seen) == 1
    check_words("b.clean.pdf")


def test_without_the_extra_it_is_named(eraser, monkeypatch, capfd):
    monkeypatch.setattr(ocr, "find_spec", lambda name: None)
    write_image("a.png", page())
    assert run("a.png", "--format", "pdf", "--ocr") == ExitCode.USAGE
    assert "pip install 'dehw[ocr]'" in capfd.readouterr().err and files() == ["a.png"]


def test_the_glyphs_have_a_size_and_no_area():
    font = pytest.importorskip("fontTools.ttLib").TTFont(GLYPHLESS)
    assert font["head"].unitsPerEm == 1000 and font.getGlyphOrder() == [".notdef", "half", "full"]
    for name, width in (("half", 500), ("full", 1000)):
        glyph = font["glyf"][name]
        assert font["hmtx"][name][0] == width
        assert (glyph.xMin, glyph.yMin, glyph.xMax, glyph.yMax) == (0, 0, width, 1000)
        assert len(set(glyph.coordinates)) == 2, "a line there and back"


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ocr.PACKAGES)), reason=f"not installed: {' or '.join(ocr.PACKAGES)}")
def test_rapidocr_reads_a_sample_page(eraser, request):
    sample = request.config.rootpath / "data/sample/gts/dehw_sample_01.png"
    write_image("gt.png", read_image(sample)[60:300])
    assert run("gt.png", "--ocr", "--only", "0,0,1,1", "-o", "read.pdf") == ExitCode.OK
    left, top, right, bottom = found("read.pdf", "高二年级数学")
    # Its letters span x 370-590 and y 92-126 of the page, of which 240 rows of 1240 pixels are shown.
    assert left == pytest.approx(370 / 1240, abs=0.02) and right == pytest.approx(590 / 1240, abs=0.02)
    assert top == pytest.approx(32 / 240, abs=0.06) and bottom == pytest.approx(66 / 240, abs=0.06)
