import io
import os
import re
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from dehw.errors import PageError
from dehw.files import FORMATS, SUFFIXES, documents, images
from dehw.files.documents import PdfFile, Sheet, new_document, open_document
from dehw.files.images import Metadata

WORK = Path(__file__).resolve().parents[1] / "work"
ORIENTATION, MAKE = 0x0112, 0x010F
POINTS = (119.055, 167.99)  # of the PDF pages made here
SIZE = (350, 248)  # of the scans on them, 150 dpi


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def jpeg(image):
    """An image as JPEG, and the pixels it has then."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)
    return file, np.array(Image.open(file))


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


def read_all(path):
    with open_document(path) as document:
        return [document.read(index) for index in range(document.count)]


# -- PDF -----------------------------------------------------------------------------------------------------


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


def test_a_huge_page_is_drawn_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_PIXELS", 10_000)
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(14400, 3600)
    pdf.save(tmp_path / "huge.pdf")
    assert read_all(tmp_path / "huge.pdf")[0].image.shape == (50, 200, 3)


def test_text_is_drawn_and_its_loss_told(tmp_path):
    [sheet] = read_all(write_pdf(tmp_path / "text.pdf", "Name"))
    assert (sheet.image < 100).any() and sheet.metadata.grey
    assert sheet.losses == ("its text can no longer be selected",)


def test_a_pdf_keeps_count_size_order_and_untouched_pages(tmp_path):
    """Of five pages the second, of another size, and the fourth become pictures; the others keep their text."""
    source = write_pdf(tmp_path / "in.pdf", "one", "two", "three", "four", "five")
    pdf = pypdfium2.PdfDocument(source)
    pdf[1].set_mediabox(0, 0, 119.055, 843.3)
    pdf.save(tmp_path / "sized.pdf")
    clean = [noise(340, 48, seed=7) // 8 + 224, noise(30, 60, seed=8) // 8 + 224]
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


def test_a_full_disk_is_told(tmp_path, monkeypatch):
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


# -- TIFF ----------------------------------------------------------------------------------------------------


def save_tiff(path, frames, **options):
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


def write_tiff(path, sheets):
    with new_document(path, "TIFF", None) as writer:
        for sheet in sheets:
            writer.add(sheet)
        writer.finish()


def test_a_tiff_keeps_its_pages_each_with_its_own_resolution_and_mode(tmp_path):
    colour, grey = noise(30, 40), noise(50, 20)[..., :1].repeat(3, 2)
    about = Metadata((300, 300)), Metadata((150, 100), grey=True)
    write_tiff(tmp_path / "out.tif", [Sheet(colour, about[0]), Sheet(grey, about[1])])
    with Image.open(tmp_path / "out.tif") as image:
        assert image.n_frames == 2
        assert (image.mode, image.info["dpi"], image.tag_v2[259]) == ("RGB", (300, 300), 5)  # 5 is LZW
        np.testing.assert_array_equal(np.array(image), colour)
        image.seek(1)
        assert (image.mode, image.info["dpi"]) == ("L", (150, 100))
        np.testing.assert_array_equal(np.array(image), grey[..., 0])
    read = read_all(tmp_path / "out.tif")
    assert [sheet.metadata for sheet in read] == list(about)
    for sheet, expected in zip(read, (colour, grey)):
        np.testing.assert_array_equal(sheet.image, expected)


def test_each_page_of_a_tiff_is_turned_by_its_own_tag(tmp_path):
    page = noise(6, 9)
    stored = [Image.fromarray(page), Image.fromarray(np.ascontiguousarray(np.rot90(page)))]
    stored[1].encoderinfo = {"tiffinfo": {ORIENTATION: 6}}
    for sheet in read_all(save_tiff(tmp_path / "in.tif", stored)):
        np.testing.assert_array_equal(sheet.image, page)


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_damaged_page_of_a_tiff_costs_no_other(tmp_path, page):
    frames = [noise(30, 40, seed=seed) for seed in range(3)]
    path = save_tiff(tmp_path / "in.tif", [Image.fromarray(f) for f in frames], compression="tiff_adobe_deflate")
    with Image.open(path) as image:
        image.seek(page)
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xff" * size + content[start + size :])
    with open_document(path) as document:
        assert document.count == 3
        for index, frame in enumerate(frames):
            if index == page:
                with pytest.raises(PageError, match=f"in.tif, page {page + 1}, cannot be read"):
                    document.read(index)
            else:
                np.testing.assert_array_equal(document.read(index).image, frame)


def test_a_tiff_that_breaks_off_keeps_its_whole_pages(tmp_path):
    frames = [noise(60, 80, seed=seed) for seed in range(3)]
    path = save_tiff(tmp_path / "in.tif", [Image.fromarray(frame) for frame in frames])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3 + 500])
    with open_document(path) as document:
        count = document.count
        np.testing.assert_array_equal(document.read(0).image, frames[0])
        np.testing.assert_array_equal(document.read(1).image, frames[1])
        assert count == 3
        with pytest.raises(PageError, match="page 3"):
            document.read(2)


def test_an_empty_page_has_the_size_of_the_one_before(tmp_path):
    with new_document(tmp_path / "out.tif", "TIFF", None) as writer:
        assert writer.keep(0, None) == "empty"  # A4 where none came before
        writer.add(Sheet(noise(5, 7), Metadata()))
        writer.keep(2, None)
        writer.finish()
    sheets = read_all(tmp_path / "out.tif")
    assert [sheet.image.shape[:2] for sheet in sheets] == [(2339, 1653), (5, 7), (5, 7)]
    assert sheets[2].image.min() == 255


# -- kinds of file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_kind_is_told_by_its_content_and_written_under_any_name(tmp_path, form):
    if form == "heic":
        pytest.importorskip("pillow_heif")
    path, smooth = tmp_path / "no-suffix", np.repeat(np.linspace(90, 250, 48).astype(np.uint8)[:, None, None], 32, 1)
    kind = FORMATS[form]
    with new_document(path, kind, None) as writer:
        writer.add(Sheet(smooth.repeat(3, 2), Metadata((72, 72))))
        writer.finish()
    assert images.kind_of(path) == kind and SUFFIXES[kind][0] in (f".{form}",)
    with open_document(path) as document:
        assert (document.kind, document.count) == (kind, 1)
        read = document.read(0).image
    assert read.shape == (48, 32, 3)
    assert np.abs(read.astype(int) - smooth).max() <= (0 if form not in ("jpg", "heic", "pdf") else 4)


@pytest.mark.parametrize("content", [b"", b"GIF89a" + b"\0" * 50, b"hello", b"BM is no picture", b"RIFF1234WAVE"])
def test_other_kinds_are_refused(tmp_path, content):
    path = tmp_path / "page.png"
    path.write_bytes(content)
    assert images.kind_of(path) is None
    with pytest.raises(PageError, match="page.png cannot be read"), open_document(path):
        pass


def test_an_animation_is_refused(tmp_path):
    frames = [Image.fromarray(noise(8, 8, seed=seed)) for seed in range(2)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(PageError, match="moving.webp.*2 pictures"), open_document(tmp_path / "moving.webp"):
        pass


def test_a_camera_photo_with_a_second_picture_is_one_jpeg(tmp_path):
    page, file = Image.fromarray(noise(40, 30)), tmp_path / "photo.jpg"
    page.save(file, "MPO", save_all=True, append_images=[Image.fromarray(noise(10, 10))], quality=95)
    with Image.open(file) as image:
        assert image.format == "MPO"
    with open_document(file) as document:
        assert (document.kind, document.count) == ("JPEG", 1)
        assert document.read(0).image.shape == (40, 30, 3)


def test_what_a_new_file_would_not_keep_is_told(tmp_path):
    page = noise(6, 5)
    cases = {
        "plain.png": (Image.fromarray(page), []),
        "deep.png": (Image.fromarray(page[..., 0].astype(np.uint16) * 257), ["16 bits"]),
        "deep.tif": (Image.fromarray(page[..., 0].astype(np.uint16) * 257), ["16 bits"]),
        "clear.png": (Image.fromarray(page).convert("RGBA"), ["transparent"]),
        "ink.tif": (Image.fromarray(page).convert("CMYK"), ["CMYK"]),
    }
    for name, (image, expected) in cases.items():
        image.save(tmp_path / name)
        [sheet] = read_all(tmp_path / name)
        assert len(sheet.losses) == len(expected), name
        assert all(loss.startswith(word) for loss, word in zip(sheet.losses, expected)), name


def test_a_heic_photo_keeps_its_exif_without_orientation(tmp_path):
    """In HEIC the decoder turns the pixels, by the file's own entry; the EXIF tag is to be ignored (ISO 23008-12)."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    page = np.full((64, 96, 3), 255, np.uint8)
    page[:32, :48] = (200, 30, 30)
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Phone"
    Image.fromarray(page).save(tmp_path / "photo.heic", quality=95, exif=exif)
    with open_document(tmp_path / "photo.heic") as document:
        assert document.kind == "HEIF"
        sheet = document.read(0)
        assert np.abs(sheet.image.astype(int) - page).mean() < 3
        with new_document(tmp_path / "out.heic", "HEIF", document) as writer:
            writer.add(sheet)
            writer.finish()
    with Image.open(tmp_path / "out.heic") as image:
        assert image.size == (96, 64) and image.getexif()[MAKE] == "Phone"
        assert image.getexif().get(ORIENTATION, 1) == 1


