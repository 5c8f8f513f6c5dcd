"""Annotations of a PDF's page: what is laid on it, handwriting among it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from dehw.files.pdf import layers

if TYPE_CHECKING:
    import numpy as np
    import pikepdf

    from dehw.files.sheet import Sheet

IN_FRONT = ("/Link", "/Widget", "/Popup")  # are no part of a page's picture, or work in front of it
LABELS = ("/I", "/RI", "/IX", "/CA", "/RC", "/AC")  # of buttons, which people fill with pictures, and words on them
FILLED = {"/V", "/RV", "/DV", "/I", "/AS"}  # what is filled into a field, or chosen
NESTED = 32  # fields within fields: a damaged form may be a ring
PINNED = "/FileAttachment"  # drawn, but what it holds is kept
INK = "/Ink"
LINES = ("/Line", "/PolyLine", "/Polygon")
# Drawn, as lines are, where the file says not how. Others show then but what their viewer makes up, such as a stamp.
PLAIN = (INK, "/Circle", "/FreeText", "/Highlight", "/Square", "/Squiggly", "/StrikeOut", "/Text", "/Underline")
HIDDEN, NO_VIEW = 2, 32  # flags of annotations that are not shown: nowhere, and not on screens
UNSEEN = HIDDEN | NO_VIEW


def is_drawn(note: pikepdf.Object) -> bool:
    """Whether an annotation is drawn as a part of the page's picture."""
    kind = note.get("/Subtype")
    return kind not in IN_FRONT and ("/AP" in note or kind in PLAIN or kind in LINES)


def is_field(note: pikepdf.Object) -> bool:
    """Whether an annotation is a field of a form."""
    return note.get("/Subtype") == "/Widget"


def can_go(note: pikepdf.Object) -> bool:
    """Whether an annotation is nothing but what is drawn of it."""
    return is_drawn(note) and note.get("/Subtype") != PINNED


def found(page: pikepdf.Page) -> list[pikepdf.Object]:
    """The annotations of a page; others name them by their place here."""
    import pikepdf

    notes = page.obj.get("/Annots")
    return [note for note in notes if isinstance(note, pikepdf.Dictionary)] if isinstance(notes, pikepdf.Array) else []


def in_array(page: pikepdf.Page) -> list[int]:
    """The same by their places in the page's array, where there is more than annotations in damaged files."""
    import pikepdf

    notes = page.obj.Annots if found(page) else ()
    return [number for number, note in enumerate(notes) if isinstance(note, pikepdf.Dictionary)]


def looks(page: pikepdf.Page, pdf: pikepdf.Pdf) -> Iterator[tuple[int, pikepdf.Object, np.ndarray]]:
    """How annotations and form fields look that are seen, but no Ink ones: each with its place, and its matrix, (3, 3),
    to the page's space. pdf: for looks that the file does not hold.
    """
    import pikepdf

    for number, note in enumerate(found(page)):
        with suppress(pikepdf.PdfError, ValueError, TypeError, KeyError, AttributeError, IndexError):  # of damaged ones
            if note.Subtype == INK or int(note.get("/F", 0)) & UNSEEN:
                continue
            look = note.get("/AP", {}).get("/N")
            if isinstance(look, pikepdf.Dictionary):
                look = look.get(str(note.get("/AS", "/Off")))
            elif look is None and note.Subtype in LINES:
                look = pdf.make_stream(_line(note), BBox=note.Rect)
            if isinstance(look, pikepdf.Stream):
                yield number, look, layers.filling(look, [float(side) for side in note.Rect])


def pictures(page: pikepdf.Page, pdf: pikepdf.Pdf) -> list[tuple[int, layers.Picture]]:
    """The pictures in `looks`, each with the place of its annotation."""
    shown: list[tuple[int, layers.Picture]] = []
    for number, form, ctm in looks(page, pdf):
        try:
            found = layers.inside(form, ctm)
            shown += [(number, picture) for picture in found.pictures + found.means]
        except MemoryError:
            raise
        except Exception:  # a damaged one, which raises nearly anything
            continue
    return shown


def plain_lines(page: pikepdf.Page) -> dict[int, bytes]:
    """How lines look of which the file says but where they are, as some programs write what is drawn by hand: viewers
    draw them by themselves, PDFium does not. By their places in the page's array.
    """
    import pikepdf

    looks: dict[int, bytes] = {}
    for number, note in enumerate(page.obj.Annots if found(page) else ()):
        if isinstance(note, pikepdf.Dictionary) and note.get("/Subtype") in LINES and "/AP" not in note:
            with suppress(ValueError, TypeError, IndexError, AttributeError):  # of a damaged one
                looks[number] = _line(note)
    return looks


