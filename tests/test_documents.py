import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.errors import PageError
from dehw.files import FORMATS, SUFFIXES, images
from dehw.files.documents import new_document, open_document
from dehw.files.images import Metadata
from dehw.files.sheet import Sheet

WORK = Path(__file__).resolve().parents[1] / "work"
ORIENTATION, MAKE = 0x0112, 0x010F


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def read_all(path):
    with open_document(path) as document:
        return [document.read(index) for index in range(document.count)]


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
    about = Metadata((300, 300)), Metadata((150, 140), grey=True)
    write_tiff(tmp_path / "out.tif", [Sheet(colour, about[0]), Sheet(grey, about[1])])
    with Image.open(tmp_path / "out.tif") as image:
        assert image.n_frames == 2
        assert (image.mode, image.info["dpi"], image.tag_v2[259]) == ("RGB", (300, 300), 5)  # 5 is LZW
        np.testing.assert_array_equal(np.array(image), colour)
        image.seek(1)
        assert (image.mode, image.info["dpi"]) == ("L", (150, 140))
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


def test_previews_and_masks_in_a_tiff_are_no_pages(tmp_path):
    """Told by NewSubfileType, 254, and by the older SubfileType, 255; Pillow writes what `encoderinfo` says."""
    about = [{}, {254: 1}, {254: 2}, {254: 4}, {255: 2}, {}]
    frames = [noise(30 + number, 40, seed=number) for number in range(len(about))]
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture, tags in zip(pictures, about):
        picture.encoderinfo = {"tiffinfo": tags}
    path = save_tiff(tmp_path / "in.tif", pictures)
    with Image.open(path) as image:
        assert image.n_frames == 6
    sheets = read_all(path)
    assert len(sheets) == 3  # bit 1 says that it is a page of several
    for sheet, index in zip(sheets, (0, 2, 5)):
        np.testing.assert_array_equal(sheet.image, frames[index])
    pictures = [Image.fromarray(frames[0])]
    pictures[0].encoderinfo = {"tiffinfo": {254: 1}}
    assert len(read_all(save_tiff(tmp_path / "only.tif", pictures))) == 1


def test_a_bilevel_tiff_stays_one(tmp_path):
    bits = noise(100, 80)[..., 0] > 128
    Image.fromarray(bits).save(tmp_path / "in.tif", compression="group3")
    with open_document(tmp_path / "in.tif") as document:
        sheet = document.read(0)
        for kind, name in (("TIFF", "out.tif"), ("PNG", "out.png"), ("BMP", "out.bmp")):
            with new_document(tmp_path / name, kind, document) as writer:
                writer.add(replace(sheet, image=np.where(sheet.image > 0, np.uint8(230), np.uint8(20))))
                writer.finish()
            with Image.open(tmp_path / name) as image:
                assert image.mode == "1"
                np.testing.assert_array_equal(np.array(image), bits)
    with Image.open(tmp_path / "out.tif") as image:
        assert image.tag_v2[259] == 4  # G4


@pytest.mark.parametrize("dpi, shape", [((204, 98), (125, 80)), ((98, 204), (60, 167)), ((204, 196), (60, 80))])
def test_the_pixels_of_a_fax_are_made_square_and_written_at_their_own_size(tmp_path, dpi, shape):
    page = np.full((60, 80, 3), 255, np.uint8)
    page[10:20, 10:70], page[40:50, 20:60] = 30, 60
    Image.fromarray(page).save(tmp_path / "in.tif", dpi=dpi)
    with open_document(tmp_path / "in.tif") as document:
        sheet = document.read(0)
        assert sheet.image.shape[:2] == shape
        mask = np.zeros(shape, bool)
        down = shape[0] / 60
        mask[round(38 * down) : round(52 * down)] = True
        with new_document(tmp_path / "out.tif", "TIFF", document) as writer:
            image = np.where(mask[..., None], np.uint8(250), sheet.image)
            writer.add(replace(sheet, image=image, mask=mask))
            writer.finish()
    with Image.open(tmp_path / "out.tif") as image:
        assert image.info["dpi"] == dpi
        clean = np.array(image)
    np.testing.assert_array_equal(clean[:36], page[:36])
    assert clean.shape == page.shape and clean[38:].min() > 200


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


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_is_read_and_that_is_told(tmp_path, progressive):
    path, smooth = tmp_path / "page.jpg", np.repeat(np.linspace(90, 250, 480).astype(np.uint8)[:, None, None], 320, 1)
    Image.fromarray(smooth.repeat(3, 2)).save(path, progressive=progressive)
    [whole], content = read_all(path), path.read_bytes()
    assert content.endswith(b"\xff\xd9") and not whole.losses
    path.write_bytes(content[:-2])
    [sheet] = read_all(path)
    np.testing.assert_array_equal(sheet.image, whole.image)
    assert sheet.losses == ("its end marker was missing",)
    np.testing.assert_array_equal(images.read_image(path), whole.image)
    np.testing.assert_allclose(images.read_mask(path), whole.image[..., 0] / 255, atol=0.01)
    for rest in (0.3, 0.8):
        path.write_bytes(content[: int(len(content) * rest)])
        with pytest.raises(PageError, match="page.jpg cannot be read"):
            read_all(path)


def test_a_picture_above_pillow_s_limit_is_named_with_the_remedy(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((2000, 3000), bool)).save(tmp_path / "vast.tif", compression="group4")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_500_000)
    with pytest.raises(PageError, match="vast.tif.*more than 5 megapixels.*lower resolution") as caught:
        read_all(tmp_path / "vast.tif")
    assert "bomb" not in str(caught.value)


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_a_thin_page_counts_by_the_tiles_that_networks_need_for_it(tmp_path, monkeypatch, size):
    Image.new("1", size).save(tmp_path / "thin.png")
    Image.new("1", (9, 9)).save(tmp_path / "second.tif", save_all=True, append_images=[Image.new("1", size)])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000_000)
    assert [sheet.image.shape[:2] for sheet in read_all(tmp_path / "thin.png")] == [size[::-1]]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7_000_000)  # 30,000 x 512 are 15 million
    for name in ("thin.png", "second.tif"):
        with pytest.raises(PageError, match=f"{name}.*more than 14 megapixels.*a side counts for 512 pixels or more"):
            read_all(tmp_path / name)


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
        "deeper.tif": (Image.fromarray(page[..., 0].astype(np.int32)), ["32 bits"]),
        "float.tif": (Image.fromarray(page[..., 0] / np.float32(255)), ["32 bits"]),
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


def test_without_pillow_heif_a_heic_photo_names_it(tmp_path, monkeypatch, in_process):
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PageError, match="photo.heic.*pip install pillow-heif"), open_document(tmp_path / "photo.heic"):
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
        from pathlib import Path
        import numpy as np
        from dehw.files.documents import new_document, open_document
        from dehw.files.sheet import Sheet
        from dehw.files.images import Metadata
        from dehw.files.worker import client

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
        about = Path(f"/proc/{client.WORKER.process.pid}/status").read_text() if client.WORKER.process else "VmHWM: 0"
        print(peak() - start, int(about.split("VmHWM:")[1].split()[0]) // 1024)
    """
    for kind in ("TIFF", "PDF"):
        command = [sys.executable, "-c", code, str(tmp_path / kind), kind]
        done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=True)
        grown, worker = map(int, done.stdout.split())
        assert grown < 120 and worker < 240, kind
