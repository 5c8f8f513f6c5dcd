"""PDFs written: the pages of one that exists, of which the erased ones are changed, or pictures in a new one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.files import images
from dehw.files.atomic import temporary_prefix
from dehw.files.pdf import encode, layers, mend, notes, repaint
from dehw.files.pdf.encode import Encoded, Spool
from dehw.files.sheet import DPI, INCH, DocumentWriter, Kept, Sheet

if TYPE_CHECKING:
    import pikepdf
    from typing_extensions import Self

    from dehw.files.pdf.read import PdfFile

NOT_SHOWN = ("/Thumb", "/PieceInfo")  # of a page: a preview, and what its program keeps of it, show the handwriting too


class PdfWriter(DocumentWriter):
    """A PDF with everything of `source` but what its erased pages lose. It is written whole, not as an update:
    what no page shows any more is not in it. New pictures wait on disk, encoded, until the end.
    """

    def __init__(self, path: str | Path, source: PdfFile | None):
        super().__init__(path)
        self.source, self.count = source, 0

    def __enter__(self) -> Self:
        import pikepdf

        super().__enter__()
        with images.writing(self.path):
            self.spool = Spool(self.path.parent)
        self.stack.callback(self.spool.close)
        self.pdf = mend.opened(self.source.path, self.source.pdf) if self.source else pikepdf.new()
        self.stack.callback(self.pdf.close)
        return self

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        if self.source is None:
            return super().keep(index, sheet)
        self.count += 1
        return "itself" if sheet or mend.can_import(self.source.pdf, index) else "empty"

    def _add(self, sheet: Sheet) -> tuple[str, ...]:
        index, self.count = self.count, self.count + 1
        if self.source is None:
            self._new_page(sheet.points or _points(sheet))
            self._flatten(self.pdf.pages[index], sheet)
            return ()
        page = self.pdf.pages[index]
        for key in NOT_SHOWN:
            if key in page.obj:
                del page.obj[key]
        notes.drop_inks(page, sheet)
        if sheet.mask is not None and not sheet.mask.any():
            return ()
        change = repaint.plan(self.source, index, page, sheet)
        if change is None:
            return self._flatten(page, sheet)
        repaint.apply(self.pdf, page, change, self._wait)
        return change.losses

    def finish(self) -> None:
        import pikepdf

        with (
            images.writing(self.path),
            tempfile.TemporaryDirectory(dir=self.path.parent, prefix=temporary_prefix()) as folder,
        ):
            try:
                self.pdf.remove_unreferenced_resources()  # pages may share a list of pictures that names the old ones
                draft = Path(folder, "draft.pdf")
                self.pdf.save(
                    draft,
                    object_stream_mode=pikepdf.ObjectStreamMode.disable,
                    compress_streams=False,
                    stream_decode_level=pikepdf.StreamDecodeLevel.none,
                )
                self.spool.fill(draft)
                with pikepdf.open(draft, access_mode=pikepdf.AccessMode.stream) as whole:
                    with open(self.temporary, "wb") as file:
                        whole.save(file, object_stream_mode=pikepdf.ObjectStreamMode.generate)
            except pikepdf.PdfError as error:
                raise ValueError(error) from error

    def _new_page(self, points: tuple[float, float]) -> None:
        import pikepdf

        box = pikepdf.Array([0, 0, *points])
        self.pdf.pages.append(pikepdf.Page(pikepdf.Dictionary(Type=pikepdf.Name("/Page"), MediaBox=box)))

    def _wait(self, holder: pikepdf.Object, key: str, picture: Encoded) -> None:
        """Put a picture into a dictionary whose data waits."""
        holder[key] = self.spool.add(self.pdf, picture)

    def _flatten(self, page: pikepdf.Page, sheet: Sheet) -> tuple[str, ...]:
        """Make a page a picture of itself; returns what is lost."""
        lost = {"its text can no longer be selected": _has_text(page)}
        picture = encode.picture(sheet.shown, sheet.metadata)
        repaint.apply(self.pdf, page, repaint.whole(layers.frame(page), picture), self._wait)
        notes.bare_fields(page, sheet)
        lost["its notes became part of its picture"] = bool(notes.drop(page, notes.is_drawn))
        return tuple(loss for loss, happens in lost.items() if happens)


def _has_text(page: pikepdf.Page) -> bool:
    try:
        found = layers.layers(page)
    except MemoryError:
        raise
    except Exception:  # see PdfFile.look
        return True
    return found.text or found.hidden


def _points(sheet: Sheet) -> tuple[float, float]:
    """The (width, height) in points that a picture has on paper."""
    height, width = sheet.shown.shape[:2]
    across, down = sheet.metadata.dpi or (DPI, DPI)
    return width / across * INCH, height / down * INCH
