"""Pages as files: the one place where images are found, read and written (Pillow). See documents.py for many pages."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from dehw.errors import DehwError, PageError
from dehw.files.atomic import atomic_path
from dehw.files.worker import heif, wire
from dehw.page import masks

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
PAPER = (255, 255, 255)  # what shows through a transparent pixel
# The kinds of file that are known, and how each begins. Pillow's own search would try 40 decoders on any file.
SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{4}\0{4}",
    "TIFF": rb"II[*+]\0|MM\0[*+]",  # + is BigTIFF
    "HEIF": rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)",
    "PDF": rb".{0,1019}?%PDF-",  # readers take a PDF that starts anywhere in its first 1024 bytes
}
# How each kind is written: JPEG and HEIF 4:4:4, all others without loss.
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"subsampling": 0},  # 0 is Pillow's word for 4:4:4
    "HEIF": {"quality": 95, "chroma": 444},
    "PNG": {"compress_level": 3},  # twice as fast as the usual 6, and 7 % larger
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "quality": 0, "method": 0},  # for lossless files quality means effort
}
# What a TIFF's table says about the page; the rest of it is about this very file's strips and offsets.
ABOUT_THE_PAGE = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations in which a page lies on its side (EXIF 2.3, tag 274)
END, MORE = b"\xff\xd9", b"\x35\xa7" * 64  # a JPEG's end marker, and data that could stand before it
WINDOW = 512  # px: networks see a page in squares of about this side, so a thin page costs them as much as a wide one
MIN_DPI, MAX_DPI = 10, 65535  # Pillow gives 1 for a TIFF that tells none, a page of metres; 65535 is JPEG's most


@wire.sent
@dataclass(frozen=True)
class Metadata:
    """What a page's file says beside its pixels.

    dpi: across and down. exif carries no orientation: the pixels are upright. grey: the file knows no colour;
    bilevel: only black and white.
    """

    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    grey: bool = False
    bilevel: bool = False


def kind_of(path: str | Path) -> str | None:
    """The kind of a file by its first bytes, a key of SIGNATURES; None for any other kind. Raises PageError."""
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise PageError(f"{path} cannot be read: {error.strerror}. Look at its permissions.") from error
    return next((kind for kind, pattern in SIGNATURES.items() if re.match(pattern, head, re.DOTALL)), None)


def media_type(path: str | Path) -> str | None:
    """What HTTP calls the kind of a file, see kind_of. Raises PageError."""
    kind = kind_of(path)
    return kind and ("application" if kind == "PDF" else "image") + f"/{kind.lower()}"


def read_image(path: str | Path) -> np.ndarray:
    """Read a page upright (EXIF rotation applied): (H, W, 3) uint8 RGB, whatever the file's mode.

    Transparent pixels show white paper; 16-bit grey keeps its upper byte. Raises PageError.
    """
    with opened(path) as image:
        if (count := count_pages(image)) > 1:
            raise ValueError(f"it holds {count} pages; save each as a file of its own")
        return upright(whole(path, image))


def count_pages(image: Image.Image) -> int:
    """How many pages an opened image file holds. The other pictures of a camera's or phone's photo are none."""
    return 1 if image.format in ("MPO", "HEIF") else getattr(image, "n_frames", 1)


def upright(image: Image.Image) -> np.ndarray:
    """The pixels of an opened image as read_image gives them; the image itself is turned."""
    turn(image)
    return np.array(_to_rgb(image))


def area(width: int, height: int) -> int:
    """The pixels that networks look at for a page of this size: each of its sides counts for WINDOW at least."""
    return max(width, WINDOW) * max(height, WINDOW)


def turn(image: Image.Image) -> None:
    """Turn an image in place, as its EXIF says. Raises what damaged pixels raise; damaged EXIF costs no page."""
    _refuse_large(image)
    image.load()  # Pillow turns TIFF by itself here, and then has no orientation for it any more
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # as damaged files, damaged EXIF raises nearly anything, before the turn or after
        return


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask file: (H, W) float32 in [0, 1], 1 = handwriting. Raises PageError."""
    with opened(path) as image:
        return masks.from_file(np.array(whole(path, image).convert("L")))


