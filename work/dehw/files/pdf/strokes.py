"""Drawn strokes in a PDF page and its annotations, left out where they are handwriting, as its words are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dehw.files.pdf import layers, notes, words
from dehw.files.pdf.layers import CLIP, PAINT, PATH, SHOW, Frame, matrix
from dehw.files.pdf.words import WORD, Bounds

if TYPE_CHECKING:
    import pikepdf
    import pypdfium2

    from dehw.files.pdf.read import Source
    from dehw.files.sheet import Sheet

STROKE, DOUBT = 0.7, 0.35  # shares of a stroke's length: of handwriting, and of what may be some
RULE = 0.9  # the same of handwriting, where all lines are level or upright, as no hand draws them
SAME = 0.9  # share of what a pen draws that has to be handwriting, for all of it to be
STEP = 2.0  # pixels from one point of a stroke that is looked at to the next
TYPED, PICTURE, DRAWING = "text", "picture", "strokes"  # kinds of annotations
MOST = {TYPED: WORD, PICTURE: 0.9, DRAWING: STROKE}  # shares of what they paint, for them to be handwriting
NOTES = 40  # annotations of a page that are drawn apart: a page draws in a second at most
PENS = dict.fromkeys(("RG", "G", "K", "SC", "SCN"), "stroke") | dict.fromkeys(("rg", "g", "k", "sc", "scn"), "fill")
PENS |= {"w": "width"}  # what is known of a pen, by the words that set it
Pen = tuple[str, ...]
DRAWN = ("S", "s", "f", "F", "f*", "B", "B*", "b", "b*")


def without(
    pdf: pypdfium2.PdfDocument,
    index: int,
    contents: Sequence[tuple[list, np.ndarray]],
    at: Frame,
    mask: np.ndarray,
    drawn: Collection[str],
    freed: list[Bounds] | None,
) -> tuple[list[list], tuple[str, ...]]:
    """The instructions of a page and its forms, in the order they are drawn, without the words and strokes under a
    mask, the same lists for those without any; and what is lost. contents: each with its matrix, (3, 3), to the page's
    space. drawn: see words.without. freed: see _without_strokes.
    """
    kept, losses = words.without(pdf, index, [content for content, _ in contents], at, mask, drawn)
    left = [_without_strokes(content, at, mask, ctm, freed) for content, (_, ctm) in zip(kept, contents)]
    return [new if len(new) < len(old) else old for old, new in zip(kept, left)], losses


def are_in(form: pikepdf.Object, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> bool:
    """Whether some of a form's own strokes are handwriting. ctm: (3, 3), to the page's space. ValueError in doubt."""
    import pikepdf

    instructions = list(pikepdf.parse_content_stream(form))
    return len(_without_strokes(instructions, at, mask, ctm)) < len(instructions)


@dataclass(frozen=True)
class Laid:
    """Annotations and form fields that a mask touches, by their places. gone: to remove; bare: fields to empty;
    typed: what shows only text, mostly beside the mask, which stays as words of a page do. freed: those of gone that
    need not be under the mask as a whole.
    """

    gone: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    typed: tuple[int, ...] = ()
    freed: tuple[int, ...] = ()


def can_free(sheet: Sheet) -> bool:
    """Whether strokes may go that the mask does not cover: not where a part of the page is to be kept."""
    return sheet.spared is None or not sheet.spared.any()


def in_notes(source: Source, index: int, sheet: Sheet, inks: Collection[int]) -> Laid:
    """What becomes of the annotations and fields of a page where it is erased; inks: those that go anyway. Raises what
    damaged pages raise.
    """
    assert sheet.mask is not None
    page = source.content.pages[index]
    at, all_notes = layers.frame(page), notes.found(page)
    drawn = {number: (form, ctm) for number, form, ctm in notes.looks(page, source.content)}
    able = [number for number in drawn if notes.can_go(all_notes[number])]
    gone = {number for number in able if _are_handwriting(*drawn[number], at, sheet.mask)}
    pens: dict[Pen, set[int]] = {}
    for number in able if can_free(sheet) else ():
        pens.setdefault(notes.pen(all_notes[number]), set()).add(number)
    same = {number for pen, each in pens.items() if pen and len(each & gone) > SAME * len(each) for number in each}
    gone |= same
    able = [number for number, note in enumerate(all_notes) if notes.can_go(note) or notes.is_field(note)]
    left = sorted({*able} & {*notes.touched(page, sheet)} - gone - {*inks})
    bare, typed = set[int](), set[int]()
    for number, share in source.shares(index, left[:NOTES], sheet.mask).items():
        kind = _kind(*drawn[number]) if number in drawn else TYPED  # viewers draw it by themselves
        if share > MOST.get(kind, 1):
            (bare if notes.is_field(all_notes[number]) else gone).add(number)
        elif kind == TYPED:
            typed.add(number)
    return Laid(*(tuple(sorted(each)) for each in (gone, bare, typed, same)))


def _are_handwriting(form: pikepdf.Object, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> bool:
    """Whether a form shows strokes and nothing else, all of them handwriting."""
    import pikepdf

    with suppress(ValueError, pikepdf.PdfError):  # in doubt, or damaged
        instructions = pikepdf.parse_content_stream(form)
        left = [str(operator) for _, operator in _without_strokes(instructions, at, mask, ctm)]
        return len(left) < len(instructions) and not {*left} & {*SHOW, *PAINT, "Do", "INLINE IMAGE"}
    return False


def _kind(form: pikepdf.Object, ctm: np.ndarray) -> str:
    """What a form shows, with those in it: one of MOST, or several of them. Level and upright lines do not count."""
    import pikepdf

    found = layers.inside(form, ctm)
    kinds = {TYPED} if found.text or found.hidden else set()
    kinds |= {PICTURE} if found.pictures or found.means or found.tiles else set()
    for each, _ in [(form, ctm), *found.forms]:
        path: list = []
        for operands, operator in pikepdf.parse_content_stream(each):
            if str(operator) in PATH:
                path.append((operands, operator))
                continue
            if str(operator) in DRAWN and not all(_is_ruled(np.array(line)) for line in _lines(path)):
                kinds |= {DRAWING}
            path = []
    return kinds.pop() if len(kinds) == 1 else PICTURE if kinds == {PICTURE, DRAWING} else "several"


def bare(content: pikepdf.Object) -> bytes:
    """A page's or form's content without any words and strokes of its own: its pictures and forms."""
    import pikepdf

    instructions = pikepdf.parse_content_stream(content)
    unwanted = (*SHOW, *DRAWN, *PATH)
    return pikepdf.unparse_content_stream([each for each in instructions if str(each.operator) not in unwanted])


def _without_strokes(
    instructions: Iterable, at: Frame, mask: np.ndarray, ctm: np.ndarray, freed: list[Bounds] | None = None
) -> list:
    """The instructions without the paths that mostly lie in the mask. freed: takes the boxes, in pixels, of others that
    go because nearly all that the same pen draws lies in it; None where such stay. ValueError where it is in doubt
    whether a path is handwriting.
    """
    parts = list(_parts(instructions, at, mask, ctm))
    drawn: dict[Pen, np.ndarray] = {}  # by pens: points in the mask, and of all
    for _, path in parts:
        if path and not path.is_ruled and freed is not None:
            drawn[path.pen] = drawn.get(path.pen, 0) + np.array([path.hit, path.seen])
    pens = {pen for pen, (hit, seen) in drawn.items() if hit > SAME * seen}
    kept: list = []
    for part, path in parts:
        if path and path.is_ruled and path.share > RULE:
            continue
        if path and not path.is_ruled and (path.share > STROKE or path.pen in pens):
            if freed is not None and path.share < 1:
                freed.append(path.box)
            continue
        if path and not path.is_ruled and path.share > DOUBT:
            raise ValueError("a stroke may be handwriting, or not")
        kept += part
    return kept


@dataclass(frozen=True)
class Path:
    """A path that is painted. hit, seen: its points in a mask, and all; is_ruled: whether it is but level and upright
    lines; box: in pixels.
    """

    pen: Pen
    hit: int
    seen: int
    is_ruled: bool
    box: Bounds

    @property
    def share(self) -> float:
        """Of its length, in the mask."""
        return self.hit / self.seen if self.seen else 0.0


def _parts(instructions: Iterable, at: Frame, mask: np.ndarray, ctm: np.ndarray) -> Iterator[tuple[list, Path | None]]:
    """The instructions, those of a path and what paints it together. ValueError where one to clip to may be
    handwriting.
    """
    saved: list[tuple[np.ndarray, dict[str, str]]] = []
    state: dict[str, str] = {}
    path: list = []
    for instruction in instructions:
        operands, operator = instruction
        word = str(operator)
        if word == "q":
            saved.append((ctm, dict(state)))
        elif word == "Q" and saved:
            ctm, state = saved.pop()
        elif word == "cm":
            ctm = matrix(operands) @ ctm
        elif word in PENS:
            state[PENS[word]] = " ".join(map(str, (*operands, word)))
        if word in PATH:
            path.append(instruction)
            continue
        if word in CLIP:
            clip = _path(path, (), ctm, at, mask)
            if not clip.is_ruled and clip.share > DOUBT:
                raise ValueError("what is drawn has the shape of handwriting")
        used = ("fill",) if word in ("f", "F", "f*") else ("stroke", "width")
        pen = used + tuple(state.get(each, "") for each in used)
        yield [*path, instruction], _path(path, pen, ctm, at, mask) if word in DRAWN else None
        path = []
    yield path, None


def _path(path: list, pen: Pen, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> Path:
    """What is known of a path. pen: its colour and width."""
    height, width = mask.shape
    to_pixels = ctm @ np.linalg.inv(at.matrix) @ matrix((width, 0, 0, -height, 0, height))
    seen = hit = 0
    is_ruled = True
    corners = [np.zeros((0, 2))]
    for line in _lines(path):
        points = (np.column_stack([line, np.ones(len(line))]) @ to_pixels)[:, :2]
        corners.append(points)
        is_ruled &= _is_ruled(points)
        for start, end in zip(points, points[1:]):
            steps = min(10_000, max(2, int(np.abs(end - start).max() / STEP)))
            across, down = np.linspace(start, end, steps).astype(int).T
            inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
            seen += steps
            hit += int(mask[down[inside], across[inside]].sum())
    ends = np.concatenate(corners)
    box = (*ends.min(0), *ends.max(0)) if len(ends) else (0.0, 0.0, 0.0, 0.0)
    return Path(pen, hit, seen, is_ruled, box)


def _is_ruled(line: np.ndarray) -> bool:
    """Whether all parts of a line of points, (N, 2), are level or upright."""
    return bool((np.abs(np.diff(line, axis=0)).min(1) < 0.01).all())


def _lines(path: list) -> Iterator[list[tuple[float, float]]]:
    """The points of a path, a list for each of its parts."""
    line: list[tuple[float, float]] = []
    for operands, operator in path:
        word, numbers = str(operator), [float(each) for each in operands]
        if word in ("m", "re") and line:
            yield line
            line = []
        corners = list(zip(numbers[::2], numbers[1::2]))
        if word == "re":
            (x, y), (wide, high) = corners
            yield [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y)]
        elif word in ("c", "v", "y") and line:
            full = {"c": corners, "v": [line[-1], *corners], "y": [*corners, corners[-1]]}[word]
            line += _curve([line[-1], *full])
        else:
            line += corners
    if line:
        yield line


def _curve(controls: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of a cubic Bezier curve after its first."""
    at = np.linspace(0, 1, 9)[1:, None]
    weights = np.hstack([(1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3])
    return [(float(x), float(y)) for x, y in weights @ np.array(controls)]
