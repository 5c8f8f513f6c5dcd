"""Annotations of a PDF's page: what is laid on it, handwriting among it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dehw.files.pdf import layers

if TYPE_CHECKING:
    import pikepdf

    from dehw.files.sheet import Sheet

IN_FRONT = ("/Link", "/Widget", "/Popup")  # are no part of a page's picture, or work in front of it


def is_drawn(note: pikepdf.Object) -> bool:
    """Whether an annotation is drawn as a part of the page's picture."""
    return note.get("/Subtype") not in IN_FRONT


def drop(page: pikepdf.Page, unwanted: Callable[[pikepdf.Object], bool]) -> int:
    """Remove annotations and their pop-ups; returns how many. They are emptied, as others may name them too."""
    import pikepdf

    notes = list(page.obj.get("/Annots", []))
    dropped = [note for note in notes if isinstance(note, pikepdf.Dictionary) and unwanted(note)]
    popups = [note.Popup for note in dropped if "/Popup" in note]
    gone = [*dropped, *popups]
    if gone:
        page.obj.Annots = pikepdf.Array([note for note in notes if not any(note == each for each in gone)])
    for note in gone:
        for key in list(note.keys()):
            del note[key]
    return len(dropped)


def bare_fields(page: pikepdf.Page, sheet: Sheet) -> None:
    """Remove how form fields look which the mask touches, as a signature; the fields stay."""
    at = layers.frame(page)
    for note in page.obj.get("/Annots", []):
        if note.get("/Subtype") == "/Widget" and "/AP" in note and sheet.mask is not None:
            left, top, right, bottom = _place(note, at, sheet)
            if sheet.mask[top:bottom, left:right].any():
                del note["/AP"]


def _place(note: pikepdf.Object, at: layers.Frame, sheet: Sheet) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an annotation in pixels."""
    height, width = sheet.image.shape[:2]
    return layers.on_page([float(side) for side in note.Rect], at, (width, height))


def drop_inks(page: pikepdf.Page, sheet: Sheet) -> None:
    """Remove the Ink annotations but those of which a part is spared."""
    at = layers.frame(page)

    def unwanted(note: pikepdf.Object) -> bool:
        if note.get("/Subtype") != "/Ink" or sheet.spared is None:
            return note.get("/Subtype") == "/Ink"
        left, top, right, bottom = _place(note, at, sheet)
        return not sheet.spared[top:bottom, left:right].any()

    if sheet.inked is not None:
        drop(page, unwanted)
