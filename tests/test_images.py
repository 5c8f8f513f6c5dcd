import io
import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from dehw.errors import InputError, PageError
from dehw.files import pictures
from dehw.files.find import InputFile, find_pages, for_each
from dehw.files.images import Metadata, image_size, read_image, read_mask, read_metadata, write_image, write_mask

ORIENTATION, MAKE = 0x0112, 0x010F
NAN = float("nan")
# How a file of each EXIF orientation stores an upright page (EXIF 2.3, tag 274).
STORED = {
    1: lambda page: page,
    2: lambda page: page[:, ::-1],
    3: lambda page: page[::-1, ::-1],
    4: lambda page: page[::-1],
    5: lambda page: page.transpose(1, 0, 2),
    6: lambda page: np.rot90(page, 1),
    7: lambda page: page[::-1, ::-1].transpose(1, 0, 2),
    8: lambda page: np.rot90(page, -1),
}


@pytest.fixture
def page():
    return np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)


@pytest.fixture
def smooth():
    """A page that JPEG keeps well: a ramp with sharp red strokes, where 4:2:0 would bleed."""
    page = np.repeat(np.linspace(180, 255, 96).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    page[10:50:7, 8:80] = (220, 20, 30)
    return page


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def exif_of(**tags):
    exif = Image.Exif()
    exif.update(tags.pop("tags", {}))
    return exif


@pytest.mark.parametrize("suffix", [".png", ".tif"])  # Pillow turns TIFF by itself
@pytest.mark.parametrize("orientation", STORED)
def test_exif_rotation_gives_the_upright_page(tmp_path, page, orientation, suffix):
    stored = np.ascontiguousarray(STORED[orientation](page))
    path = saved(tmp_path / f"turned{suffix}", stored, exif=exif_of(tags={ORIENTATION: orientation}))
    np.testing.assert_array_equal(read_image(path), page)
    assert image_size(path) == (7, 11)


def test_any_mode_becomes_rgb(tmp_path, page):
    grey = page[:, :, 0]
    cases = {
        "grey.png": (Image.fromarray(grey), grey[..., None].repeat(3, 2)),
        "bits.png": (Image.fromarray(grey > 127), np.where(grey > 127, 255, 0)[..., None].repeat(3, 2)),
        "deep.png": (Image.fromarray(grey.astype(np.uint16) * 257), grey[..., None].repeat(3, 2)),
        "share.tif": (Image.fromarray(grey / np.float32(255)), grey[..., None].repeat(3, 2)),
        "level.tif": (Image.fromarray(grey.astype(np.float32)), grey[..., None].repeat(3, 2)),
        "palette.png": (Image.fromarray(page).quantize(256), page),
        "cmyk.tif": (Image.fromarray(page).convert("CMYK"), page),
    }
    for name, (image, expected) in cases.items():
        image.save(tmp_path / name)
        read = read_image(tmp_path / name)
        assert read.dtype == np.uint8 and read.flags.writeable
        np.testing.assert_array_equal(read, expected, err_msg=name)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_show_paper(tmp_path, mode):
    image = Image.new(mode, (2, 1), (0,) * (len(mode) - 1) + (255,))
    image.putpixel((1, 0), (0,) * len(mode))
    image.save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), [[[0, 0, 0], [255, 255, 255]]])


def test_transparent_palette_colour_shows_paper(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "palette.png", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), [[[10, 20, 30], [255, 255, 255]]])


