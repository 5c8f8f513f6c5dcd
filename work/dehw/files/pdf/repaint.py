"""What of a PDF's page is changed, so that it shows what was erased: as little as possible."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dehw.files.images import Metadata
from dehw.files.pdf import encode, layers, notes, strokes, tags
from dehw.files.pdf.encode import Encoded
from dehw.files.pdf.layers import Frame, Layers, Picture
from dehw.files.pdf.strokes import Laid
from dehw.files.pdf.tags import Marked
from dehw.files.pdf.words import Bounds
from dehw.files.sheet import Sheet, TextLine
from dehw.files.worker import wire

if TYPE_CHECKING:
    import pikepdf

    from dehw.files.pdf.read import Look, Source

FAR = 40  # levels between two pixels that are seen as different
NEAR = 8  # the same of faint pencil in a picture that is left as it is
PEN = 12  # pixels beside the middle of a stroke that it may paint
HIDDEN = 0.01  # share of a picture that a page has to hide, for it to be cropped
INSIDE, OUTSIDE = 0.02, 0.001  # shares of the mask, and of the rest, that may come out different
LOSSY = {"/DCTDecode", "/JPXDecode"}
WHITE = (255, 255, 255)
# Of a page or form: a preview, what its program keeps of it, and XMP, which holds previews, show the handwriting too.
EMPTIED = "what is filled into fields that are erased"
NOT_SHOWN = ("/Thumb", "/PieceInfo", "/Metadata")


@wire.sent
@dataclass(frozen=True)
class Change:
    """What to change of a page. pictures, forms: by their place among those that it draws; of forms their
    content. content: in place of the page's own; None where that stays. page: the picture that the page becomes.
    points: (width, height) of a page that is new. gone, bare: annotations to remove, and form fields to empty, see
    dehw.files.pdf.notes. outside: whether pictures written into the content become others first. emptied: whether all
    else goes first. told: marked parts that show less, see dehw.files.pdf.tags. lines: to be laid on it, where it holds
    no text then.
    """

    pictures: tuple[tuple[int, Encoded], ...] = ()
    forms: tuple[tuple[int, bytes], ...] = ()
    content: bytes | None = None
    page: Encoded | None = None
    points: tuple[float, float] | None = None
    gone: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    outside: bool = False
    emptied: bool = False
    told: tuple[Marked, ...] = ()
    lines: tuple[TextLine, ...] = ()


# Puts a picture into a dictionary, under a key.
Put = Callable[["pikepdf.Object", str, Encoded], None]


def whole(at: Frame, picture: Encoded) -> Change:
    """A page that is but a picture of itself."""
    six = " ".join(f"{number:.6f}" for number in at.matrix[:, :2].ravel())
    return Change(content=f"q {six} cm /Page Do Q".encode(), page=picture)


def apply(pdf: pikepdf.Pdf, page: pikepdf.Page, change: Change, put: Put) -> None:
    """Change a page; what it shares with others stays as it is."""
    import pikepdf

    _drop_previews(page.obj)
    if change.emptied:
        empty(pdf, page)
    notes.bare(page, change.bare)
    notes.drop(page, change.gone)
    if change.page:
        page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary())
        if "/Group" in page.obj:  # how its layers were blended
            del page.obj.Group
        put(page.obj.Resources.XObject, "/Page", change.page)
    elif change.pictures or change.forms or change.outside:
        page.obj.Resources = _own(pdf, page.resources, 0)
        if change.outside:
            page.externalize_inline_images()
        found = layers.layers(page)
        for number, encoded in change.pictures:
            picture = found.pictures[number]
            assert picture.holder is not None  # others are not repainted
            put(picture.holder, picture.name, encoded)
            if "/OC" in picture.stream:  # the layer it belongs to, which may be hidden
                picture.holder[picture.name].OC = picture.stream.OC
        for number, content in change.forms:
            form = found.forms[number][0]
            form.write(content)
            if "/Resources" in form:
                form.Resources = tags.pruned(form.Resources, form)
    if change.content is not None:
        page.obj.Contents = pdf.make_stream(change.content)
        page.obj.Resources = tags.pruned(page.resources, page)


def drop_previews(pdf: pikepdf.Pdf) -> None:
    """Remove what the program that made a PDF keeps of it, and small pictures of its pages."""
    if "/PieceInfo" in pdf.Root:
        del pdf.Root.PieceInfo
    try:
        if "/Metadata" in pdf.Root and b"Thumbnails" in pdf.Root.Metadata.read_bytes():
            with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as xmp:
                xmp.pop("xmp:Thumbnails", None)
    except MemoryError:
        raise
    except Exception:  # damaged ones raise nearly anything; nobody can read them
        del pdf.Root.Metadata


def _drop_previews(holder: pikepdf.Object) -> None:
    for key in NOT_SHOWN:
        if key in holder:
            del holder[key]


def empty(pdf: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Leave of a page its size; its form's fields are empty."""
    import pikepdf

    notes.bare(page, range(len(notes.found(page))))
    for key in set(page.obj.keys()) & {"/Annots", "/Group"}:
        del page.obj[key]
    page.obj.Resources = pikepdf.Dictionary()
    page.obj.Contents = pdf.make_stream(b"")


