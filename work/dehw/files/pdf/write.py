"""What changes of a PDF's pages, and PDFs put together: in the worker, see dehw.files.pdf.document."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.files.pdf import encode, layers, mend, notes, read, repaint, strokes, tags
from dehw.files.pdf.encode import Spool
from dehw.files.pdf.read import Source
from dehw.files.pdf.repaint import Change
from dehw.files.pdf.strokes import Laid
from dehw.files.pdf.tags import Marked
from dehw.files.pdf.text import TextLayers
from dehw.files.sheet import DPI, INCH, Sheet
from dehw.files.worker import wire

if TYPE_CHECKING:
    import pikepdf

# What is known of a page in the output: the file with its Change, or one of these.
AS_IT_WAS, EMPTY = "as it was", "empty"
FIELDS = 10_000  # of a form, that are looked through for a signature: a damaged one may be a ring


def change(path: Path, index: int, sheet: Sheet, file: Path) -> tuple[str, ...]:
    """Find out how a page of a PDF comes to show `sheet`, and write that Change to a file; returns what is lost."""
    source = read.source(path)
    page = source.content.pages[index]
    inks = notes.inks(page, sheet)
    if sheet.mask is not None and not sheet.mask.any():
        return _save(Change(gone=inks), sheet, file)
    laid = _laid(source, index, sheet, inks)
    planned = repaint.plan(source, index, sheet, laid)
    if planned:
        return _save(planned[0], sheet, file, planned[1])
    drawn = [number for number, note in enumerate(notes.found(page)) if notes.can_go(note) and number not in inks]
    bare = tuple({*_touched_fields(page, sheet)} - {*laid.typed})
    lost = {
        "its text can no longer be selected": _has_text(page),
        "its notes became part of its picture": drawn,
        "what is filled into fields with handwriting is but in its picture": notes.is_filled(page, bare),
    }
    flat = replace(_flat(page, sheet), gone=(*inks, *drawn), bare=bare)
    return _save(flat, sheet, file, tuple(loss for loss, happens in lost.items() if happens))


def flatten(path: Path, index: int, sheet: Sheet, file: Path) -> tuple[str, ...]:
    """The same of a page that cannot be looked into: it becomes a picture, and loses its annotations and fields."""
    page = read.source(path).content.pages[index]
    change = replace(_flat(page, sheet), emptied=True)
    return _save(change, sheet, file, ("it became a picture, without text, links and fields",))


def losses(path: Path) -> tuple[str, ...]:
    """What a PDF loses as a whole where a page of it is erased, a phrase each."""
    source = read.source(path)
    lost = {
        "the digital signature no longer holds, as it signs what is erased": _is_signed(source.content),
        "its form's XFA goes, which may tell what is erased; the form's fields stay": tags.has_xfa(source.content),
        "the file is damaged, and only its pages are kept, no outline, fields and attached files": source.is_mended,
    }
    return tuple(loss for loss, happens in lost.items() if happens)


def picture(sheet: Sheet, file: Path) -> tuple[str, ...]:
    """The same of a page that is new."""
    import pikepdf

    points = sheet.points or _points(sheet)
    with pikepdf.new() as pdf:
        return _save(replace(_flat(_new_page(pdf, points), sheet), points=points), sheet, file)


def can_stay(path: Path, index: int) -> bool:
    """Whether a page that cannot be drawn can be taken over as it is. Does with it what `assemble` will do."""
    import pikepdf

    source = read.source(path)
    with pikepdf.new() as trial:
        trial.pages.append(source.content.pages[index])
        trial.remove_unreferenced_resources()
    return mend.can_import(source.pdf, index)


def assemble(path: Path | None, pages: Sequence[Path | str], target: Path, folder: Path) -> None:
    """Write a PDF of pages as they are known, with everything of the PDF at `path` but what these lose.

    It is written whole, not as an update: what no page shows any more is not in it. folder: for what is not done yet.
    """
    import pikepdf

    pdf = _copy(path) if path else pikepdf.new()
    spool, draft, texts = Spool(pdf, folder), folder / "draft.pdf", TextLayers(pdf)
    shown: dict[tuple[int, int], pikepdf.Object] = {}  # by pages that change
    told: dict[tuple[int, int], Collection[Marked] | None] = {}
    erased: set[tuple[int, int]] = set()  # pictures of these pages that may show handwriting
    try:
        for index, known in enumerate(pages):
            if known == EMPTY:
                repaint.apply(pdf, pdf.pages[index], Change(emptied=True), spool.put)
                told[pdf.pages[index].objgen] = None
            elif isinstance(known, Path):
                before = _streams(pdf, index) if path else {}
                shown |= before
                done = _apply(pdf, index, known, spool, texts)
                erased |= set(before) if done.page else {number for number, part in done.told if part == tags.WHOLE}
                told[pdf.pages[index].objgen] = None if done.page else done.told
        for index in (index for index, known in enumerate(pages) if known == AS_IT_WAS):
            _crop(pdf, index, erased, spool)
        repaint.drop_previews(pdf)
        tags.silence(pdf, told)
        pdf.remove_unreferenced_resources()  # pages may share a list of pictures that names the old ones
        _empty_unseen(pdf, shown)
        pdf.save(
            draft,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
            compress_streams=False,
            stream_decode_level=pikepdf.StreamDecodeLevel.none,
        )
        spool.fill(draft)
        with pikepdf.open(draft, access_mode=pikepdf.AccessMode.stream) as whole, open(target, "wb") as file:
            whole.save(file, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    finally:
        spool.close()
        pdf.close()
        if path:
            read.close(path)  # Windows replaces no file that is open


def _laid(source: Source, index: int, sheet: Sheet, inks: tuple[int, ...]) -> Laid:
    """What becomes of annotations and fields, where that can be found out. inks: those that go anyway."""
    try:
        laid = strokes.in_notes(source, index, sheet, inks) if sheet.mask is not None else Laid()
    except MemoryError:
        raise
    except Exception:  # see Source.look
        laid = Laid()
    return replace(laid, gone=(*inks, *laid.gone))


def _touched_fields(page: pikepdf.Page, sheet: Sheet) -> list[int]:
    """The form fields that a mask touches, by their places."""
    touched = notes.touched(page, sheet) if sheet.mask is not None else ()
    return [number for number in touched if notes.is_field(notes.found(page)[number])]


def _streams(pdf: pikepdf.Pdf, index: int) -> dict[tuple[int, int], pikepdf.Object]:
    """The pictures and forms that a page and its annotations draw, by their numbers in the file; none of a page that
    cannot be looked into.
    """
    page = pdf.pages[index]
    try:
        looks = [each for note in notes.found(page) for each in notes.drawn_by(note).items()]
        forms = {number: drawn for number, drawn in looks if drawn.get("/Subtype") in ("/Form", "/Image")}
        return layers.streams(page) | forms
    except MemoryError:
        raise
    except Exception:  # see Source.look
        return {}


def _crop(pdf: pikepdf.Pdf, index: int, erased: Collection[tuple[int, int]], spool: Spool) -> None:
    """Let a page show, but not hold, its part of pictures that erased pages show too, as halves of one scan."""
    page = pdf.pages[index]
    try:
        if layers.named(page.resources).isdisjoint(erased):
            return
        change = repaint.cropped(page, erased)
    except MemoryError:
        raise
    except Exception:  # see Source.look
        return
    if change.pictures:
        repaint.apply(pdf, page, change, spool.put)


def _empty_unseen(pdf: pikepdf.Pdf, shown: dict[tuple[int, int], pikepdf.Object]) -> None:
    """Empty those pictures and forms that no page shows any more, but tags, or lists of damaged pages, still name."""
    unseen = set(shown)
    for page in pdf.pages:
        unseen -= {each for note in notes.found(page) for each in notes.drawn_by(note)}
        try:
            if not unseen.isdisjoint(layers.named(page.resources)):
                unseen -= set(layers.streams(page))
        except MemoryError:
            raise
        except Exception:  # see Source.look; nobody knows what it shows
            return
    for number in unseen:
        shown[number].write(b"")
        for key in set(shown[number].keys()) - {"/Length"}:
            del shown[number][key]


def _copy(path: Path) -> pikepdf.Pdf:
    source = read.source(path)
    return mend.opened(path, source.pdf)[0]


def _apply(pdf: pikepdf.Pdf, index: int, file: Path, spool: Spool, texts: TextLayers) -> Change:
    with file.open("rb") as stream:
        change: Change = wire.read(stream)
    file.unlink()
    page = _new_page(pdf, change.points) if change.points else pdf.pages[index]
    repaint.apply(pdf, page, change, spool.put)
    if change.lines and not _has_text(page):
        texts.add(page, change.lines)
    return change


def _save(change: Change, sheet: Sheet, file: Path, losses: tuple[str, ...] = ()) -> tuple[str, ...]:
    with file.open("wb") as stream:
        wire.write(stream, replace(change, lines=sheet.lines))
    return losses


def _flat(page: pikepdf.Page, sheet: Sheet) -> Change:
    """A page as a picture of itself."""
    return repaint.whole(layers.frame(page), encode.picture(sheet.shown, sheet.metadata))


def _new_page(pdf: pikepdf.Pdf, points: tuple[float, float]) -> pikepdf.Page:
    import pikepdf

    box = pikepdf.Array([0, 0, *points])
    pdf.pages.append(pikepdf.Page(pikepdf.Dictionary(Type=pikepdf.Name("/Page"), MediaBox=box)))
    return pdf.pages[-1]


def _has_text(page: pikepdf.Page) -> bool:
    try:
        found = layers.layers(page)
    except MemoryError:
        raise
    except Exception:  # see Source.look
        return True
    return found.text or found.hidden


def _is_signed(pdf: pikepdf.Pdf) -> bool:
    """Whether a PDF's form holds a signature, not just a field for one."""
    import pikepdf

    try:
        nodes, seen = list(pdf.Root.get("/AcroForm", {}).get("/Fields", [])), 0
        while nodes and seen < FIELDS:
            node, seen = nodes.pop(), seen + 1
            if isinstance(node.get("/V"), pikepdf.Dictionary) and "/ByteRange" in node.V:
                return True
            nodes.extend(node.get("/Kids", []))
    except MemoryError:
        raise
    except Exception:  # a damaged form raises nearly anything
        pass
    return False


def _points(sheet: Sheet) -> tuple[float, float]:
    """The (width, height) in points that a picture has on paper."""
    height, width = sheet.shown.shape[:2]
    across, down = sheet.metadata.dpi or (DPI, DPI)
    return width / across * INCH, height / down * INCH