def read_label(path: str | Path) -> np.ndarray:
    """Read a label file of PaddleSeg, 1 = handwriting and 0 = the rest: (H, W) bool.

    Palettes are passed over. Pixels of 255, which PaddleSeg does not count, are no handwriting; but in a file without
    any 1 they are, as in masks. Raises PageError, also for other values.
    """
    with opened(path) as image:
        values = np.array(image if image.mode in ("L", "P") else image.convert("L"))
    counts = np.bincount(values.ravel(), minlength=256)
    if other := [value for value in range(2, 255) if counts[value]]:
        raise PageError(f"{path} is no label: it holds {other[0]}, where labels have 0 and 1. Replace or remove it.")
    return values == (1 if counts[1] else 255)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) in pixels as read_image gives them, without decoding the pixels. Raises PageError."""
    with opened(path) as image:
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # some versions of Pillow give the turned page's size
            width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
        sideways = False
        with suppress(Exception):  # see turn
            sideways = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        return (width, height) if sideways else (height, width)


def read_metadata(path: str | Path) -> Metadata:
    """What a page's file says beside its pixels; what is damaged or makes no sense is left out. Raises PageError."""
    with opened(path) as image:
        return metadata_of(image)


def metadata_of(image: Image.Image) -> Metadata:
    """The same of an opened image. Its colour profile is kept where it fits what is written: RGB, or grey."""
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    icc = image.info.get("icc_profile") or b""
    fits = icc[16:20] == (b"GRAY" if grey else b"RGB ")  # ICC.1, section 7.2: the profile's colour space
    return Metadata(_dpi(image), icc if fits else None, _exif(image), grey, bilevel=image.mode == "1")


def write_image(
    path: str | Path,
    image: np.ndarray,
    jpeg_quality: int = 95,
    metadata: Metadata | None = None,
    kind: str | None = None,
) -> None:
    """Write (H, W, 3) or (H, W) uint8 as `kind`, else as path's suffix says; the file appears only when whole.

    JPEG is written 4:4:4, which leaves untouched pixels within a few levels; every other format but HEIF is
    lossless. Raises PageError.
    """
    with written(path) as temporary:
        save(temporary, image, kind or _kind_named(temporary), metadata or Metadata(), jpeg_quality)


def save(target: Path | IO[bytes], image: np.ndarray, kind: str, metadata: Metadata, jpeg_quality: int = 95) -> None:
    """Encode (H, W, 3) or (H, W) uint8 into `target`, a path or an opened file; raises what Pillow raises.

    metadata.grey has colour pixels written as grey: those that were grey keep their value. metadata.bilevel has them
    written as 1 bit by the kinds that can, TIFF by CCITT G4.
    """
    if kind == "HEIF":
        heif.register()
    options = dict(OPTIONS.get(kind, {}))
    if kind == "JPEG":
        options["quality"] = jpeg_quality
    exif = _about_the_page(metadata.exif) if kind == "TIFF" else metadata.exif
    kept = {"dpi": metadata.dpi, "icc_profile": metadata.icc, "exif": exif}
    options.update({key: value for key, value in kept.items() if value})
    picture = Image.fromarray(image)
    picture = picture.convert("L") if metadata.grey else picture
    if metadata.bilevel and kind in ("TIFF", "PNG", "BMP"):
        picture = picture.convert("1", dither=Image.Dither.NONE)
        options |= {"compression": "group4"} if kind == "TIFF" else {}
    try:
        picture.save(target, format=kind, **options)
    except (MemoryError, OSError):
        raise
    except Exception:  # EXIF that is damaged or too long for the format: the page is worth more
        if not options.pop("exif", None):
            raise
        picture.save(target, format=kind, **options)


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write a mask, (H, W) bool or float in [0, 1], as 8-bit grey, 255 = handwriting. Raises PageError."""
    write_image(path, masks.to_file(mask))


def open_image(path: str | Path) -> Image.Image:
    """Open an image file of a known kind, whose pixels are not decoded yet; to be closed. Raises PageError."""
    with reading(path):
        kind = kind_of(path)
        if not os.path.getsize(path):
            raise PageError(f"{path} cannot be read: it is empty. Copy or download it again.")
        if kind is None or kind == "PDF":
            raise Image.UnidentifiedImageError
        image = heif.HeifFile(Path(path)) if kind == "HEIF" else Image.open(path, formats=[kind])
        try:
            _refuse_large(image)
        except Image.DecompressionBombError:
            image.close()
            raise
        return image


def _refuse_large(image: Image.Image) -> None:
    """Raise as Pillow does for too many pixels, thin pages by their `area`."""
    if Image.MAX_IMAGE_PIXELS and area(*image.size) > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def whole(path: str | Path, image: Image.Image) -> Image.Image:
    """An opened image with its pixels decoded; another one for a JPEG that lacks nothing but its end marker.

    What follows complete pixels changes none of them, so that they are the same with and without more data.
    """
    try:
        image.load()
        return image
    except OSError:
        if image.format not in ("JPEG", "MPO"):
            raise
        content = Path(path).read_bytes()
        ended = [Image.open(io.BytesIO(content + more + END), formats=["JPEG"]) for more in (b"", MORE)]
        with suppress(OSError):
            if ended[0].tobytes() == ended[1].tobytes():
                return ended[0]
        raise


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Lend an opened image file; whatever goes wrong inside becomes a PageError that names it."""
    with reading(path), open_image(path) as image:
        yield image


@contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes a PageError that names the file, or its page, as unreadable."""
    try:
        yield
    except (MemoryError, DehwError):
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        cause = f"it has more than {most} megapixels, the most that is read (a side counts for {WINDOW} pixels or more)"
        raise PageError(f"{name} cannot be read: {cause}. Scan it at a lower resolution, or cut it up.") from error
    except Exception as error:  # a damaged or hostile file makes decoders raise nearly anything
        reason = "not an image, or damaged" if isinstance(error, Image.UnidentifiedImageError) else error
        raise PageError(f"{name} cannot be read: {reason}. Open it in a viewer and save it anew.") from error


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes a PageError that names the file as unwritable."""
    try:
        yield
    except (MemoryError, DehwError):
        raise
    except Exception as error:  # encoders cut short raise nearly anything too
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PageError(f"{path} cannot be written: {cause}. Choose another place for it.") from error


@contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """Lend an atomic path; what goes wrong inside becomes a PageError that names it."""
    with writing(path), atomic_path(path) as temporary:
        yield temporary


def _kind_named(path: Path) -> str:
    """The kind that a path's suffix asks for; ValueError where it is none."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"unknown file extension: {path.suffix}")
    return kind


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits to 255: a white page
        image = Image.fromarray((np.array(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":  # Pillow takes floats for 0 to 255; most programs mean 0 to 1, of which a page has some
        levels = np.nan_to_num(np.array(image))
        levels = levels * 255 if levels.max() <= 1 else levels
        image = Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, PAPER), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # which would be a copy


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Resolution across and down, None where there is none or it makes no sense."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(MIN_DPI <= value <= MAX_DPI for value in (across, down)) else None


def _exif(image: Image.Image) -> bytes | None:
    """EXIF without orientation and without the preview, which would still show the handwriting.

    None where there is none, and where it is damaged.
    """
    try:
        exif = image.getexif()
        exif.pop(ExifTags.Base.Orientation, None)
        if image.format == "TIFF":
            return _about_the_page(exif)
        return exif.tobytes() if len(exif) else None
    except Exception:  # see turn
        return None


def _about_the_page(exif: Image.Exif | bytes | None) -> bytes | None:
    """The part of EXIF that a TIFF's table may take over from another file.

    Not its sub-tables, such as the exposure: Pillow cannot write them into a compressed TIFF.
    """
    if isinstance(exif, bytes):
        content, exif = exif, Image.Exif()
        exif.load(content)
    kept = Image.Exif()
    if exif:
        kept.update({tag: exif[tag] for tag in ABOUT_THE_PAGE if tag in exif})
    return kept.tobytes() if len(kept) else None