def _own(pdf: pikepdf.Pdf, resources: pikepdf.Object, depth: int) -> pikepdf.Object:
    """A copy of a page's or form's resources, in which pictures can be put into the place of others."""
    mine = copy.copy(resources)
    if "/XObject" in mine:
        mine.XObject = copy.copy(mine.XObject)
        for name, drawn in list(mine.XObject.items()):
            if drawn.get("/Subtype") == "/Form" and depth < layers.NESTED:
                form = copy.copy(drawn)
                _drop_previews(form)
                if "/Resources" in form:
                    form.Resources = _own(pdf, form.Resources, depth + 1)
                mine.XObject[name] = form
    return mine


def plan(source: Source, index: int, sheet: Sheet, laid: Laid) -> tuple[Change, tuple[str, ...]] | None:
    """How a page comes to show `sheet` where its mask is, and `laid` of its annotations, and what is lost by that; None
    where only a picture of all of it can do that.

    Strokes and words under the mask are left out; where that does not do, the pictures that it touches are painted
    anew. Whether it does is seen by drawing the page.
    """
    import pikepdf

    if sheet.mask is None:
        return None
    try:
        look, page = source.look(index), source.content.pages[index]
        inline = any(each.holder is None and _is_in(each, look.frame, sheet.mask) for each in look.layers.pictures)
        if inline:
            page.externalize_inline_images()
            look = source.look(index)
        found, at = look.layers, look.frame
        if look.size != sheet.image.shape[1::-1]:
            return None
        if any(strokes.are_in(form, ctm, at, sheet.mask) for form, ctm in found.tiles):
            return None  # others may be painted with it
        noted = [each for number, each in found.noted if number not in (*laid.gone, *laid.bare)]
        if any(_is_in(each, at, sheet.mask) for each in found.means + noted):
            return None  # what it paints looks different elsewhere
        places = [(page, np.eye(3)), *found.forms]
        read = [(list(pikepdf.parse_content_stream(each)), ctm) for each, ctm in places]
        freed: list[Bounds] | None = [] if strokes.can_free(sheet) else None
        kept, losses = strokes.without(source.pdf, index, read, at, sheet.mask, _drawn_fonts(page), freed)
        contents, names = [content for content, _ in read], [form.objgen for form, _ in found.forms]
        written = {name for name, old, new in zip(names, contents[1:], kept[1:]) if new is not old}
        if any(names.count(name) > 1 for name in written):
            return None  # drawn twice, with something else under the mask
        light = (*(freed or ()), *notes.places(page, sheet, laid.freed))
        losses += (EMPTIED,) if notes.is_filled(page, laid.bare) else ()
        change = _written(page, found, contents, kept, Change(gone=laid.gone, bare=laid.bare, outside=inline))
        changes = change.content is not None or change.forms or change.gone or change.bare
        if changes and _shows(source, index, look, change, sheet, laid.typed, light):
            return change, losses
        alone = look.exact and len(found.pictures) == 1 and not (found.text or found.drawn or found.means)
        alone = alone and not any(map(notes.is_field, notes.found(page)))  # see read.draw
        pictures = tuple(_painted(found.pictures, at, sheet, alone))
        change = _written(page, found, contents, kept, replace(change, pictures=pictures))
        return (change, losses) if pictures and _shows(source, index, look, change, sheet, laid.typed, light) else None
    except MemoryError:
        raise
    except Exception:  # a damaged or rare picture makes decoders raise nearly anything
        return None


