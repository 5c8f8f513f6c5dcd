"""Words and drawn strokes in a PDF page's own content, left out where they are handwriting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dehw.files.pdf import layers
from dehw.files.pdf.layers import INVISIBLE, SHOW, Frame, matrix

if TYPE_CHECKING:
    import pikepdf
    import pypdfium2

HIDDEN_WORD, WORD = 0.3, 0.7  # shares of a word's box in the mask, for it to go: of invisible text, and of print
LETTER, BRUSHED = 0.98, 3  # of a letter's box, and letters in a row, that only a brush covers
STROKE, DOUBT = 0.7, 0.35  # shares of a stroke's length: of handwriting, and of what may be some
RULE = 0.9  # the same of handwriting, where all lines are level or upright, as no hand draws them
STEP = 2.0  # pixels from one point of a stroke that is looked at to the next
PATH = ("m", "l", "c", "v", "y", "h", "re")
DRAWN = ("S", "s", "f", "F", "f*", "B", "B*", "b", "b*")


def without(
    pdf: pypdfium2.PdfDocument, index: int, page: pikepdf.Page, at: Frame, mask: np.ndarray
) -> tuple[bytes | None, tuple[str, ...]]:
    """A page's content without the words and strokes under a mask, None where there are none; and what is lost.

    The invisible text of a scan whose words cannot be told apart is left out as a whole.
    """
    import pikepdf

    instructions = list(pikepdf.parse_content_stream(page))
    covered, losses = _words(pdf, index, instructions, at, mask)
    kept = list(_without_strokes(_without_words(instructions, covered), at, mask, np.eye(3)))
    if not any(covered) and len(kept) == len(instructions):
        return None, ()
    return pikepdf.unparse_content_stream(kept), losses


def are_in(form: pikepdf.Object, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> bool:
    """Whether some of a form's own strokes are handwriting. ctm: (3, 3), to the page's space. ValueError in doubt."""
    import pikepdf

    instructions = list(pikepdf.parse_content_stream(form))
    return len(list(_without_strokes(instructions, at, mask, ctm))) < len(instructions)


def bare(content: pikepdf.Object) -> bytes:
    """A page's content without any words and strokes of its own: its pictures and forms."""
    import pikepdf

    instructions = pikepdf.parse_content_stream(content)
    unwanted = (*SHOW, *DRAWN, *PATH)
    return pikepdf.unparse_content_stream([each for each in instructions if str(each.operator) not in unwanted])


def _words(
    pdf: pypdfium2.PdfDocument, index: int, instructions: list, at: Frame, mask: np.ndarray
) -> tuple[list[bool], tuple[str, ...]]:
    """Whether each instruction that shows text is to go; and what is lost. ValueError where but a part of one is."""
    modes = list(_modes(instructions))
    boxes, letters = _texts(pdf, index)
    shares = [_share(_under(box, at, mask)) for box in boxes]
    known = len(boxes) == len(modes)
    covered = [mode == INVISIBLE for mode in modes]
    if known:
        covered = [share > (HIDDEN_WORD if mode == INVISIBLE else WORD) for share, mode in zip(shares, modes)]
    row = 0
    for number, box in letters:
        part = _under(box, at, mask)
        if part.size:  # no space
            row = row + 1 if part.mean() >= LETTER and not (known and number >= 0 and covered[number]) else 0
        if row == BRUSHED:
            raise ValueError("a part of a text is brushed over")
    return covered, ("its text can no longer be selected",) if any(covered) and not known else ()


def _modes(instructions: Iterable) -> Iterator[int]:
    """The rendering mode of each text that is shown."""
    saved, mode = [], 0
    for operands, operator in instructions:
        word = str(operator)
        if word == "q":
            saved.append(mode)
        elif word == "Q" and saved:
            mode = saved.pop()
        elif word == "Tr":
            mode = int(operands[0])
        elif _shows_text(operands, word):
            yield mode


def _shows_text(operands: Any, word: str) -> bool:
    """Whether an instruction makes a text of PDFium's: not an empty one."""
    if word == "TJ":
        import pikepdf

        return any(isinstance(each, pikepdf.String) for each in operands[0])
    return word in SHOW and len(bytes(operands[-1])) > 0


Bounds = tuple[float, float, float, float]


def _texts(pdf: pypdfium2.PdfDocument, index: int) -> tuple[list[Bounds], list[tuple[int, Bounds]]]:
    """Where the texts of a page's own content lie, in the order they are shown; and the visible letters, each with the
    number of its text, -1 for those of forms.
    """
    import pypdfium2.raw as raw

    page = pdf[index]
    letters = page.get_textpage()
    try:
        texts = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=1))
        numbers = {_address(each.raw): number for number, each in enumerate(texts)}
        owners = ((each, raw.FPDFText_GetTextObject(letters, each)) for each in range(letters.count_chars()))
        seen = [
            (numbers.get(_address(owner), -1), letters.get_charbox(each))
            for each, owner in owners
            if owner and raw.FPDFTextObj_GetTextRenderMode(owner) != INVISIBLE
        ]
        return [each.get_bounds() for each in texts], seen
    finally:
        letters.close()
        page.close()


def _address(handle: object) -> int | None:
    import ctypes

    return ctypes.cast(handle, ctypes.c_void_p).value  # type: ignore[arg-type]


def _under(box: Bounds, at: Frame, mask: np.ndarray) -> np.ndarray:
    """The part of a mask, (H, W) bool, in a box of the page's space."""
    left, top, right, bottom = layers.on_page(box, at, (mask.shape[1], mask.shape[0]))
    return mask[top:bottom, left:right]


def _share(part: np.ndarray) -> float:
    return float(part.mean()) if part.size else 0.0


def _without_words(instructions: Iterable, covered: list[bool]) -> Iterator:
    """The instructions, with nothing to show where a text is covered; it still moves on, as " and ' do."""
    import pikepdf

    number = 0
    for instruction in instructions:
        operands, operator = instruction
        if _shows_text(operands, str(operator)):
            if covered[number]:
                nothing = pikepdf.Array() if str(operator) == "TJ" else pikepdf.String("")
                instruction = pikepdf.ContentStreamInstruction([*operands[:-1], nothing], operator)
            number += 1
        yield instruction


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
        if word not in DRAWN or not _is_handwriting(path, ctm, at, mask):
            yield from path
            yield instruction
        path = []
    yield from path


def _is_handwriting(path: list, ctm: np.ndarray, at: Frame, mask: np.ndarray) -> bool:
    """Whether a path is handwriting, by its share in the mask. ValueError where that is in doubt."""
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
    return share > (RULE if ruled else STROKE)


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
