"""Documents: files of one page or many, read and written page by page, so that only one page is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from PIL import ExifTags, Image, TiffImagePlugin

from dehw.files import MANY, images
from dehw.files.pdf.document import PdfFile, PdfWriter
from dehw.files.pdf.layers import MAX_PIXELS
from dehw.files.sheet import DocumentWriter, Sheet, page_name

if TYPE_CHECKING:
    from typing_extensions import Self

SQUARE = 1.2  # of two resolutions, from which on the pixels are not taken for square; faxes have 1.04 and 2.08


class ImageFile:
    """An opened image file: one page, or a TIFF's many."""

    def __init__(self, path: Path, image: Image.Image):
        self.path, self.image = path, image
        self.kind = "JPEG" if image.format == "MPO" else str(image.format)
        # Which of the file's pictures are pages, in their order.
        self.frames = _tiff_pages(image) if self.kind == "TIFF" else list(range(images.count_pages(image)))
        self.count = len(self.frames)
        if self.count > 1 and self.kind not in MANY:
            raise ValueError(f"it is an animation of {self.count} pictures; save each as a file of its own")

    def read(self, index: int) -> Sheet:
        """Read a page by its index from 0. Raises PageError."""
        with images.reading(page_name(self.path, index, self.count)):
            if self.kind == "TIFF":
                self.image.seek(self.frames[index])
            losses = _losses(self.image)
            opened, self.image = self.image, images.whole(self.path, self.image)
            losses += ("its end marker was missing",) if self.image is not opened else ()
            page = images.upright(self.image)
            sheet = squared(Sheet(page, images.metadata_of(self.image), losses=losses))
            if self.count == 1:
                self.image.close()  # or its pixels, 4 bytes each, would be held while the page is erased
            return sheet

    def close(self) -> None:
        self.image.close()


Document = ImageFile | PdfFile


@contextmanager
def open_document(path: str | Path) -> Iterator[Document]:
    """Lend an opened document of any known kind, told by its content. Raises PageError where it is none."""
    path = Path(path)
    with images.reading(path):
        document = PdfFile(path) if images.kind_of(path) == "PDF" else _image_file(path)
    try:
        yield document
    finally:
        document.close()


class ImageWriter(DocumentWriter):
    """An image file of one page."""

    def __init__(self, path: str | Path, kind: str):
        super().__init__(path)
        self.kind = kind

    def _add(self, sheet: Sheet) -> tuple[str, ...]:
        self.sheet = sheet
        return ()

    def finish(self) -> None:
        with images.writing(self.path):
            images.save(self.temporary, self.sheet.shown, self.kind, self.sheet.metadata)


class TiffWriter(DocumentWriter):
    """A TIFF of any number of pages. Pillow's own `save_all` would want all of them at once."""

    def __enter__(self) -> Self:
        super().__enter__()
        with images.writing(self.path):
            self.file = TiffImagePlugin.AppendingTiffWriter(self.temporary, new=True)
            self.stack.callback(self._close)
        return self

    def _add(self, sheet: Sheet) -> tuple[str, ...]:
        images.save(self.file, sheet.shown, "TIFF", sheet.metadata)
        self.file.newFrame()
        return ()

    def finish(self) -> None:
        with images.writing(self.path):
            self._close()

    def copy(self, source: Path) -> None:
        self.finish()  # or its last words would go into the copy
        super().copy(source)

    def _close(self) -> None:
        if not self.file.f.closed:
            with self.file.f:  # closed even where its last words cannot be written
                self.file.close()


def new_document(path: str | Path, kind: str, source: Document | None) -> DocumentWriter:
    """What writes `path` as a document of a kind. source: where pages to be kept as they were come from."""
    if kind == "PDF":
        return PdfWriter(path, source if isinstance(source, PdfFile) else None)
    return TiffWriter(path) if kind == "TIFF" else ImageWriter(path, kind)


def _image_file(path: Path) -> ImageFile:
    image = images.open_image(path)
    try:
        return ImageFile(path, image)
    except BaseException:
        image.close()
        raise


def squared(sheet: Sheet) -> Sheet:
    """A page whose pixels are not square, as a fax's, with square ones, and its own beside them."""
    across, down = sheet.metadata.dpi or (1, 1)
    if 1 / SQUARE < across / down < SQUARE:
        return sheet
    height, width = sheet.image.shape[:2]
    size = (width, round(height * across / down)) if across > down else (round(width * down / across), height)
    if images.area(*size) > MAX_PIXELS:
        return sheet
    return replace(sheet, image=cv2.resize(sheet.image, size, interpolation=cv2.INTER_LINEAR), stored=sheet.image)


def _tiff_pages(image: Image.Image) -> list[int]:
    """Which pictures of a TIFF are pages, not previews or masks; where it breaks off, the one after the last whole
    one counts too.
    """
    pages, count = [], 0
    try:
        while True:
            image.seek(count)
            if not _is_side_picture(image):
                pages.append(count)
            count += 1
    except EOFError:
        pass
    except Exception:  # a damaged table raises nearly anything
        pages.append(count)
    image.seek(0)
    return pages or [0]


def _is_side_picture(image: Image.Image) -> bool:
    """Whether the current picture of a TIFF is a smaller copy, bit 0 of NewSubfileType, or a mask, bit 2 (TIFF 6.0)."""
    table = getattr(image, "tag_v2", {})
    return bool(int(table.get(ExifTags.Base.NewSubfileType, 0)) & 5) or table.get(ExifTags.Base.SubfileType) == 2


def _losses(image: Image.Image) -> tuple[str, ...]:
    """What of an opened image 8-bit RGB or grey does not keep."""
    deep = image.mode[0] in "IF" or any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    bits = max(getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,)))  # TIFF alone has deeper ones
    known = {f"{bits} bits a channel became 8": deep, "transparent pixels became white": image.has_transparency_data}
    known |= {f"{image.mode} became RGB": image.mode in ("CMYK", "LAB", "YCbCr", "HSV")}
    return tuple(loss for loss, happens in known.items() if happens)