def cropped(page: pikepdf.Page, numbers: Collection[tuple[int, int]]) -> Change:
    """What a page that is not erased changes, so that of pictures with these numbers in the file it holds only what it
    shows. Raises what decoders raise.
    """
    found, at = layers.layers(page), layers.frame(page)
    (width, height), _ = layers.pixels(found, at)
    white = np.broadcast_to(np.uint8(255), (height, width, 3))
    sheet = Sheet(white, Metadata(grey=True), mask=np.zeros((height, width), bool))
    return Change(pictures=tuple(_painted(found.pictures, at, sheet, False, numbers)))


def _written(page: pikepdf.Page, found: Layers, old: list[list], new: list[list], change: Change) -> Change:
    """A change of pictures, with what comes of the contents of a page and its forms too: these are instructions."""
    import pikepdf

    forms = [form for form, _ in found.forms]
    changed = {found.pictures[number].stream.objgen for number, _ in change.pictures}
    changed |= {form.objgen for form, before, after in zip(forms, old[1:], new[1:]) if before is not after}
    told = [(number, tags.WHOLE) for number in changed]
    written: list[bytes | None] = []
    for holder, before, after in zip((None, *forms), old, new):
        resources = page.resources if holder is None else holder.get("/Resources", page.resources)
        kept, numbers = tags.silenced(before, after, resources, changed)
        told += [((0, 0) if holder is None else holder.objgen, number) for number in numbers]
        written.append(None if kept is before else pikepdf.unparse_content_stream(kept))
    inner = tuple((number, content) for number, content in enumerate(written[1:]) if content is not None)
    return replace(change, content=written[0], forms=inner, told=tuple(told))


def _drawn_fonts(page: pikepdf.Page) -> set[str]:
    """The names of a page's fonts whose letters are drawings."""
    return {name for name, font in page.resources.get("/Font", {}).items() if font.get("/Subtype") == "/Type3"}


def _is_in(picture: Picture, at: Frame, mask: np.ndarray) -> bool:
    """Whether a mask, (H, W) bool, touches the place of a picture."""
    left, top, right, bottom = layers.on_page(layers.bounds(picture), at, (mask.shape[1], mask.shape[0]))
    return bool(mask[top:bottom, left:right].any())


def _shows(
    source: Source,
    index: int,
    look: Look,
    change: Change,
    sheet: Sheet,
    typed: Collection[int],
    freed: Sequence[Bounds],
) -> bool:
    """Whether a page, once changed, shows no handwriting, and all else.

    Words and lines of its own and its forms that lie under the mask but in part are print, and so is what was typed
    into annotations and fields, by their places; they are better than what was erased there: so only what lies behind
    them is compared for what is too dark. freed: boxes, in pixels, which strokes left that the mask does not cover.
    """
    import pikepdf

    with pikepdf.new() as trial:
        trial.pages.append(source.content.pages[index])
        changed = trial.pages[0]
        notes.show_fields(trial, source.content)
        notes.show_lines(trial, changed)
        layers.show_optional(trial, source.content)
        all_notes = notes.found(changed)
        apply(trial, changed, change, lambda holder, key, new: holder.__setitem__(key, new.stream(trial)))
        near = FAR if change.pictures else NEAR
        shown = _drawn(trial, look.size, look.exact)
        sheet = _lighter(sheet, shown, freed)
        assert sheet.mask is not None
        lighter, darker, outside = _far(shown, sheet, near)
        most = INSIDE * np.count_nonzero(sheet.mask)
        if outside > OUTSIDE * sheet.mask.size or lighter > most:
            return False
        laid = notes.touched(changed, sheet).values()
        if (darker > most or laid) and (look.layers.text or look.layers.drawn or typed):
            changed.obj.Contents = trial.make_stream(strokes.bare(changed))
            for form, _ in layers.layers(changed).forms:
                form.write(strokes.bare(form))
            notes.hide([all_notes[number] for number in typed])
            shown = _drawn(trial, look.size, look.exact)
            darker = _far(shown, sheet, near)[1]
        return darker <= most and not any(_stays(shown, sheet, place, near) for place in laid)


