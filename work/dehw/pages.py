"""Pages as files: the one place where images are found, read and written (Pillow)."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from dehw import masks
from dehw.errors import InputError, PageError
from dehw.files import atomic_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
PAPER = (255, 255, 255)  # what shows through a transparent pixel

LOSSLESS = {
    ".png": {"compress_level": 3},  # twice as fast as the usual 6, and 7 % larger
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
    ".webp": {"lossless": True, "quality": 0, "method": 0},  # for lossless files quality means effort
}
# What to do with pixels stored in each EXIF orientation but 1, upright (EXIF 2.3, tag 274).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
MAX_DPI = 65535  # the most that JPEG can hold; what lies beyond is damage


@dataclass(frozen=True)
class Page:
    """One input file, and the name to keep under an output folder."""

    path: Path
    relative: Path


@dataclass(frozen=True)
class Metadata:
    """What a page's file says beside its pixels. exif carries no orientation: the pixels are upright."""

    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None


def read_image(path: str | Path) -> np.ndarray:
    """Read a page upright (EXIF rotation applied): (H, W, 3) uint8 RGB, whatever the file's mode.

    Transparent pixels show white paper; 16-bit grey keeps its upper byte. Raises PageError.
    """
    with _opened(path) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # MPO: a camera's JPEG with a preview
            raise ValueError(f"it holds {image.n_frames} pages; save each as a file of its own")
        image.load()  # Pillow turns TIFF by itself here, and then has no orientation for it any more
        turn = TURNS.get(_orientation(image))
        return np.array(_to_rgb(image if turn is None else image.transpose(turn)))


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask file: (H, W) float32 in [0, 1], 1 = handwriting. Raises PageError."""
    with _opened(path) as image:
        return masks.from_file(np.array(image.convert("L")))


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) in pixels as read_image gives them, without decoding the pixels. Raises PageError."""
    with _opened(path) as image:
        width, height = image.size
        if image.format == "TIFF":  # its size is that of the turned page in some versions of Pillow
            width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
        return (width, height) if _orientation(image) in SIDEWAYS else (height, width)


def read_metadata(path: str | Path) -> Metadata:
    """Resolution, colour profile (RGB ones only: pages are written as RGB) and EXIF. Raises PageError."""
    with _opened(path) as image:
        icc = image.info.get("icc_profile") or b""
        return Metadata(dpi=_dpi(image), icc=icc if icc[16:20] == b"RGB " else None, exif=_exif(image))


def write_image(path: str | Path, image: np.ndarray, jpeg_quality: int = 95, metadata: Metadata | None = None) -> None:
    """Write (H, W, 3) or (H, W) uint8 in the format of path's suffix; the file appears only when whole.

    JPEG is written 4:4:4, which leaves untouched pixels within a few levels; every other format is lossless.
    Raises PageError.
    """
    path, metadata = Path(path), metadata or Metadata()
    jpeg = {"quality": jpeg_quality, "subsampling": 0}  # 0 is Pillow's word for 4:4:4
    suffix = path.suffix.lower()
    options = dict(jpeg if suffix in (".jpg", ".jpeg") else LOSSLESS.get(suffix, {}))
    kept = {"dpi": metadata.dpi, "icc_profile": metadata.icc, "exif": metadata.exif}
    options.update({key: value for key, value in kept.items() if value})
    with _written(path) as temporary:
        Image.fromarray(image).save(temporary, **options)


def copy_page(source: str | Path, path: str | Path) -> None:
    """Copy a page's file byte for byte; the copy appears only when whole. Raises PageError."""
    with _written(path) as temporary:
        shutil.copyfile(source, temporary)


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write a mask, (H, W) bool or float in [0, 1], as 8-bit grey, 255 = handwriting. Raises PageError."""
    write_image(path, masks.to_file(mask))


def find_pages(paths: Sequence[str | Path], ignore: Callable[[Path], bool] | None = None) -> list[Page]:
    """List the pages that files and folders name, folders recursively and in natural order (2 before 10).

    A file is taken as named; in folders, hidden files, other kinds of file and those that `ignore` picks are
    passed over. Raises InputError that lists every path which is missing, of an unknown kind or empty.
    """
    pages, problems = [], []
    for path in map(Path, paths):
        if path.is_dir():
            found = [page for page in _pages_in(path) if not (ignore and ignore(page.path))]
            pages += found
            problems += [] if found else [f"{path}: no pages in this folder"]
        elif not path.exists():
            problems.append(f"{path}: no such file or folder")
        elif path.suffix.lower() not in SUFFIXES:
            problems.append(f"{path}: not an image file")
        else:
            pages.append(Page(path, Path(path.name)))
    if problems or not pages:
        listed = "\n  ".join(problems or ["nothing was named"])
        raise InputError(f"no page to read:\n  {listed}\nGive image files ({' '.join(SUFFIXES)}) or folders.")
    return pages


def for_each(pages: Sequence[Page], work: Callable[[Page], None], label: str) -> list[Page]:
    """Run `work` on each page behind a progress bar on stderr, and return the pages that failed.

    A page that cannot be read or written, or is too large for the memory, is named; the others are done.
    """
    from tqdm import tqdm

    failed = []
    for page in tqdm(pages, desc=label, unit="page", file=sys.stderr):
        try:
            work(page)
        except (PageError, MemoryError) as error:
            cause = error if isinstance(error, PageError) else f"{page.path}: not enough memory for this page"
            tqdm.write(f"dehw: {cause}", file=sys.stderr)
            failed.append(page)
    return failed


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image file; whatever goes wrong inside becomes a PageError that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except MemoryError:
        raise
    except Exception as error:  # a damaged or hostile file makes Pillow raise nearly anything
        reason = "not an image, or damaged" if isinstance(error, Image.UnidentifiedImageError) else error
        raise PageError(f"{path} cannot be read: {reason}. Open it in a viewer and save it anew.") from error


@contextmanager
def _written(path: str | Path) -> Iterator[Path]:
    """Lend an atomic path; whatever goes wrong inside becomes a PageError that names it."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except (OSError, ValueError) as error:
        raise PageError(f"{path} cannot be written: {error}. Choose another place for it.") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits to 255: a white page
        image = Image.fromarray((np.array(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, PAPER), layer).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1, upright, where there is none or the EXIF is damaged: the pixels may be whole."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as damaged files, damaged EXIF raises nearly anything
        return 1


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Resolution across and down, None where there is none or it makes no sense."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across <= MAX_DPI and 0 < down <= MAX_DPI else None


def _exif(image: Image.Image) -> bytes | None:
    """EXIF without orientation and without the preview, which would still show the handwriting.

    None where there is none, and where it is damaged.
    """
    if image.format == "TIFF":  # its EXIF is the file's own table of strips and offsets
        return None
    try:
        exif = image.getexif()
        exif.pop(ExifTags.Base.Orientation, None)
        return exif.tobytes() if len(exif) else None
    except Exception:  # as above
        return None


def _pages_in(folder: Path) -> list[Page]:
    def natural(path: Path) -> list:
        return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", str(path))]

    relative = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    shown = [path for path in relative if not any(part.startswith(".") for part in path.parts)]
    return [Page(folder / path, path) for path in sorted(shown, key=natural) if (folder / path).is_file()]
