"""Documents: files of one page or many, read and written page by page, so that only one page is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, TiffImagePlugin

from dehw.files import MANY, images
from dehw.files.pdf.read import PdfFile
from dehw.files.pdf.write import PdfWriter
from dehw.files.sheet import DocumentWriter, Sheet, page_name

if TYPE_CHECKING:
    from typing_extensions import Self


class ImageFile:
    """An opened image file: one page, or a TIFF's many."""

    def __init__(self, path: Path, image: Image.Image):
        self.path, self.image = path, image
        self.kind = "JPEG" if image.format == "MPO" else str(image.format)
        self.count = _count_tiff(image) if self.kind == "TIFF" else images.count_pages(image)
        if self.count > 1 and self.kind not in MANY:
            raise ValueError(f"it is an animation of {self.count} pictures; save each as a file of its own")

    def read(self, index: int) -> Sheet:
        """Read a page by its index from 0. Raises PageError."""
        with images.reading(page_name(self.path, index, self.count)):
            if self.kind == "TIFF":
                self.image.seek(index)
            losses = _losses(self.image)
            sheet = Sheet(images.upright(self.image), images.metadata_of(self.image), losses=losses)
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


def _count_tiff(image: Image.Image) -> int:
    """How many pages a TIFF has; where it breaks off, the page after the last whole one counts too."""
    count = 0
    try:
        while True:
            image.seek(count)
            count += 1
    except EOFError:
        pass
    except Exception:  # a damaged table raises nearly anything
        count += 1
    image.seek(0)
    return count


def _losses(image: Image.Image) -> tuple[str, ...]:
    """What of an opened image 8-bit RGB or grey does not keep."""
    deep = image.mode[0] in "IF" or any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    known = {"16 bits a channel became 8": deep, "transparent pixels became white": image.has_transparency_data}
    known |= {f"{image.mode} became RGB": image.mode in ("CMYK", "LAB", "YCbCr", "HSV")}
    return tuple(loss for loss, happens in known.items() if happens)