def _lighter(sheet: Sheet, shown: np.ndarray, boxes: Sequence[Bounds]) -> Sheet:
    """A sheet that may be as light as what is shown, (H, W, 3) uint8, in boxes of pixels and a little about them."""
    image = sheet.image.copy() if boxes else sheet.image
    for left, top, right, bottom in boxes:
        place = slice(max(int(top) - PEN, 0), int(bottom) + PEN), slice(max(int(left) - PEN, 0), int(right) + PEN)
        np.maximum(image[place], shown[place], out=image[place])
    return replace(sheet, image=image)


def _stays(shown: np.ndarray, sheet: Sheet, place: tuple[slice, slice], near: int) -> bool:
    """Whether a part of a page shows handwriting, however little that is on the whole page."""
    assert sheet.mask is not None
    mask = sheet.mask[place]
    darker = _far(shown[place], replace(sheet, image=sheet.image[place], mask=mask), near)[1]
    return darker > INSIDE * np.count_nonzero(mask)


def _drawn(pdf: pikepdf.Pdf, size: tuple[int, int], exact: bool) -> np.ndarray:
    """The first page of a PDF, see read.draw."""
    import pypdfium2

    from dehw.files.pdf.read import draw

    file = io.BytesIO()
    pdf.save(file)
    opened = pypdfium2.PdfDocument(file.getvalue())
    try:
        opened.init_forms()
        return draw(opened, opened[0], size, exact)
    finally:
        opened.close()


def _far(shown: np.ndarray, sheet: Sheet, near: int) -> tuple[int, int, int]:
    """How many pixels of a page, (H, W, 3) uint8, are far from what they should be: lighter in the mask, darker in
    it by more than `near` levels, and outside it.
    """
    assert sheet.mask is not None
    lighter = darker = outside = 0
    for top in range(0, len(shown), 256):  # in parts, for the memory's sake
        rows = slice(top, top + 256)
        want, mask = sheet.image[rows], sheet.mask[rows]
        if sheet.metadata.bilevel:
            want = cv2.threshold(want, 127, 255, cv2.THRESH_BINARY)[1]
        above, below = (cv2.subtract(*pair).max(2) for pair in ((shown[rows], want), (want, shown[rows])))
        lighter += np.count_nonzero((above > FAR) & mask)
        darker += np.count_nonzero((below > near) & mask)
        outside += np.count_nonzero((np.maximum(above, below) > FAR) & ~mask)
    return lighter, darker, outside


def _painted(
    pictures: Sequence[Picture], at: Frame, sheet: Sheet, alone: bool, crop: Collection[tuple[int, int]] = ()
) -> Iterator[tuple[int, Encoded]]:
    """Those of a page's pictures that the mask touches, by their places among them, see _repainted. One that is drawn
    in several places is made once, for all of them. crop: the numbers in the file of those to crop at least.
    """
    places: dict[object, list[int]] = {}
    for number, each in enumerate(pictures):
        places.setdefault(number if each.holder is None else each.stream.objgen, []).append(number)
    for numbers in places.values():
        first = pictures[numbers[0]]
        is_cropped = first.holder is not None and first.stream.objgen in crop
        encoded = _repainted([pictures[number] for number in numbers], at, sheet, alone, is_cropped)
        if encoded:
            yield from ((number, encoded) for number in numbers)


