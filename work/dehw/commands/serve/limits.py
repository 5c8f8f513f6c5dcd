"""What a visitor of the web page may ask for, held against a file before any of its pixels are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.errors import InputError

if TYPE_CHECKING:
    from dehw.files.documents import Document, ImageFile

REMEDY = "`dehw erase` has no such limit, and `dehw serve --help` tells how to raise it."


@dataclass(frozen=True)
class Limits:
    """megabytes: of a file. megapixels: of a page. pages: open at once. queue: visitors that wait for their turn.

    visitor_megabytes, all_megabytes: of files on disk, a visitor's and all visitors', results included.
    """

    megabytes: int = 100
    megapixels: int = 40
    pages: int = 50
    queue: int = 20
    visitor_megabytes: int = 2_000
    all_megabytes: int = 10_000

    def check(self, path: Path, already: int) -> None:
        """Whether a document may be opened beside so many pages. Raises InputError, and PageError for damage."""
        from dehw.files import documents

        with documents.open_document(path) as document:
            if already + document.count > self.pages:
                beside = f" and {already} are open already" if already else ""
                raise InputError(
                    f"{path.name} has {document.count} pages{beside}; {self.pages} may be open at once here. "
                    f"Take fewer at a time. {REMEDY}"
                )
            most = max(_sizes(document)) / 1e6
        if most > self.megapixels:
            raise InputError(
                f"{path.name} has a page of {most:.0f} megapixels; {self.megapixels} are allowed here. "
                f"Scan it at a lower resolution. {REMEDY}"
            )


def _sizes(document: Document) -> Iterator[int]:
    """The `area` of each page as it would be decoded; 0 where that cannot be told, which reading will explain."""
    from dehw.files.documents import PdfFile

    for index in range(document.count):
        try:
            yield document.pixels(index) if isinstance(document, PdfFile) else _image_size(document, index)
        except Exception:  # damage makes decoders raise nearly anything
            yield 0


def _image_size(document: ImageFile, index: int) -> int:
    from dehw.files import images

    if document.kind == "TIFF":
        document.image.seek(document.frames[index])
    return images.area(*document.image.size)
