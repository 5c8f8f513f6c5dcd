"""Invisible words on PDF pages, by which they are searched: in the worker, see dehw.files.pdf.document."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dehw.files.pdf import layers
from dehw.files.pdf.layers import INVISIBLE
from dehw.files.sheet import TextLine

if TYPE_CHECKING:
    import pikepdf

# A font as OCR programs embed it, without which viewers would warn. Its two glyphs, half an em wide and a whole, paint
# nothing, but have the size of a character, which viewers mark.
GLYPHLESS = Path(__file__).parent / "glyphless.ttf"
NAME = "/DehwText"
WIDE = 0x2E80  # from this code on characters are Chinese, Japanese or Korean, 1 em wide; others count half of it
# Character codes are UTF-16.
TO_UNICODE = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


class TextLayers:
    """Lays words on the pages of one PDF."""

    def __init__(self, pdf: pikepdf.Pdf):
        self.pdf = pdf

    def add(self, page: pikepdf.Page, lines: Sequence[TextLine]) -> None:
        """Lay lines on a page, in its own content."""
        import pikepdf

        resources = copy.copy(page.resources)  # pages may share them
        resources.Font = copy.copy(resources.get("/Font", pikepdf.Dictionary()))
        resources.Font[NAME] = self._font
        page.obj.Resources = resources
        at = layers.frame(page).matrix
        shown = b"\n".join(_shown(line, at) for line in lines)
        restored = b"Q\n" * (1 + _unclosed(page))
        page.contents_add(b"q", prepend=True)  # what is there may leave the page's space moved
        page.contents_add(restored + b"BT %d Tr %s 1 Tf\n%s\nET" % (INVISIBLE, NAME.encode(), shown))

    @cached_property
    def _font(self) -> pikepdf.Object:
        """The font, in the file once."""
        import pikepdf
        from pikepdf import Array, Dictionary, Name

        about = Dictionary(
            Type=Name.FontDescriptor,
            FontName=Name.Glyphless,
            Flags=4,
            FontBBox=Array([0, 0, 1000, 1000]),
            ItalicAngle=0,
            Ascent=1000,
            Descent=0,
            CapHeight=1000,
            StemV=80,
            FontFile2=self.pdf.make_stream(GLYPHLESS.read_bytes()),
        )
        codes = Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name.Glyphless,
            CIDSystemInfo=Dictionary(
                Registry=pikepdf.String("Adobe"), Ordering=pikepdf.String("Identity"), Supplement=0
            ),
            CIDToGIDMap=self.pdf.make_stream(b"\0\1" * WIDE + b"\0\2" * (0x10000 - WIDE)),
            DW=1000,
            W=Array([0, WIDE - 1, 500]),
            FontDescriptor=self.pdf.make_indirect(about),
        )
        font = Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=Name.Glyphless,
            Encoding=Name("/Identity-H"),
            DescendantFonts=Array([self.pdf.make_indirect(codes)]),
            ToUnicode=self.pdf.make_stream(TO_UNICODE),
        )
        return self.pdf.make_indirect(font)


def _unclosed(page: pikepdf.Page) -> int:
    """How many states a page's content saves and does not restore, as some scanners leave them."""
    import pikepdf

    depth = 0
    for _, operator in pikepdf.parse_content_stream(page):
        depth += {"q": 1, "Q": -1 if depth else 0}.get(str(operator), 0)
    return depth


def _shown(line: TextLine, at: np.ndarray) -> bytes:
    """What shows a line. at: (3, 3), from the unit square of the page as shown to its space."""
    codes = line.text.encode("utf-16-be", "replace")
    ems = sum(1.0 if code >= WIDE else 0.5 for code in np.frombuffer(codes, ">u2"))
    corners = np.array([(x, 1 - y, 1) for x, y in line.corners]) @ at
    upper, _, right, left = corners[:, :2]
    six = *(right - left) / ems, *(upper - left), *left
    return b"%s Tm <%s> Tj" % (" ".join(f"{number:.4f}" for number in six).encode(), codes.hex().encode())