def _repainted(places: Sequence[Picture], at: Frame, sheet: Sheet, alone: bool, crop: bool) -> Encoded | None:
    """A picture, drawn in some places, without the handwriting on it; None where the mask does not touch it. ValueError
    where it cannot be.

    alone: whether the page shows it and nothing else, so that the page's own pixels are the picture's, where they lie
    on each other. What the page does not show of it becomes white: it may be handwriting too. crop: whether that is
    done to one without a mask too.
    """
    import pikepdf

    from dehw.files.pdf.read import is_bilevel, is_grey

    picture = places[0]
    stream = picture.stream
    size = picture.size if picture.holder is None else (int(stream.Width), int(stream.Height))
    seen = [_seen(each, at, sheet, size) for each in places]
    mask, unseen = _together(seen)
    if not mask.any() and not (crop and unseen.mean() > HIDDEN):
        return None
    if picture.holder is None:
        raise ValueError("written into the content of a form without a name")
    if picture.is_stencil:
        return _stencil(stream, mask | unseen)
    lossless = LOSSY.isdisjoint(pikepdf.PdfImage(stream).filters)
    if _is_to_part(stream):
        apart = pikepdf.new()  # has to stay, for its objects go with it
        stream = _parted(stream, apart)
        places = [replace(each, stream=stream) for each in places]
    masks, visible = _masks(places, at, sheet, size)
    if alone and not masks and _is_aligned(seen[0][0], size):
        return encode.picture(_warp(sheet.image, seen[0][0], size, WHITE), sheet.metadata, lossless)
    pixels = _decoded(stream)
    grey = is_grey(pixels)
    about = Metadata(grey=grey and sheet.metadata.grey, bilevel=grey and is_bilevel(pixels))
    for there, inside, _ in seen:
        np.copyto(pixels, _warp(sheet.image, there, size, WHITE), where=inside[..., None])
    if masks:  # what is not painted has the shape of the handwriting, as where a copier keeps ink and paper apart
        pixels[~visible] = pixels[visible].mean(0) if visible.any() else WHITE
    pixels[unseen] = WHITE
    made = encode.picture(pixels, about, lossless)
    return Encoded(made.data, made.head, tuple(masks.items()))


def _masks(
    places: Sequence[Picture], at: Frame, sheet: Sheet, shape: tuple[int, int]
) -> tuple[dict[str, Encoded], np.ndarray]:
    """The masks of a picture of (width, height), drawn in some places, by their keys, without handwriting: there it is
    not painted, unless it is opaque. And where it is painted, or close to that, (h, w) bool.
    """
    made: dict[str, Encoded] = {}
    visible = np.ones(shape[::-1], np.uint8)
    for key in ("/SMask", "/Mask"):
        stream = places[0].stream.get(key)
        if stream is None:
            continue
        size = int(stream.Width), int(stream.Height)
        mask, unseen = _together([_seen(each, at, sheet, size) for each in places])
        is_alpha = key == "/SMask"
        opaque, blank = (255, 0) if is_alpha else (0, 255)
        samples = _decoded(stream)[..., 0].copy()
        samples[mask | unseen] = opaque if (samples[mask] == opaque).all() else blank
        made[key] = encode.picture(samples, Metadata(grey=True), True) if is_alpha else encode.bits(samples, True)
        painted = (samples != blank).astype(np.uint8) * np.uint8(255)
        visible &= cv2.dilate(cv2.resize(painted, shape, interpolation=cv2.INTER_AREA), np.ones((5, 5))) > 0
    return made, visible > 0


def _is_to_part(stream: pikepdf.Object) -> bool:
    """Whether a picture says otherwise than by a mask beside it where it is see-through: by its own data, by its
    colours, or by what its colours are mixed with.
    """
    import pikepdf

    is_by_colour = isinstance(stream.get("/Mask"), pikepdf.Array)
    return is_by_colour or stream.get("/SMaskInData", 0) == 1 or "/Matte" in stream.get("/SMask", {})


def _stencil(stream: pikepdf.Object, mask: np.ndarray) -> Encoded:
    """A picture of where to paint, that does not under a mask, (H, W) bool."""
    samples = np.where(mask, np.uint8(255), _decoded(stream)[..., 0])
    return encode.bits(samples, stencil=True)


