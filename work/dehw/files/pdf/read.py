"""PDFs opened, and their pages drawn as pictures: in the worker, see dehw.files.pdf.document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dehw.files.images import Metadata
from dehw.files.pdf import layers, mend, notes
from dehw.files.pdf.layers import Frame, Layers
from dehw.files.pdf.notes import HIDDEN
from dehw.files.sheet import INCH, Sheet
from dehw.files.worker.limits import PAGES

if TYPE_CHECKING:
    import pypdfium2

EDGE = 0.005  # pixels, see _draw_exactly
REOPEN = 8  # pages read before a PDF is opened anew, because PDFium keeps the contents of every page it has seen
PAINTED = 40  # levels by which a page has to differ where an annotation paints
NO_PAGES = "it has no pages"
LOCKED = "it is locked by a password, and has to be saved without one"


@dataclass(frozen=True)
class Look:
    """What a page is made of and how it is shown. size: (width, height) in pixels; exact: its pictures' own."""

    layers: Layers
    frame: Frame
    size: tuple[int, int]
    exact: bool


class Source:
    """An opened PDF, as PDFium draws it and as qpdf takes it apart. Only the worker opens any."""

    def __init__(self, path: Path):
        self.path, self.seen = path, 0
        self.pdf = _opened(path)
        try:
            self.content, self.is_mended = mend.opened(path, self.pdf)
        except BaseException:
            self.pdf.close()
            raise
        self.count = len(self.content.pages)

    def read(self, index: int) -> Sheet:
        """Draw a page by its index from 0, without its Ink annotations. Raises what its decoders raise."""
        self.seen += 1
        if self.seen % REOPEN == 0:
            self.pdf.close()
            self.pdf = _opened(self.path)
        page = self.pdf[index]
        try:
            look = self.look(index)
            _show_lines(page, notes.plain_lines(self.content.pages[index]))
            inks = _flags(page, is_ink=True)
            inked = draw(self.pdf, page, look.size, look.exact) if inks else None
            _set_flags(page, {number: flags | HIDDEN for number, flags in inks.items()})
            image = draw(self.pdf, page, look.size, look.exact)
            _set_flags(page, inks)
            points = look.frame.points
            dpi = image.shape[1] / points[0] * INCH, image.shape[0] / points[1] * INCH
            grey = is_grey(image)
            about = Metadata(dpi, grey=grey, bilevel=grey and is_bilevel(image))
            return Sheet(image, about, points, inked=inked)
        finally:
            page.close()

    def shares(self, index: int, numbers: Sequence[int], mask: np.ndarray) -> dict[int, float]:
        """Of what annotations and fields paint, by their places among those of a page, the shares that lie in a mask,
        (H, W) bool.
        """
        if not numbers:
            return {}
        page, content = self.pdf[index], self.content.pages[index]
        size, exact = (mask.shape[1], mask.shape[0]), self.look(index).exact
        try:
            _show_lines(page, notes.plain_lines(content))
            flags, inks, places = _flags(page, False), _flags(page, True), notes.in_array(content)
            _set_flags(page, {number: flag | HIDDEN for number, flag in inks.items()})
            shown, shares = draw(self.pdf, page, size, exact), dict[int, float]()
            for number in numbers:
                place = places[number]
                _set_flags(page, {place: flags[place] | HIDDEN})
                painted = cv2.absdiff(shown, draw(self.pdf, page, size, exact)).max(2) > PAINTED
                _set_flags(page, {place: flags[place]})
                shares[number] = float(mask[painted].mean()) if painted.any() else 0.0
            _set_flags(page, inks)
            return shares
        finally:
            page.close()

    def look(self, index: int) -> Look:
        """Look at a page's content, without drawing it."""
        page = self.content.pages[index]
        at = layers.frame(page)
        try:
            found = layers.layers(page)
            found.drawn |= any(notes.is_drawn(note) for note in notes.found(page))
            found.noted = notes.pictures(page, self.content)
        except MemoryError:
            raise
        except Exception:  # damaged content raises nearly anything; PDFium draws what it can of it
            found = Layers(text=True)
        return Look(found, at, *layers.pixels(found, at))

    def close(self) -> None:
        self.pdf.close()
        self.content.close()


SOURCES: dict[Path, Source] = {}  # those that are open


def source(path: Path) -> Source:
    """The PDF at a path, which stays open until `close`."""
    if path not in SOURCES:
        SOURCES[path] = Source(path)
    return SOURCES[path]


def close(path: Path) -> None:
    """Close a PDF, if it is open."""
    if path in SOURCES:
        SOURCES.pop(path).close()


def count(path: Path) -> int:
    """How many pages a PDF has. Raises ValueError for none, and for more than are taken."""
    pages = source(path).count
    if not 0 < pages <= PAGES.value:
        close(path)
        raise ValueError(f"it has {pages} pages, of {PAGES.value} at most ({PAGES.variable})" if pages else NO_PAGES)
    return pages


def read(path: Path, index: int) -> Sheet:
    """See Source.read."""
    return source(path).read(index)


