import io
import os
import re
import zlib

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from test_documents import noise, read_all

from dehw.errors import PageError
from dehw.files.documents import new_document, open_document
from dehw.files.images import Metadata
from dehw.files.pdf.read import Source
from dehw.files.sheet import Sheet

POINTS = (119.055, 167.99)  # of the PDF pages made here
SIZE = (350, 248)  # of the scans on them, 150 dpi


def jpeg(image):
    """An image as JPEG, and the pixels it has then."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)
    return file, np.array(Image.open(file))


def write_pdf(path, *texts):
    """A PDF written out by hand, a page of 200x100 points with a line of text each; None makes a damaged page."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(texts)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(texts)}/Kids[{kids}]/MediaBox[0 0 200 100]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for index, text in enumerate(texts):
        content = f"BT /F1 20 Tf 20 40 Td ({text}) Tj ET"
        page = f"<</Type/Page/Parent 2 0 R/Contents {5 + 2 * index} 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        objects += ["[]" if text is None else page, f"<</Length {len(content)}>>stream\n{content}\nendstream"]
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF\n"
    path.write_text(f"{body}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}")
    return path


def add_scan(pdf, image, points=POINTS, area=1.0):
    """Append a page with a scan at its lower left, over a share `area` of each side; returns its pixels."""
    file, pixels = jpeg(image)
    page = pdf.new_page(*points)
    picture = pypdfium2.PdfImage.new(pdf)
    picture.load_jpeg(file, inline=True, autoclose=False)
    picture.set_matrix(pypdfium2.PdfMatrix().scale(points[0] * area, points[1] * area))
    page.insert_obj(picture)
    page.gen_content()
    return pixels