def show_lines(pdf: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Have such lines of a page drawn, as read.Source does."""
    import pikepdf

    for number, look in plain_lines(page).items():
        note = page.obj.Annots[number]
        form = pdf.make_stream(look, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=note.Rect)
        state = pikepdf.Dictionary(ca=note.get("/CA", 1), CA=note.get("/CA", 1))
        form.Resources = pikepdf.Dictionary(ExtGState=pikepdf.Dictionary(GS=state))
        note.AP = pikepdf.Dictionary(N=form)


def _line(note: pikepdf.Object) -> bytes:
    """What draws a line, or a row of them, as a form of its own."""
    numbers = [float(each) for each in note.get("/L", note.get("/Vertices", ()))]
    corners = " l ".join(f"{x:.3f} {y:.3f}" for x, y in zip(numbers[::2], numbers[1::2])).replace(" l ", " m ", 1)
    colour = " ".join(f"{float(each):.3f}" for each in note.get("/C", ())) or "0"
    width = note.BS.get("/W", 1) if "/BS" in note else [*note.get("/Border", (0, 0, 1))][2]
    how = {1: "G", 3: "RG", 4: "K"}.get(colour.count(" ") + 1, "G")
    end = "s" if note.Subtype == "/Polygon" else "S"
    return f"/GS gs {colour} {how} {float(width):.3f} w 1 J 1 j {corners} l {end}".encode()


def pen(note: pikepdf.Object) -> tuple[str, ...]:
    """With what a line, or a row of them, is drawn; nothing for other annotations."""
    if note.get("/Subtype") not in LINES:
        return ()
    return str(note.Subtype), str(list(note.get("/C", ()))), str(note.get("/BS", {}).get("/W", 1))


def drawn_by(note: pikepdf.Object) -> dict[tuple[int, int], pikepdf.Object]:
    """All objects in how an annotation looks, by their numbers in the file."""
    import pikepdf

    seen: dict[tuple[int, int], pikepdf.Object] = {}
    nodes = [note.get("/AP"), note.get("/MK")]
    while nodes:
        node = nodes.pop()
        if isinstance(node, pikepdf.Array):
            nodes += list(node)
        elif isinstance(node, (pikepdf.Dictionary, pikepdf.Stream)) and (
            not node.is_indirect or node.objgen not in seen
        ):
            seen[node.objgen] = node
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
    """Remove how form fields look, and what is filled in, which viewers draw anew; the fields stay."""
    notes = found(page)
    for number in numbers:
        note = notes[number]
        for holder, key in [(note, "/AP"), *((note.get("/MK", {}), label) for label in LABELS)]:
            if key in holder:
                del holder[key]
        for node in _with_parents(note):
            for key in FILLED & set(node.keys()):
                del node[key]


def hide(annotations: Iterable[pikepdf.Object]) -> None:
    """Have annotations and fields not drawn."""
    for note in annotations:
        note.F = HIDDEN


def is_filled(page: pikepdf.Page, numbers: Collection[int]) -> bool:
    """Whether something is filled into any of some form fields."""
    notes = found(page)
    return any("/V" in node for number in numbers for node in _with_parents(notes[number]))


def _with_parents(field: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """A form's field, and those that it is a part of."""
    for _ in range(NESTED):
        yield field
        if "/Parent" not in field:
            break
        field = field.Parent


def touched(page: pikepdf.Page, sheet: Sheet) -> dict[int, tuple[slice, slice]]:
    """Where annotations and form fields that are seen lie, in pixels: those that the mask touches."""
    assert sheet.mask is not None
    at = layers.frame(page)
    places: dict[int, tuple[slice, slice]] = {}
    for number, note in enumerate(found(page)):
        if "/Rect" in note and ("/AP" in note or is_drawn(note) or is_field(note)):
            left, top, right, bottom = _place(note, at, sheet)
            places[number] = slice(top, bottom), slice(left, right)
    return {number: place for number, place in places.items() if sheet.mask[place].any()}


def show_fields(trial: pikepdf.Pdf, source: pikepdf.Pdf) -> None:
    """Have the form fields of the first page of a PDF drawn, as in the one that it was taken from."""
    import pikepdf

    fields = [note for note in found(trial.pages[0]) if is_field(note)]
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
        if note.get("/Subtype") != INK or sheet.spared is None:
            return note.get("/Subtype") == INK
        left, top, right, bottom = _place(note, at, sheet)
        return not sheet.spared[top:bottom, left:right].any()

    if sheet.inked is None:
        return ()
    return tuple(number for number, note in enumerate(found(page)) if unwanted(note))


def places(page: pikepdf.Page, sheet: Sheet, numbers: Collection[int]) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of some annotations in pixels."""
    all_notes, at = found(page), layers.frame(page)
    return [_place(all_notes[number], at, sheet) for number in numbers]


def _place(note: pikepdf.Object, at: layers.Frame, sheet: Sheet) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an annotation in pixels."""
    height, width = sheet.image.shape[:2]
    return layers.on_page([float(side) for side in note.Rect], at, (width, height))
