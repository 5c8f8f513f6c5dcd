"""PDFs whose pages are damaged, opened with an empty page for each of these."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.files.sheet import A4
from dehw.files.worker.limits import PAGES

if TYPE_CHECKING:
    import pikepdf
    import pypdfium2


def opened(path: Path, drawn: pypdfium2.PdfDocument) -> tuple[pikepdf.Pdf, bool]:
    """Open a PDF that PDFium, which bears more, has opened as `drawn`; with as many pages. Tells whether it was mended,
    so that only its pages are there.
    """
    import pikepdf

    try:
        pdf = pikepdf.open(path, access_mode=pikepdf.AccessMode.stream)  # a mapped file counts as memory
    except pikepdf.PdfError:
        return pikepdf.open(_copied(drawn)), True
    try:
        if len(pdf.pages) == len(drawn) or len(pdf.objects) < len(drawn):  # each page is an object: the rest is a lie
            return pdf, False
    except pikepdf.PdfError:
        pass
    except BaseException:
        pdf.close()
        raise
    pdf.close()
    return pikepdf.open(_copied(drawn)), True


def can_import(pdf: pypdfium2.PdfDocument, index: int) -> bool:
    """Whether a page can be taken over into another PDF."""
    import pypdfium2

    trial = pypdfium2.PdfDocument.new()
    try:
        trial.import_pages(pdf, [index])
        return len(trial) == 1
    except pypdfium2.PdfiumError:
        return False
    finally:
        trial.close()


def _copied(drawn: pypdfium2.PdfDocument) -> io.BytesIO:
    """The pages of a PDF in a new one, as PDFium writes it."""
    import pypdfium2

    if len(drawn) > PAGES.value:
        raise ValueError(f"it has {len(drawn)} pages, of {PAGES.value} at most ({PAGES.variable})")
    new = pypdfium2.PdfDocument.new()
    whole = [index for index in range(len(drawn)) if can_import(drawn, index)]
    if whole:
        new.import_pages(drawn, whole)
    for index in sorted(set(range(len(drawn))) - set(whole)):
        size = new[index - 1].get_size() if index else A4
        new.new_page(*size, index).close()
    file = io.BytesIO()
    new.save(file)
    new.close()
    file.seek(0)
    return file