def test_without_pillow_heif_a_heic_photo_names_it(tmp_path, monkeypatch):
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PageError, match="photo.heic.*pip install pillow-heif"), open_document(tmp_path / "photo.heic"):
        pass


def test_a_locked_or_damaged_pdf_is_named(tmp_path):
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    with pytest.raises(PageError, match="bad.pdf cannot be read"), open_document(tmp_path / "bad.pdf"):
        pass


def test_mistakes_in_the_program_are_let_through(tmp_path):
    Image.fromarray(noise(4, 4)).save(tmp_path / "a.png")
    with pytest.raises(KeyError), open_document(tmp_path / "a.png"):
        {}["x"]


# -- files appear only when whole ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS.values())
def test_an_unfinished_document_leaves_nothing_and_takes_nothing(tmp_path, kind):
    path = tmp_path / "out"
    path.write_text("precious")
    with pytest.raises(RuntimeError), new_document(path, kind, None) as writer:
        writer.add(Sheet(noise(4, 4), Metadata()))
        raise RuntimeError
    assert os.listdir(tmp_path) == ["out"] and path.read_text() == "precious"


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PDF"])
def test_a_copy_takes_the_place_of_pages_added(tmp_path, kind):
    (tmp_path / "in").write_bytes(bytes(range(256)))
    with new_document(tmp_path / "out", kind, None) as writer:
        writer.add(Sheet(noise(4, 4), Metadata()))
        writer.copy(tmp_path / "in")
    assert (tmp_path / "out").read_bytes() == bytes(range(256))