def test_unreadable_files_are_named(tmp_path, smooth):
    whole = saved(tmp_path / "whole.jpg", smooth).read_bytes()
    cases = {"cut.jpg": whole[: len(whole) // 2], "text.png": b"not an image", "empty.png": b""}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for name in [*cases, "missing.png"]:
        with pytest.raises(PageError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(PageError, match="it is empty"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(PageError, match="text.png"):
        read_mask(tmp_path / "text.png")
    with pytest.raises(PageError, match="text.png"):
        image_size(tmp_path / "text.png")


def test_a_file_of_several_pages_is_refused(tmp_path, page):
    frames = [Image.fromarray(page), Image.fromarray(page)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(PageError, match="2 pages"):
        read_image(tmp_path / "two.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp", ".webp"])
def test_lossless_formats_come_back_identical(tmp_path, page, suffix):
    path = tmp_path / f"page{suffix}"
    write_image(path, page)
    np.testing.assert_array_equal(read_image(path), page)
    assert os.listdir(tmp_path) == [path.name]


def test_jpeg_is_444_and_close(tmp_path, smooth):
    path = tmp_path / "page.jpg"
    write_image(path, smooth)
    with Image.open(path) as image:
        assert {tuple(component[1:3]) for component in image.layer} == {(1, 1)}  # no subsampled colour
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 8
    worse = io.BytesIO()
    Image.fromarray(smooth).save(worse, "JPEG", quality=75)
    assert np.abs(np.array(Image.open(worse)).astype(int) - smooth).max() > 8  # the test can tell


def test_metadata_is_kept_without_orientation_and_preview(tmp_path, smooth):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = exif_of(tags={ORIENTATION: 6, MAKE: "Camera"})
    exif[0x8769] = {0x9003: "2024:01:02 03:04:05"}
    source = saved(tmp_path / "in.jpg", smooth, exif=exif, icc_profile=profile, dpi=(300, 300))
    target = tmp_path / "out.jpg"
    write_image(target, read_image(source), metadata=read_metadata(source))
    with Image.open(target) as image:
        assert image.info["dpi"] == (300, 300)
        assert image.info["icc_profile"] == profile
        read = image.getexif()
        assert ORIENTATION not in read and read[MAKE] == "Camera"
        assert read.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
        assert not read.get_ifd(0x0201)
    assert read_image(target).shape == (96, 64, 3)


def test_the_preview_in_exif_is_dropped(tmp_path, smooth):
    """A preview would still show the handwriting."""
    preview = io.BytesIO()
    Image.fromarray(smooth[:8, :8]).save(preview, "JPEG")
    with_preview = exif_with_preview(preview.getvalue())
    source = saved(tmp_path / "in.jpg", smooth, exif=with_preview)
    assert preview.getvalue() in source.read_bytes()
    metadata = read_metadata(source)
    assert metadata.exif is not None and preview.getvalue() not in metadata.exif


def exif_with_preview(preview: bytes) -> bytes:
    """EXIF with one tag and a JPEG preview in its second directory, laid out by hand (TIFF 6.0)."""
    make = (0x010F, 2, 4, int.from_bytes(b"Cam\0", "little"))
    start = 8 + (2 + 12 + 4) + (2 + 24 + 4)
    second = [(0x0201, 4, 1, start), (0x0202, 4, 1, len(preview))]

    def directory(entries, following):
        body = b"".join(
            tag.to_bytes(2, "little")
            + kind.to_bytes(2, "little")
            + count.to_bytes(4, "little")
            + value.to_bytes(4, "little")
            for tag, kind, count, value in entries
        )
        return len(entries).to_bytes(2, "little") + body + following.to_bytes(4, "little")

    first = directory([make], 8 + 2 + 12 + 4)
    return b"Exif\0\0II*\0" + (8).to_bytes(4, "little") + first + directory(second, 0) + preview


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it found
def test_damaged_exif_costs_no_page(tmp_path, smooth):
    """Any byte of it wrong: the page is read and written again, without EXIF at worst."""
    exif = exif_of(tags={ORIENTATION: 1, MAKE: "Camera", 0x011A: 72.0})
    exif[0x8769] = {0x9003: "2024:01:02 03:04:05", 0x829A: 0.01, 0x8827: 100}
    good, lost = exif.tobytes(), 0
    path = tmp_path / "in.png"
    for place in range(6, len(good)):  # behind "Exif\0\0"
        for value in (0, 2, 255):
            saved(path, smooth[:3, :5], exif=good[:place] + bytes([value]) + good[place + 1 :], compress_level=1)
            assert sorted(read_image(path).shape[:2]) == [3, 5]
            metadata = read_metadata(path)
            lost += metadata.exif is None
    assert lost  # some damage was more than Pillow could read


def test_a_photo_is_turned_though_its_exif_cannot_be_written_again(tmp_path, page, monkeypatch):
    path = saved(tmp_path / "in.png", page, exif=exif_of(tags={ORIENTATION: 6}))

    def damaged(exif, offset=8):
        raise ValueError("damaged")

    monkeypatch.setattr(Image.Exif, "tobytes", damaged)
    np.testing.assert_array_equal(read_image(path), np.rot90(page, -1))
    assert image_size(path) == page.shape[1::-1]
    with Image.open(path) as picture:
        np.testing.assert_array_equal(pictures.to_page(picture), np.rot90(page, -1))
        assert picture.size == page.shape[1::-1], "the one given stays as it was"


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
def test_exif_that_a_format_cannot_take_costs_no_page(tmp_path, smooth, suffix):
    """JPEG holds 64 KiB of it; a PNG or TIFF more."""
    exif = exif_of(tags={MAKE: "x" * 70_000})
    source = saved(tmp_path / "in.png", smooth, exif=exif)
    target = tmp_path / f"out{suffix}"
    write_image(target, smooth, metadata=read_metadata(source))
    assert np.abs(read_image(target).astype(int) - smooth).max() <= 8
    assert (read_metadata(target).exif is None) == (suffix == ".jpg")


@pytest.mark.parametrize("dpi", [(0, 0), (-1, 300), (1e9, 300), (300, 1), (NAN, 300), (300, NAN), (300,), "x", None])
def test_a_resolution_that_makes_no_sense_is_dropped(tmp_path, page, monkeypatch, dpi):
    path = saved(tmp_path / "page.png", page)
    opened = Image.open

    def with_dpi(path, **options):
        image = opened(path, **options)
        image.info["dpi"] = dpi
        return image

    monkeypatch.setattr(Image, "open", with_dpi)
    assert read_metadata(path).dpi is None


def test_a_tiff_that_tells_no_resolution_has_none(tmp_path, page):
    """Pillow says 1 dpi of it, which would make a PDF's page of many metres."""
    assert read_metadata(saved(tmp_path / "page.tif", page)).dpi is None


@pytest.mark.parametrize("error", [TypeError, KeyError, OverflowError, Image.DecompressionBombError])
def test_whatever_a_decoder_raises_names_the_page(tmp_path, page, monkeypatch, error):
    path = saved(tmp_path / "page.png", page)

    def load(image):
        raise error("damaged")

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(PageError, match="page.png"):
        read_image(path)


def test_metadata_of_a_plain_file_is_empty(tmp_path, page):
    assert read_metadata(saved(tmp_path / "plain.png", page)) == Metadata()


def test_a_profile_that_is_not_rgb_is_dropped(tmp_path, page):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert read_metadata(saved(tmp_path / "page.png", page, icc_profile=lab)).icc is None


def test_what_cannot_be_written_is_named(tmp_path, page):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "page.xyz", tmp_path / "file" / "page.png"):
        with pytest.raises(PageError, match=path.name):
            write_image(path, page)
    assert os.listdir(tmp_path) == ["file"]


def test_mask_files_hold_255_for_handwriting(tmp_path):
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = True
    write_mask(tmp_path / "mask.png", mask)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.array(image), np.where(mask, 255, 0))
    read = read_mask(tmp_path / "mask.png")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, mask)


def test_soft_masks_keep_their_levels(tmp_path):
    mask = np.linspace(0, 1, 256, dtype=np.float32)[None]
    write_mask(tmp_path / "mask.png", mask)
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), mask, atol=1e-6)


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_find_pages_goes_through_folders_in_natural_order(tmp_path):
    names = ["p10.jpg", "p2.JPG", "p2.txt", ".hidden.png", ".cache/x.png", "b/p1.png", "a/p1.png"]
    touch(*(tmp_path / name for name in names))
    (tmp_path / "folder.png").mkdir()
    found = find_pages([tmp_path])
    assert [page.relative.as_posix() for page in found] == ["a/p1.png", "b/p1.png", "p2.JPG", "p10.jpg"]
    assert [page.path for page in found] == [tmp_path / page.relative for page in found]


