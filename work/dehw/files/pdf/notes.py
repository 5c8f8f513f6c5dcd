"""Annotations of a PDF's page: what is laid on it, handwriting among it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dehw.files.pdf import layers

if TYPE_CHECKING:
    import pikepdf

    from dehw.files.sheet import Sheet

IN_FRONT = ("/Link", "/Widget", "/Popup")  # are no part of a page's picture, or work in front of it
ICONS = ("/I", "/RI", "/IX")  # of buttons, which people fill with pictures
PINNED = "/FileAttachment"  # drawn, but what it holds is kept


def is_drawn(note: pikepdf.Object) -> bool:
    """Whether an annotation is drawn as a part of the page's picture."""
    return note.get("/Subtype") not in IN_FRONT


def found(page: pikepdf.Page) -> list[pikepdf.Object]:
    """The annotations of a page; others name them by their place here."""
    import pikepdf

    notes = page.obj.get("/Annots")
    return [note for note in notes if isinstance(note, pikepdf.Dictionary)] if isinstance(notes, pikepdf.Array) else []


def drawn_by(note: pikepdf.Object) -> set[tuple[int, int]]:
    """The numbers of all objects in how an annotation looks."""
    import pikepdf

    seen: set[tuple[int, int]] = set()
    nodes = [note.get("/AP"), note.get("/MK")]
    while nodes:
        node = nodes.pop()
        if isinstance(node, pikepdf.Array):
            nodes += list(node)
        elif isinstance(node, (pikepdf.Dictionary, pikepdf.Stream)) and (
            not node.is_indirect or node.objgen not in seen
        ):
            seen.add(node.objgen)
            nodes += [value for key, value in node.items() if key != "/Parent"]
    return seen


def drop(page: pikepdf.Page, numbers: Collection[int]) -> None:
    """Remove annotations and their pop-ups. They are emptied, as others may name them too."""
    import pikepdf

    notes = found(page)
    dropped = [notes[number] for number in numbers]
    gone = [*dropped, *(note.Popup for note in dropped if "/Popup" in note)]
    if gone:
        page.obj.Annots = pikepdf.Array([note for note in notes if not any(note == each for each in gone)])
    for note in gone:
        for key in list(note.keys()):
            del note[key]


def bare(page: pikepdf.Page, numbers: Collection[int]) -> None:
    """Remove how form fields look; the fields stay."""
    notes = found(page)
    for number in numbers:
        note = notes[number]
        for holder, key in [(note, "/AP"), *((note.get("/MK", {}), icon) for icon in ICONS)]:
            if key in holder:
                del holder[key]


def touched_fields(page: pikepdf.Page, sheet: Sheet) -> tuple[int, ...]:
    """The form fields that the mask touches, as a signature."""
    at = layers.frame(page)

    def touched(note: pikepdf.Object) -> bool:
        if note.get("/Subtype") != "/Widget" or "/AP" not in note or sheet.mask is None:
            return False
        left, top, right, bottom = _place(note, at, sheet)
        return bool(sheet.mask[top:bottom, left:right].any())

    return tuple(number for number, note in enumerate(found(page)) if touched(note))


def touched(page: pikepdf.Page, sheet: Sheet) -> list[tuple[slice, slice]]:
    """Where annotations and form fields that are seen lie, in pixels: those that the mask touches."""
    assert sheet.mask is not None
    at = layers.frame(page)
    seen = (note for note in found(page) if "/Rect" in note and ("/AP" in note or is_drawn(note)))
    edges = (_place(note, at, sheet) for note in seen)
    places = [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in edges]
    return [place for place in places if sheet.mask[place].any()]


def show_fields(trial: pikepdf.Pdf, source: pikepdf.Pdf) -> None:
    """Have the form fields of the first page of a PDF drawn, as in the one that it was taken from."""
    import pikepdf

    fields = [note for note in found(trial.pages[0]) if note.get("/Subtype") == "/Widget"]
    if not fields or "/AcroForm" not in source.Root:  # without one, none is drawn
        return
    form = source.Root.AcroForm
    look = pikepdf.Dictionary({key: form[key] for key in ("/DR", "/DA", "/NeedAppearances") if key in form})
    trial.Root.AcroForm = trial.copy_foreign(source.make_indirect(look))
    trial.Root.AcroForm.Fields = pikepdf.Array(fields)


def inks(page: pikepdf.Page, sheet: Sheet) -> tuple[int, ...]:
    """The Ink annotations that go: all but those of which a part is spared."""
    at = layers.frame(page)

    def unwanted(note: pikepdf.Object) -> bool:
        if note.get("/Subtype") != "/Ink" or sheet.spared is None:
            return note.get("/Subtype") == "/Ink"
        left, top, right, bottom = _place(note, at, sheet)
        return not sheet.spared[top:bottom, left:right].any()

    if sheet.inked is None:
        return ()
    return tuple(number for number, note in enumerate(found(page)) if unwanted(note))


def _place(note: pikepdf.Object, at: layers.Frame, sheet: Sheet) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an annotation in pixels."""
    height, width = sheet.image.shape[:2]
    return layers.on_page([float(side) for side in note.Rect], at, (width, height))