def _parted(stream: pikepdf.Object, pdf: pikepdf.Pdf) -> pikepdf.Object:
    """A picture of which _is_to_part holds, as one with a soft mask, in a PDF."""
    black, white = (_decoded(stream, b"%d g 0 0 1 1 re f " % level).astype(np.int32) for level in (0, 1))
    alpha = (255 - (white - black).max(2)).clip(0, 255).astype(np.uint8)
    colours = (black * 255 // np.maximum(alpha, 1)[..., None]).clip(0, 255).astype(np.uint8)
    mask = encode.picture(alpha, Metadata(grey=True), lossless=True)
    return replace(encode.picture(colours, Metadata(), lossless=True), masks=(("/SMask", mask),)).stream(pdf)


def _decoded(stream: pikepdf.Object, behind: bytes = b"") -> np.ndarray:
    """A picture without its masks, (H, W, 3) uint8 RGB, as PDFium draws it, which knows JBIG2 and every colour space.
    A stencil is black where it paints. behind: content that draws on the unit square first; then the masks stay.
    """
    import pikepdf

    size = int(stream.Width), int(stream.Height)
    with pikepdf.new() as trial:
        alone = trial.copy_foreign(stream)
        for key in ({"/OC"} if behind else {"/SMask", "/Mask", "/OC"}) & set(alone.keys()):
            del alone[key]
        page = pikepdf.Dictionary(Type=pikepdf.Name("/Page"), MediaBox=pikepdf.Array([0, 0, *size]))
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Alone=alone))
        page.Contents = trial.make_stream(b"%d 0 0 %d 0 0 cm %s/Alone Do" % (*size, behind))
        trial.pages.append(pikepdf.Page(page))
        return _drawn(trial, size, True)


def _there(picture: Picture, at: Frame, page: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """(2, 3): from the pixels of a picture, of (width, height), to those of its page, whose shape is (H, W, 3)."""
    (wide, high), (tall, broad) = size, page[:2]
    unit = np.array([[1 / wide, 0, 0], [0, -1 / high, 0], [0, 1, 1]])
    shown = np.array([[broad, 0, 0], [0, -tall, 0], [0, tall, 1]])
    corners = unit @ picture.matrix @ np.linalg.inv(at.matrix) @ shown
    half = layers.matrix((1, 0, 0, 1, 0.5, 0.5))  # OpenCV counts from the middle of a pixel
    return (half @ corners @ np.linalg.inv(half)).T[:2]


def _is_aligned(there: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a picture's pixels lie on its page's, unlike those of a scan that was straightened. there: see _there."""
    off = np.abs(there - there.round()) @ (*size, 1)  # pixels, at the picture's far end
    return off.max() < 0.25 and abs(np.linalg.det(there[:, :2].round())) == 1


def _warp(image: np.ndarray, there: np.ndarray, size: tuple[int, int], border: tuple[int, ...]) -> np.ndarray:
    """A page's image as a picture on it sees it: (h, w[, 3])."""
    exact = np.allclose(np.abs(there[:, :2]).max(0), 1, atol=2e-4) and np.allclose(np.abs(there[:, :2]).min(0), 0)
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR)
    return cv2.warpAffine(image, there, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border)


def _seen(
    picture: Picture, at: Frame, sheet: Sheet, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a picture of (width, height), or a mask of it, has to do with its page: see _there; the mask as it sees it,
    (h, w) bool; and where the page does not show it, (h, w) bool.
    """
    assert sheet.mask is not None
    there = _there(picture, at, sheet.image.shape, size)
    mask = sheet.mask.astype(np.uint8) * np.uint8(255)
    step = int(np.ceil(np.linalg.norm(there[:, :2], axis=0).max()))  # page's pixels to one of the picture
    if step > 1:
        mask = cv2.dilate(mask, np.ones((step, step), np.uint8))
    window = np.zeros_like(mask)
    page = window.shape[1], window.shape[0]
    left, top, right, bottom = layers.on_page(layers.shared(picture.clip, at.box), at, page)
    edge = step + 1  # pixels, as what is seen there is mixed with what lies behind
    window[max(top - edge, 0) : bottom + edge, max(left - edge, 0) : right + edge] = 255
    unseen = _warp(window, there, size, (0,)) == 0
    return there, (_warp(mask, there, size, (0,)) > 0) & ~unseen, unseen


def _together(seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """What _seen found in several places of a picture: the mask in any, and what none shows, (h, w) bool."""
    _, masks, unseen = zip(*seen)
    return np.logical_or.reduce(masks), np.logical_and.reduce(unseen)