def test_find_pages_takes_files_as_named(tmp_path):
    touch(tmp_path / "a" / "x.clean.png", tmp_path / "a" / "x.png")

    def ignore(path):
        return path.stem.endswith(".clean")

    assert [page.path.name for page in find_pages([tmp_path], ignore)] == ["x.png"]
    named = tmp_path / "a" / "x.clean.png"
    assert find_pages([named], ignore) == [InputFile(named, named.relative_to(tmp_path / "a"))]


def test_find_pages_lists_every_problem(tmp_path):
    touch(tmp_path / "notes.txt", tmp_path / "empty" / "readme", tmp_path / "good.png")
    with pytest.raises(InputError) as error:
        find_pages([tmp_path / name for name in ("notes.txt", "empty", "missing", "good.png")])
    for name in ("notes.txt", "empty", "missing"):
        assert name in str(error.value)
    assert "good.png" not in str(error.value)
    with pytest.raises(InputError):
        find_pages([])


def test_for_each_names_a_bad_page_and_does_the_others(tmp_path, page, capsys):
    good = [saved(tmp_path / f"{name}.png", page) for name in "ac"]
    (tmp_path / "b.png").write_bytes(b"broken")
    done = []

    def work(item):
        if item.path.name == "c.png":
            raise MemoryError
        read_image(item.path)
        done.append(item.path)

    failed = for_each(find_pages([tmp_path]), work, "reading")
    assert done == [good[0]]
    assert [item.path.name for item in failed] == ["b.png", "c.png"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "b.png cannot be read" in captured.err and "not enough memory" in captured.err


def test_for_each_lets_mistakes_in_the_program_through(tmp_path, page):
    saved(tmp_path / "a.png", page)
    with pytest.raises(KeyError):
        for_each(find_pages([tmp_path]), lambda item: {}["x"], "reading")
