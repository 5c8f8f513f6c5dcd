"""Documents: files of one page or many, read and written page by page, so that only one page is in memory."""

from __future__ import annotations

import io
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, TiffImagePlugin

from dehw.files import MANY, images
from dehw.files.atomic import atomic_path
from dehw.files.images import Metadata

if TYPE_CHECKING:
    import pypdfium2

INCH = 72  # PDF's points an inch
DPI = 200  # of pages that name no resolution: A4 then has the pixels of a usual scan
MAX_PIXELS = 80_000_000  # of a PDF's page, 240 MB: what asks for more is shown smaller
A4 = (595.0, 842.0)  # points
EDGE = 0.005  # pixels, see _draw_scan
REOPEN = 16  # pages read before a PDF is opened anew, because PDFium keeps the contents of every page it has seen


@dataclass(frozen=True)
class Sheet:
    """One page of a document.

    image: (H, W, 3) uint8 RGB, upright. points: (width, height) of a PDF's page. losses: what of the page a
    new file would not keep, a phrase each.
    """

    image: np.ndarray
    metadata: Metadata
    points: tuple[float, float] | None = None
    losses: tuple[str, ...] = ()


class ImageFile:
    """An opened image file: one page, or a TIFF's many."""

    def __init__(self, path: Path, image: Image.Image):
        self.path, self.image = path, image
        self.kind = "JPEG" if image.format == "MPO" else image.format
        self.count = _count_tiff(image) if self.kind == "TIFF" else images.count_pages(image)
        if self.count > 1 and self.kind not in MANY:
            raise ValueError(f"it is an animation of {self.count} pictures; save each as a file of its own")

    def read(self, index: int) -> Sheet:
        """Read a page by its index from 0. Raises PageError."""
        with images.reading(f"{self.path}{_page(index, self.count)}"):
            if self.kind == "TIFF":
                self.image.seek(index)
            losses = _losses(self.image)
            sheet = Sheet(images.upright(self.image), images.metadata_of(self.image), losses=losses)
            if self.count == 1:
                self.image.close()  # or its pixels, 4 bytes each, would be held while the page is erased
            return sheet

    def close(self) -> None:
        self.image.close()


class PdfFile:
    """An opened PDF. A page is drawn at its scan's own pixels; one that is no scan, at 200 dpi."""

    kind = "PDF"

    def __init__(self, path: Path):
        self.path, self.pdf, self.seen = path, None, 0
        self._open()
        self.count = len(self.pdf)
        if not self.count:
            raise ValueError("it has no pages")

    def read(self, index: int) -> Sheet:
        """Draw a page by its index from 0. Raises PageError."""
        with images.reading(f"{self.path}{_page(index, self.count)}"):
            self.seen += 1
            if self.seen % REOPEN == 0:
                self._open()
            page = self.pdf[index]
            try:
                bitmap = _draw(page, bool(self.pdf.formenv))
                image = np.array(bitmap.to_numpy()[..., :3])  # a copy: the bitmap's memory goes
                bitmap.close()
                losses = ("its text can no longer be selected",) if page.get_textpage().count_chars() else ()
                points = page.get_size()
                dpi = image.shape[1] / points[0] * INCH, image.shape[0] / points[1] * INCH
                return Sheet(image, Metadata(dpi, grey=_is_grey(image)), points, losses)
            finally:
                page.close()

    def close(self) -> None:
        self.pdf.close()

    def _open(self) -> None:
        import pypdfium2

        if self.pdf:
            self.pdf.close()
        self.pdf = pypdfium2.PdfDocument(self.path)
        self.pdf.init_forms()  # or filled-in forms would not be drawn


Document = ImageFile | PdfFile
Kept = Literal["itself", "drawn", "empty"]


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


