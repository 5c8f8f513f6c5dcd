"""Words of a PDF page, left out where they are handwriting: its own ones, and what a reader of text found in a scan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dehw.files.pdf import layers
from dehw.files.pdf.layers import INVISIBLE, SHOW, Frame
from dehw.files.pdf.read import draw

if TYPE_CHECKING:
    import pikepdf
    import pypdfium2

HIDDEN_WORD, WORD = 0.3, 0.7  # shares of a word's box in the mask, for it to go: of invisible text, and of print
LETTER, BRUSHED = 0.98, 3  # of a letter's box, and letters in a row, that only a brush covers
IDEOGRAPHS = 0x2E80  # characters from here on are words by themselves, as no spaces part them
UNNAMED = "its text can no longer be selected"

Bounds = tuple[float, float, float, float]


@dataclass(eq=False)
class Text:
    """What one instruction shows, as PDFium reads it.

    mode: INVISIBLE too where other things hide it. is_own: whether the page's own content shows it, not a form's.
    box: of all of it, in the space of what shows it. letters: each with its box in the page's space and its width in
    thousandths of its size. gone: for each letter whether it is to go; or one for all of them.
    """

    mode: int
    is_own: bool
    box: Bounds
    letters: list[tuple[str, Bounds, float]] = field(default_factory=list)
    gone: list[bool] = field(default_factory=lambda: [False])


def without(
    pdf: pypdfium2.PdfDocument,
    index: int,
    contents: Sequence[list],
    at: Frame,
    mask: np.ndarray,
    drawn: Collection[str],
) -> tuple[list[list], tuple[str, ...]]:
    """The instructions of a page and its forms without the words under a mask, (H, W) bool; and what is lost.

    contents: of the page, and of each form in the order they are drawn; those without such words are the same lists.
    drawn: names of the page's fonts whose letters are drawings. The invisible text of a scan whose words cannot be told
    apart is left out as a whole. ValueError where but a part of a visible word is under the mask, or a drawing, which
    would stay in its font.
    """
    found, letters = _texts(pdf, index, at, mask.shape)
    modes = [[mode for mode, _ in _states(content)] for content in contents]
    fonts = [font for _, font in _states(contents[0])]
    known = [len(texts) for texts in found] == [len(each) for each in modes]
    if known:
        for text in (text for texts in found for text in texts):
            text.gone = _gone(text, at, mask)
    row = 0
    for text, box in letters:
        part = _under(box, at, mask)
        if part.size:  # no space
            row = row + 1 if part.mean() >= LETTER and not text.gone[0] else 0
        if row == BRUSHED:
            raise ValueError("a part of a text is brushed over")
    if known and any(
        text.mode != INVISIBLE and any(text.gone) and font in drawn for text, font in zip(found[0], fonts)
    ):
        raise ValueError("handwriting may be drawn as a letter")
    if not known:
        found = [[Text(mode, False, (0, 0, 0, 0), gone=[mode == INVISIBLE]) for mode in each] for each in modes]
    has_some = [any(any(text.gone) for text in texts) for texts in found]
    kept = [_without(*pair) if some else pair[0] for some, pair in zip(has_some, zip(contents, found))]
    return kept, (UNNAMED,) if any(has_some) and not known else ()


def _gone(text: Text, at: Frame, mask: np.ndarray) -> list[bool]:
    """Which letters of a text are to go: of visible text all or none, of invisible text whole words. ValueError where
    it is a form's, and visible.
    """
    if text.mode != INVISIBLE and text.is_own:
        return [_share(text.box, at, mask) > WORD]
    if text.mode != INVISIBLE:
        if len(text.letters) >= BRUSHED and _share(_around(text.letters), at, mask) > WORD:
            raise ValueError("others may show the same form")
        return [False]
    gone: list[bool] = []
    for word in _words(text.letters):
        gone += [_share(_around(word), at, mask) > HIDDEN_WORD] * len(word)
    return gone or [False]


def _around(letters: list[tuple[str, Bounds, float]]) -> Bounds:
    edges = np.array([box for _, box, _ in letters])
    return (*edges[:, :2].min(0), *edges[:, 2:].max(0))


def _words(letters: list[tuple[str, Bounds, float]]) -> Iterator[list[tuple[str, Bounds, float]]]:
    """The letters, parted at spaces, each of which goes with the word before it."""
    word: list[tuple[str, Bounds, float]] = []
    for letter in letters:
        if word and (ord(letter[0]) >= IDEOGRAPHS or (word[-1][0].isspace() and not letter[0].isspace())):
            yield word
            word = []
        word.append(letter)
    if word:
        yield word


def _without(instructions: Iterable, texts: list[Text]) -> list:
    """The instructions, with nothing to show where letters are to go; they still move on."""
    import pikepdf

    following = iter(texts)
    kept: list = []
    for instruction in instructions:
        operands, operator = instruction
        word = str(operator)
        text = next(following) if _shows_text(operands, word) else None
        if text and any(text.gone):
            left = None if all(text.gone) or word not in ("Tj", "TJ") else _left(operands[0], word, text)
            if left is None:
                operands = [*operands[:-1], pikepdf.Array() if word == "TJ" else pikepdf.String("")]
            else:
                operands, operator = [left], pikepdf.Operator("TJ")
            instruction = pikepdf.ContentStreamInstruction(operands, operator)
        kept.append(instruction)
    return kept


def _left(shown: Any, word: str, text: Text) -> pikepdf.Array | None:
    """What TJ shows of a text without letters that are to go; None where its bytes are not known to be these."""
    import pikepdf

    parts = [shown] if word == "Tj" else list(shown)
    count = sum(len(bytes(part)) for part in parts if isinstance(part, pikepdf.String))
    size, rest = divmod(count, len(text.letters))
    if rest or size not in (1, 2):
        return None
    left = pikepdf.Array()
    letters = iter(zip(text.letters, text.gone))
    for part in parts:
        if not isinstance(part, pikepdf.String):
            left.append(part)
            continue
        codes = bytes(part)
        for start in range(0, len(codes), size):
            (_, _, width), gone = next(letters)
            left.append(round(-width, 3) if gone else pikepdf.String(codes[start : start + size]))
    return left


def _states(instructions: Iterable) -> Iterator[tuple[int, str]]:
    """The rendering mode of each text that is shown, and the name of its font."""
    saved, mode, font = [], 0, ""
    for operands, operator in instructions:
        word = str(operator)
        if word == "q":
            saved.append((mode, font))
        elif word == "Q" and saved:
            mode, font = saved.pop()
        elif word == "Tr":
            mode = int(operands[0])
        elif word == "Tf":
            font = str(operands[0])
        elif _shows_text(operands, word):
            yield mode, font


def _shows_text(operands: Any, word: str) -> bool:
    """Whether an instruction makes a text of PDFium's: not an empty one."""
    if word == "TJ":
        import pikepdf

        return any(isinstance(each, pikepdf.String) for each in operands[0])
    return word in SHOW and len(bytes(operands[-1])) > 0