def pixels(path: Path, index: int) -> int:
    """The pixels of a page as it is drawn, or of its largest picture, where that has more."""
    look = source(path).look(index)
    return max(math.prod(look.size), *(math.prod(picture.size) for picture in look.layers.pictures), 0)


def at_density(path: Path, number: int, dpi: float) -> np.ndarray:
    """One page of a PDF, whichever remains of `number` divided by their count: (H, W, 3) uint8 RGB."""
    pdf = _opened(path)
    try:
        page = pdf[number % len(pdf)].render(scale=dpi / INCH).to_numpy()
    finally:
        pdf.close()
    return cv2.cvtColor(page, cv2.COLOR_BGR2RGB)


def draw(pdf: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, size: tuple[int, int], exact: bool) -> np.ndarray:
    """Draw a page as (H, W, 3) uint8 RGB at (width, height). exact: as _draw_exactly does."""
    import pypdfium2
    import pypdfium2.raw as raw

    bitmap = pypdfium2.PdfBitmap.new_native(*size, raw.FPDFBitmap_BGR, rev_byteorder=True)
    try:
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
        flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
        has_fields = any(_is_a(each, raw.FPDF_ANNOT_WIDGET) for each in _annotations(page))
        if exact and not has_fields:
            _draw_exactly(bitmap, page, size, flags)
        else:
            raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, *size, 0, flags)
            if pdf.formenv:
                raw.FPDF_FFLDraw(pdf.formenv, bitmap, page, 0, 0, *size, 0, flags)
        return np.array(bitmap.to_numpy()[..., :3])  # a copy: the bitmap's memory goes
    finally:
        bitmap.close()


def _draw_exactly(bitmap: pypdfium2.PdfBitmap, page: pypdfium2.PdfPage, size: tuple[int, int], flags: int) -> None:
    """Draw a page at the pixels of the picture that fills it. PDFium widens what ends a millionth behind a pixel to
    the next one, and blurs the scan by that: so all is drawn 1/200 pixel inside the edges.
    """
    import pypdfium2
    import pypdfium2.raw as raw

    across, down = ((count - 2 * EDGE) / side for count, side in zip(size, page.get_size()))
    matrix = pypdfium2.PdfMatrix(across, 0, 0, down, EDGE, EDGE).to_raw()
    raw.FPDF_RenderPageBitmapWithMatrix(bitmap, page, matrix, raw.FS_RECTF(0, 0, *size), flags)


def _opened(path: Path) -> pypdfium2.PdfDocument:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" not in str(error).lower():
            raise ValueError("damaged, or no PDF") from error
        raise ValueError(LOCKED) from error
    pdf.init_forms()  # or filled-in forms would not be drawn
    return pdf


def _annotations(page: pypdfium2.PdfPage) -> list:
    """The annotations of a page, to be closed."""
    import pypdfium2.raw as raw

    return [raw.FPDFPage_GetAnnot(page, index) for index in range(raw.FPDFPage_GetAnnotCount(page))]


def _is_a(annotation: object, kind: int) -> bool:
    import pypdfium2.raw as raw

    try:
        return bool(annotation) and raw.FPDFAnnot_GetSubtype(annotation) == kind
    finally:
        raw.FPDFPage_CloseAnnot(annotation)


def _show_lines(page: pypdfium2.PdfPage, looks: dict[int, bytes]) -> None:
    """Have annotations drawn that PDFium does not draw by itself, in memory; by their places."""
    import ctypes

    import pypdfium2.raw as raw

    for number, look in looks.items():
        annotation = raw.FPDFPage_GetAnnot(page, number)
        wide = (ctypes.c_ushort * (len(look) + 1))(*look)
        raw.FPDFAnnot_SetAP(annotation, raw.FPDF_ANNOT_APPEARANCEMODE_NORMAL, wide)
        raw.FPDFPage_CloseAnnot(annotation)


def _flags(page: pypdfium2.PdfPage, is_ink: bool) -> dict[int, int]:
    """The flags of a page's annotations, or of the Ink ones alone, by their places."""
    import pypdfium2.raw as raw

    flags: dict[int, int] = {}
    for number, annotation in enumerate(_annotations(page)):
        if not is_ink or raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_INK:
            flags[number] = raw.FPDFAnnot_GetFlags(annotation)
        raw.FPDFPage_CloseAnnot(annotation)
    return flags


def _set_flags(page: pypdfium2.PdfPage, flags: dict[int, int]) -> None:
    """Set flags of a page's annotations, in memory, by their places."""
    import pypdfium2.raw as raw

    for number, each in flags.items():
        annotation = raw.FPDFPage_GetAnnot(page, number)
        raw.FPDFAnnot_SetFlags(annotation, each)
        raw.FPDFPage_CloseAnnot(annotation)


def is_grey(image: np.ndarray) -> bool:
    """Whether an image, (H, W, 3) uint8, has no colour."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def is_bilevel(image: np.ndarray) -> bool:
    """Whether a grey page has but black and white."""
    return not cv2.calcHist([image], [0], None, [256], [0, 256])[1:255].any()