class Writer:
    """Writes a document; its file appears at `path` when the `with` block ends well. Raises PageError."""

    def __init__(self, path: str | Path):
        self.path, self.stack = Path(path), ExitStack()
        self.size = self.points = None  # of the last page added

    def __enter__(self) -> Writer:
        with images.writing(self.path):
            self.temporary = self.stack.enter_context(atomic_path(self.path))
        return self

    def __exit__(self, *error: object) -> None:
        with images.writing(self.path):
            self.stack.__exit__(*error)

    def add(self, sheet: Sheet) -> None:
        """Add a page."""
        self.size, self.points = sheet.image.shape[:2], sheet.points
        with images.writing(self.path):
            self._add(sheet)

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        """Add a page as it was: itself, or else its picture; an empty page where it could not be read."""
        if sheet:
            self.add(sheet)
            return "drawn"
        shape = self.size or [round(side * DPI / INCH) for side in A4[::-1]]
        self.add(Sheet(np.full((*shape, 3), 255, np.uint8), Metadata(grey=True), self.points))
        return "empty"

    def finish(self) -> None:
        """Complete the file; no page can be added any more."""

    def copy(self, source: Path) -> None:
        """Take a file byte for byte in place of the pages added; over itself, with its permissions and times."""
        with images.writing(self.path):
            (shutil.copy2 if self._is_over(source) else shutil.copyfile)(source, self.temporary)

    def take_permissions(self, source: Path) -> None:
        """Where the file replaces its source, keep the source's permissions."""
        if self._is_over(source):
            with images.writing(self.path):
                shutil.copymode(source, self.temporary)

    def _is_over(self, source: Path) -> bool:
        return self.path.exists() and self.path.samefile(source)


class ImageWriter(Writer):
    """An image file of one page."""

    def __init__(self, path: str | Path, kind: str):
        super().__init__(path)
        self.kind = kind

    def _add(self, sheet: Sheet) -> None:
        self.sheet = sheet

    def finish(self) -> None:
        with images.writing(self.path):
            images.save(self.temporary, self.sheet.image, self.kind, self.sheet.metadata)


class TiffWriter(Writer):
    """A TIFF of any number of pages. Pillow's own `save_all` would want all of them at once."""

    def __enter__(self) -> TiffWriter:
        super().__enter__()
        self.file = TiffImagePlugin.AppendingTiffWriter(self.temporary, new=True)
        self.stack.callback(self._close)
        return self

    def _add(self, sheet: Sheet) -> None:
        images.save(self.file, sheet.image, "TIFF", sheet.metadata)
        self.file.newFrame()

    def finish(self) -> None:
        with images.writing(self.path):
            self._close()

    def copy(self, source: Path) -> None:
        self.finish()  # or its last words would go into the copy
        super().copy(source)

    def _close(self) -> None:
        if not self.file.f.closed:
            self.file.close()


class PdfWriter(Writer):
    """A PDF made anew, in which nothing of an erased page lingers: pictures, and pages of `source` as they were.

    Pictures wait in one temporary file, encoded, until the end; so does the import of pages, which then share
    their fonts.
    """

    def __init__(self, path: str | Path, source: Document):
        super().__init__(path)
        self.source = source if isinstance(source, PdfFile) else None
        self.plan: list[int | tuple[tuple[float, float], _Part]] = []  # index in the source, or points and JPEG

    def __enter__(self) -> PdfWriter:
        super().__enter__()
        self.spool = self.stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))
        return self

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        if self.source and self._can_import(index):
            self.plan.append(index)
            return "itself"
        return super().keep(index, sheet)

    def _can_import(self, index: int) -> bool:
        import pypdfium2

        trial = pypdfium2.PdfDocument.new()
        try:
            trial.import_pages(self.source.pdf, [index])
            return len(trial) == 1
        except pypdfium2.PdfiumError:
            return False
        finally:
            trial.close()

    def _add(self, sheet: Sheet) -> None:
        jpeg = io.BytesIO()
        images.save(jpeg, sheet.image, "JPEG", Metadata(grey=sheet.metadata.grey, icc=sheet.metadata.icc))
        start = self.spool.seek(0, io.SEEK_END)
        self.spool.write(jpeg.getbuffer())
        self.plan.append((sheet.points or _points(sheet), _Part(self.spool, start, jpeg.tell())))

    def finish(self) -> None:
        import pypdfium2

        with images.writing(self.path):
            pdf = pypdfium2.PdfDocument.new()
            try:
                self._compose(pdf)
                sink = _Sink(self.temporary)
                pdf.save(sink)
                sink.close()
            except pypdfium2.PdfiumError as error:
                raise ValueError(error) from error
            finally:
                pdf.close()

    def _compose(self, pdf: pypdfium2.PdfDocument) -> None:
        import pypdfium2

        if kept := [entry for entry in self.plan if isinstance(entry, int)]:
            pdf.import_pages(self.source.pdf, kept)
        for index, entry in enumerate(self.plan):
            if isinstance(entry, int):
                continue
            points, jpeg = entry
            page = pdf.new_page(*points, index)
            picture = pypdfium2.PdfImage.new(pdf)
            picture.load_jpeg(jpeg)
            picture.set_matrix(pypdfium2.PdfMatrix().scale(*points))
            page.insert_obj(picture)
            page.gen_content()
            page.close()