def test_what_replaces_its_source_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(4, 4)).save(path)
    path.chmod(0o640)
    with open_document(path) as document, new_document(path, "PNG", document) as writer:
        writer.add(Sheet(noise(5, 5), Metadata()))
        writer.finish()
        writer.take_permissions(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and read_all(path)[0].image.shape == (5, 5, 3)


@pytest.mark.slow
def test_a_document_of_many_pages_streams(tmp_path):
    """60 pages of 6 MB, 4.5 MB as JPEG, written and read in a process of its own, add less than 120 MB to it."""
    code = """if True:
        import resource, sys
        import numpy as np
        import pypdfium2
        from dehw.files.documents import Sheet, new_document, open_document
        from dehw.files.images import Metadata

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

        path, kind = sys.argv[1:]
        frame = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
        start = peak()
        with new_document(path, kind, None) as writer:
            for _ in range(60):
                writer.add(Sheet(frame, Metadata((200, 200))))
            writer.finish()
        with open_document(path) as document:
            for index in range(document.count):
                document.read(index)
        print(peak() - start)
    """
    for kind in ("TIFF", "PDF"):
        command = [sys.executable, "-c", code, str(tmp_path / kind), kind]
        done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=True)
        assert int(done.stdout) < 120, kind


def test_pdf_pages_are_closed_when_read(tmp_path):
    pdf = PdfFile(write_pdf(tmp_path / "text.pdf", "one", "two"))
    for _ in range(3):
        pdf.read(0)
    assert not [kid for kid in pdf.pdf._kids if kid() is not None and kid().raw]
    pdf.close()