def streams(path):
    """All that a PDF's streams hold, unpacked."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL)
    return b"".join(zlib.decompress(stream) if stream[:1] == b"\x78" else stream for stream in found)


def texts_of(path):
    pdf = pypdfium2.PdfDocument(path)
    return [page.get_textpage().get_text_bounded() for page in pdf]


def sizes_of(path):
    pdf = pypdfium2.PdfDocument(path)
    return [page.get_size() for page in pdf]


@pytest.mark.parametrize("turn", [0, 90])
def test_a_scan_in_a_pdf_is_read_at_its_own_pixels(tmp_path, turn):
    pdf = pypdfium2.PdfDocument.new()
    pixels = add_scan(pdf, noise(*SIZE))
    pdf[0].set_rotation(turn)
    pdf.save(tmp_path / "scan.pdf")
    [sheet] = read_all(tmp_path / "scan.pdf")
    np.testing.assert_array_equal(sheet.image, np.rot90(pixels, -turn // 90))
    np.testing.assert_allclose(sheet.points, POINTS if not turn else POINTS[::-1], atol=1e-4)
    assert sheet.metadata.dpi == pytest.approx((150, 150), abs=0.5)
    assert sheet.image.flags.writeable and not sheet.losses


@pytest.mark.parametrize("points", [(595, 842), (595.276, 841.89), (612, 792), (419.5, 595.3), (200, 100)])
@pytest.mark.parametrize("dpi", [72, 100, 150])
def test_scans_of_any_size_come_back_pixel_by_pixel(tmp_path, points, dpi):
    pdf = pypdfium2.PdfDocument.new()
    pixels = add_scan(pdf, noise(*(round(side * dpi / 72) for side in points[::-1])), points)
    pdf.save(tmp_path / "scan.pdf")
    np.testing.assert_array_equal(read_all(tmp_path / "scan.pdf")[0].image, pixels)


def test_a_page_that_is_no_scan_is_drawn_at_200_dpi(tmp_path):
    pdf = pypdfium2.PdfDocument.new()
    add_scan(pdf, noise(40, 40), (360, 72), area=0.5)  # a picture on a quarter of the page
    pdf.new_page(72, 36)
    pdf.save(tmp_path / "drawn.pdf")
    assert [sheet.image.shape for sheet in read_all(tmp_path / "drawn.pdf")] == [(200, 1000, 3), (100, 200, 3)]


def test_a_huge_page_is_drawn_smaller(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr("dehw.files.pdf.layers.MAX_PIXELS", 10_000)
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(14400, 3600)
    pdf.save(tmp_path / "huge.pdf")
    assert read_all(tmp_path / "huge.pdf")[0].image.shape == (50, 200, 3)


def test_text_is_drawn_and_its_loss_told(tmp_path):
    source = write_pdf(tmp_path / "text.pdf", "Name")
    with open_document(source) as document, new_document(tmp_path / "out.pdf", "PDF", document) as writer:
        sheet = document.read(0)
        assert (sheet.image < 100).any() and sheet.metadata.grey
        assert writer.add(sheet) == ("its text can no longer be selected",)
        writer.finish()


def test_a_pdf_keeps_count_size_order_and_untouched_pages(tmp_path):
    """Of five pages the second, of another size, and the fourth become pictures; the others keep their text."""
    source = write_pdf(tmp_path / "in.pdf", "one", "two", "three", "four", "five")
    pdf = pypdfium2.PdfDocument(source)
    pdf[1].set_mediabox(0, 0, 119.055, 843.3)
    pdf.save(tmp_path / "sized.pdf")
    clean = [noise(1020, 144, seed=7) // 8 + 224, noise(100, 200, seed=8) // 8 + 224]
    with open_document(tmp_path / "sized.pdf") as document:
        with new_document(tmp_path / "out.pdf", "PDF", document) as writer:
            for index in range(5):
                sheet = document.read(index)
                if index in (1, 3):
                    writer.add(Sheet(clean[index // 2], Metadata(), sheet.points))
                else:
                    assert writer.keep(index, sheet) == "itself"
            writer.finish()
    assert sizes_of(tmp_path / "out.pdf") == sizes_of(tmp_path / "sized.pdf")
    assert texts_of(tmp_path / "out.pdf") == ["one", "", "three", "", "five"]
    sheets = read_all(tmp_path / "out.pdf")
    for index, expected in zip((1, 3), clean):
        assert np.abs(sheets[index].image.astype(int) - jpeg(expected)[1]).max() == 0
    assert sorted(os.listdir(tmp_path)) == ["in.pdf", "out.pdf", "sized.pdf"]


def test_nothing_of_an_erased_page_lingers_in_the_pdf(tmp_path):
    source = write_pdf(tmp_path / "in.pdf", "secret", "open")
    with open_document(source) as document, new_document(tmp_path / "out.pdf", "PDF", document) as writer:
        writer.add(Sheet(noise(8, 8), Metadata(), (200, 100)))
        writer.keep(1, None)
        writer.finish()
    words = [streams(path) + path.read_bytes() for path in (source, tmp_path / "out.pdf")]
    assert b"open" in words[0] and b"secret" in words[0]
    assert b"open" in words[1] and b"secret" not in words[1]


def test_a_grey_page_becomes_a_grey_picture(tmp_path):
    grey = noise(*SIZE)[..., :1].repeat(3, 2)
    with new_document(tmp_path / "out.pdf", "PDF", None) as writer:
        writer.add(Sheet(grey, Metadata(grey=True), POINTS))
        writer.finish()
    assert b"DeviceGray" in (tmp_path / "out.pdf").read_bytes()
    assert read_all(tmp_path / "out.pdf")[0].metadata.grey


def test_the_size_of_a_picture_on_a_pdf_page_follows_its_resolution(tmp_path):
    with new_document(tmp_path / "out.pdf", "PDF", None) as writer:
        writer.add(Sheet(noise(600, 300), Metadata(dpi=(300, 150))))
        writer.add(Sheet(noise(600, 300), Metadata()))
        writer.finish()
    assert sizes_of(tmp_path / "out.pdf") == [(72, 288), (108, 216)]


def test_a_damaged_page_of_a_pdf_costs_no_other(tmp_path):
    source = write_pdf(tmp_path / "in.pdf", "one", None, "three")
    with open_document(source) as document, new_document(tmp_path / "out.pdf", "PDF", document) as writer:
        assert document.count == 3
        with pytest.raises(PageError, match="in.pdf, page 2, cannot be read"):
            document.read(1)
        sheet = document.read(2)
        writer.add(Sheet(noise(8, 8), Metadata(), document.read(0).points))
        assert writer.keep(1, None) == "empty"
        assert writer.keep(2, sheet) == "itself"
        writer.finish()
    assert sizes_of(tmp_path / "out.pdf") == [(200, 100)] * 3
    sheets = read_all(tmp_path / "out.pdf")
    assert sheets[1].image.min() == 255 and texts_of(tmp_path / "out.pdf")[2] == "three"


def test_a_full_disk_is_told(tmp_path, monkeypatch, in_process):
    """PDFium's callbacks print an error and go on."""
    opened = open

    def full(path, mode="r", *arguments, **options):
        file = opened(path, mode, *arguments, **options)
        if mode == "wb":
            return opened("/dev/full", "wb", buffering=0)
        return file

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(PageError, match="out.pdf cannot be written.*No space"):
        with new_document(tmp_path / "out.pdf", "PDF", None) as writer:
            writer.add(Sheet(noise(8, 8), Metadata()))
            writer.finish()
    assert os.listdir(tmp_path) == []


def test_a_locked_or_damaged_pdf_is_named(tmp_path):
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    with pytest.raises(PageError, match="bad.pdf cannot be read"), open_document(tmp_path / "bad.pdf"):
        pass


def test_pdf_pages_are_closed_when_read(tmp_path):
    pdf = Source(write_pdf(tmp_path / "text.pdf", "one", "two"))
    for _ in range(3):
        pdf.read(0)
    assert not [kid for kid in pdf.pdf._kids if kid() is not None and kid().raw]
    pdf.close()