def _texts(
    pdf: pypdfium2.PdfDocument, index: int, at: Frame, shape: tuple[int, ...]
) -> tuple[list[list[Text]], list[tuple[Text, Bounds]]]:
    """The texts of a page's own content and of each form, in the order they are drawn; and the visible letters, each
    with its text and box. shape: (height, width) to draw the page with, to see what is hidden.
    """
    import pypdfium2.raw as raw

    page = pdf[index]
    reader = page.get_textpage()
    try:
        found: list[list[Text]] = [[]]
        owners: dict[int | None, Text] = {}
        inside = [found[0]]  # lists of what is drawn, from the page's to the innermost form's
        hiding = False
        kinds = [raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM, raw.FPDF_PAGEOBJ_IMAGE]
        for each in page.get_objects(filter=kinds, max_depth=layers.NESTED + 1):
            if each.type == raw.FPDF_PAGEOBJ_IMAGE:
                hiding = True
                continue
            del inside[each.level + 1 :]
            if each.type == raw.FPDF_PAGEOBJ_TEXT:
                text = Text(raw.FPDFTextObj_GetTextRenderMode(each), each.level == 0, each.get_bounds())
                owners[_address(each.raw)] = text
                inside[-1].append(text)
            elif each.level < layers.NESTED:
                found.append([])
                inside.append(found[-1])
        letters = list(_letters(reader, owners))
        if hiding and any(text.mode != INVISIBLE for text in owners.values()):
            shown = _shown(pdf, page, shape)
            for text in owners.values():
                if not any(_under(box, at, shown).any() for _, box, _ in text.letters):
                    text.mode = INVISIBLE
        return found, [(text, box) for text, box in letters if text.mode != INVISIBLE]
    finally:
        reader.close()
        page.close()


def _letters(reader: pypdfium2.PdfTextPage, owners: dict[int | None, Text]) -> Iterator[tuple[Text, Bounds]]:
    """Give texts, by the addresses of their objects, their letters, and yield each with its text and box."""
    import ctypes

    import pypdfium2.raw as raw

    width = ctypes.c_float()
    for number in range(reader.count_chars()):
        owner = raw.FPDFText_GetTextObject(reader, number)
        if not owner or _address(owner) not in owners:  # a space that PDFium adds, or too deep in forms
            continue
        text = owners[_address(owner)]
        code, box = raw.FPDFText_GetUnicode(reader, number), reader.get_charbox(number)
        known = raw.FPDFFont_GetGlyphWidth(raw.FPDFTextObj_GetFont(owner), code, 1000, width)
        text.letters.append((chr(code), box, width.value if known else 0.0))
        yield text, box


def _shown(pdf: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, shape: tuple[int, ...]) -> np.ndarray:
    """Where texts are seen on a page, (H, W) bool. It is without them then."""
    import pypdfium2.raw as raw

    size = shape[1], shape[0]
    before = draw(pdf, page, size, False)
    for each in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=layers.NESTED + 1):
        raw.FPDFTextObj_SetTextRenderMode(each, INVISIBLE)
    return (draw(pdf, page, size, False) != before).any(2)


def _address(handle: object) -> int | None:
    import ctypes

    return ctypes.cast(handle, ctypes.c_void_p).value  # type: ignore[arg-type]


def _under(box: Bounds, at: Frame, mask: np.ndarray) -> np.ndarray:
    """The part of a mask, (H, W) bool, in a box of the page's space."""
    left, top, right, bottom = layers.on_page(box, at, (mask.shape[1], mask.shape[0]))
    return mask[top:bottom, left:right]


def _share(box: Bounds, at: Frame, mask: np.ndarray) -> float:
    part = _under(box, at, mask)
    return float(part.mean()) if part.size else 0.0
