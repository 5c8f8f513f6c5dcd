"""Drawn strokes in a PDF page's own content, left out where they are handwriting, as its words are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from dehw.files.pdf import notes, words
from dehw.files.pdf.layers import CLIP, PAINT, PATH, SHOW, Frame, matrix

if TYPE_CHECKING:
    import pikepdf
    import pypdfium2

STROKE, DOUBT = 0.7, 0.35  # shares of a stroke's length: of handwriting, and of what may be some
RULE = 0.9  # the same of handwriting, where all lines are level or upright, as no hand draws them
STEP = 2.0  # pixels from one point of a stroke that is looked at to the next
DRAWN = ("S", "s", "f", "F", "f*", "B", "B*", "b", "b*")


def without(
    pdf: pypdfium2.PdfDocument,
    index: int,
    contents: Sequence[list],
    at: Frame,
    mask: np.ndarray,
    drawn: Collection[str],
) -> tuple[list[list], tuple[str, ...]]:
    """The instructions of a page and its forms, in the order they are drawn, without the words and the page's own
    strokes under a mask, the same lists for those without any; and what is lost. drawn: see words.without.
    """
    kept, losses = words.without(pdf, index, contents, at, mask, drawn)
    left = list(_without_strokes(kept[0], at, mask, np.eye(3)))
    kept[0] = kept[0] if len(left) == len(kept[0]) else left
    return kept, losses


def are_in(form: pikepdf.Object, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> bool:
    """Whether some of a form's own strokes are handwriting. ctm: (3, 3), to the page's space. ValueError in doubt."""
    import pikepdf

    instructions = list(pikepdf.parse_content_stream(form))
    return len(list(_without_strokes(instructions, at, mask, ctm))) < len(instructions)


def in_notes(pdf: pikepdf.Pdf, page: pikepdf.Page, at: Frame, mask: np.ndarray) -> Iterator[int]:
    """The annotations of a page that are strokes and nothing else, all of them handwriting; by their places."""
    import pikepdf

    for number, form, ctm in notes.looks(page, pdf):
        if notes.can_go(notes.found(page)[number]):
            with suppress(ValueError, pikepdf.PdfError):  # in doubt, or damaged
                instructions = pikepdf.parse_content_stream(form)
                left = [str(operator) for _, operator in _without_strokes(instructions, at, mask, ctm)]
                if len(left) < len(instructions) and not {*left} & {*SHOW, *PAINT, "Do", "INLINE IMAGE"}:
                    yield number


def bare(content: pikepdf.Object) -> bytes:
    """A page's or form's content without any words and strokes of its own: its pictures and forms."""
    import pikepdf

    instructions = pikepdf.parse_content_stream(content)
    unwanted = (*SHOW, *DRAWN, *PATH)
    return pikepdf.unparse_content_stream([each for each in instructions if str(each.operator) not in unwanted])


def _without_strokes(instructions: Iterable, at: Frame, mask: np.ndarray, ctm: np.ndarray) -> Iterator:
    """The instructions without the paths that mostly lie in the mask."""
    saved: list[np.ndarray] = []
    path: list = []
    for instruction in instructions:
        operands, operator = instruction
        word = str(operator)
        if word == "q":
            saved.append(ctm)
        elif word == "Q" and saved:
            ctm = saved.pop()
        elif word == "cm":
            ctm = matrix(operands) @ ctm
        if word in PATH:
            path.append(instruction)
            continue
        if word in CLIP and _is_handwriting(path, ctm, at, mask, False):
            raise ValueError("what is drawn has the shape of handwriting")
        if word not in DRAWN or not _is_handwriting(path, ctm, at, mask):
            yield from path
            yield instruction
        path = []
    yield from path


def _is_handwriting(path: list, ctm: np.ndarray, at: Frame, mask: np.ndarray, ruling: bool = True) -> bool:
    """Whether a path is handwriting, by its share in the mask. ValueError where that is in doubt.

    ruling: whether one of level and upright lines may be some.
    """
    height, width = mask.shape
    to_pixels = ctm @ np.linalg.inv(at.matrix) @ matrix((width, 0, 0, -height, 0, height))
    seen = hit = 0
    ruled = True
    for line in _lines(path):
        points = (np.column_stack([line, np.ones(len(line))]) @ to_pixels)[:, :2]
        for start, end in zip(points, points[1:]):
            ruled &= bool(np.abs(end - start).min() < 0.01)
            steps = min(10_000, max(2, int(np.abs(end - start).max() / STEP)))
            across, down = np.linspace(start, end, steps).astype(int).T
            inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
            seen += steps
            hit += int(mask[down[inside], across[inside]].sum())
    share = hit / seen if seen else 0.0
    if not ruled and DOUBT < share <= STROKE:
        raise ValueError("a stroke may be handwriting, or not")
    return share > RULE and ruling if ruled else share > STROKE


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
