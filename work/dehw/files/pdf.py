"""PDFs: pages drawn as pictures, and new PDFs of pictures and of pages as they were."""

from __future__ import annotations

import io
import math
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from dehw.files import images
from dehw.files.images import Metadata
from dehw.files.sheet import DPI, INCH, DocumentWriter, Kept, Sheet, page_name

if TYPE_CHECKING:
    import pypdfium2
    from _typeshed import WriteableBuffer
    from typing_extensions import Self

MAX_PIXELS = 80_000_000  # of a page, 240 MB: what asks for more is shown smaller
EDGE = 0.005  # pixels, see _draw_scan
REOPEN = 16  # pages read before a PDF is opened anew, because PDFium keeps the contents of every page it has seen


class PdfFile:
    """An opened PDF. A page is drawn at its scan's own pixels; one that is no scan, at 200 dpi."""

    kind = "PDF"

    def __init__(self, path: Path):
        self.path, self.seen = path, 0
        self.pdf = self._opened()
        self.count = len(self.pdf)
        if not self.count:
            raise ValueError("it has no pages")

    def read(self, index: int) -> Sheet:
        """Draw a page by its index from 0. Raises PageError."""
        with images.reading(page_name(self.path, index, self.count)):
            self.seen += 1
            if self.seen % REOPEN == 0:
                self.pdf.close()
                self.pdf = self._opened()
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

    def _opened(self) -> pypdfium2.PdfDocument:
        import pypdfium2

        pdf = pypdfium2.PdfDocument(self.path)
        pdf.init_forms()  # or filled-in forms would not be drawn
        return pdf


class PdfWriter(DocumentWriter):
    """A PDF made anew, in which nothing of an erased page lingers: pictures, and pages of `source` as they were.

    Pictures wait in one temporary file, encoded, until the end; so does the import of pages, which then share
    their fonts.
    """

    def __init__(self, path: str | Path, source: PdfFile | None):
        super().__init__(path)
        self.source = source
        self.plan: list[int | tuple[tuple[float, float], _Part]] = []  # index in the source, or points and JPEG

    def __enter__(self) -> Self:
        super().__enter__()
        self.spool = self.stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))
        return self

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        if self.source and _can_import(self.source.pdf, index):
            self.plan.append(index)
            return "itself"
        return super().keep(index, sheet)

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

        kept = [entry for entry in self.plan if isinstance(entry, int)]
        if self.source and kept:
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


def _can_import(pdf: pypdfium2.PdfDocument, index: int) -> bool:
    import pypdfium2

    trial = pypdfium2.PdfDocument.new()
    try:
        trial.import_pages(pdf, [index])
        return len(trial) == 1
    except pypdfium2.PdfiumError:
        return False
    finally:
        trial.close()


class _Part(io.RawIOBase):
    """A part of an opened file as a file of its own, for reading."""

    def __init__(self, file: IO[bytes], start: int, size: int):
        self.file, self.start, self.size, self.place = file, start, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        self.file.seek(self.start + self.place)
        block = self.file.read(min(len(view), max(0, self.size - self.place)))
        view[: len(block)] = block
        self.place += len(block)
        return len(block)


class _Sink:
    """A file to write to that holds its error back until `close`: PDFium's callbacks would lose it."""

    def __init__(self, path: Path):
        self.file = open(path, "wb")
        self.error: OSError | None = None

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