def new_document(path: str | Path, kind: str, source: Document) -> Writer:
    """What writes `path` as a document of a kind. source: where pages to be kept as they were come from."""
    if kind == "PDF":
        return PdfWriter(path, source)
    return TiffWriter(path) if kind == "TIFF" else ImageWriter(path, kind)


class _Part(io.RawIOBase):
    """A part of an opened file as a file of its own, for reading."""

    def __init__(self, file: io.IOBase, start: int, size: int):
        self.file, self.start, self.size, self.place = file, start, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self.place)]
        self.file.seek(self.start + self.place)
        count = self.file.readinto(view)
        self.place += count
        return count


class _Sink:
    """A file to write to that holds its error back until `close`: PDFium's callbacks would lose it."""

    def __init__(self, path: Path):
        self.file, self.error = open(path, "wb"), None

    def write(self, block: bytes) -> None:
        try:
            if not self.error:
                self.file.write(block)
        except OSError as error:
            self.error = error

    def close(self) -> None:
        try:
            self.file.close()
        except OSError as error:
            self.error = self.error or error
        if self.error:
            raise self.error


def _image_file(path: Path) -> ImageFile:
    image = images.open_image(path)
    try:
        return ImageFile(path, image)
    except BaseException:
        image.close()
        raise


def _page(index: int, count: int) -> str:
    return f", page {index + 1}," if count > 1 else ""


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
    deep = image.mode[0] in "IF" or any(";16" in str(tile) for tile in image.tile)
    known = {"16 bits a channel became 8": deep, "transparent pixels became white": image.has_transparency_data}
    known |= {f"{image.mode} became RGB": image.mode in ("CMYK", "LAB", "YCbCr", "HSV")}
    return tuple(loss for loss, happens in known.items() if happens)


def _is_grey(image: np.ndarray) -> bool:
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _draw(page: pypdfium2.PdfPage, has_forms: bool) -> pypdfium2.PdfBitmap:
    """Draw a page as RGB: a scan pixel for pixel, another at the density of its main picture, or at 200 dpi."""
    width, height = page.get_size()
    pixels, share = main_picture(page)
    for across, down in (pixels, pixels[::-1]):  # the page may be turned
        fits = math.isclose(across / width, down / height, rel_tol=0.02)
        if share > 0.99 and fits and across * down <= MAX_PIXELS and not has_forms:
            return _draw_scan(page, across, down)
    scale = math.sqrt(math.prod(pixels) / (share * width * height)) if share >= 0.5 else DPI / INCH
    scale = min(scale, math.sqrt(MAX_PIXELS / (width * height)))
    return page.render(scale=scale, rev_byteorder=True)


def main_picture(page: pypdfium2.PdfPage) -> tuple[tuple[int, int], float]:
    """Size in pixels of the picture that covers most of a page, as it is stored, and the share it covers."""
    import pypdfium2.raw

    pictures = [((0, 0), 0.0)]
    width, height = page.get_size()
    for picture in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        pictures.append((picture.get_px_size(), (right - left) * (top - bottom) / (width * height)))
    return max((each for each in pictures if each[0] == (0, 0) or all(each[0])), key=lambda each: each[1])


def _draw_scan(page: pypdfium2.PdfPage, width: int, height: int) -> pypdfium2.PdfBitmap:
    """Draw a page that one picture of this size fills. PDFium widens what ends a millionth behind a pixel to the
    next one, and blurs the scan by that: so all is drawn 1/200 pixel inside the edges.
    """
    import pypdfium2
    import pypdfium2.raw as raw

    bitmap = pypdfium2.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGR, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    across, down = ((count - 2 * EDGE) / side for count, side in zip((width, height), page.get_size()))
    matrix = pypdfium2.PdfMatrix(across, 0, 0, down, EDGE, EDGE).to_raw()
    whole = raw.FS_RECTF(0, 0, width, height)
    flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
    raw.FPDF_RenderPageBitmapWithMatrix(bitmap, page, matrix, whole, flags)
    return bitmap


def _points(sheet: Sheet) -> tuple[float, float]:
    """The (width, height) in points that a picture has on paper."""
    height, width = sheet.image.shape[:2]
    across, down = sheet.metadata.dpi or (DPI, DPI)
    return width / across * INCH, height / down * INCH
