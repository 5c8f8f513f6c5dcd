"""Pictures as a PDF holds them, and a file in which they wait to be written."""

from __future__ import annotations

import io
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from dehw.files import images
from dehw.files.images import Metadata

if TYPE_CHECKING:
    import pikepdf


@dataclass(frozen=True)
class Encoded:
    """A stream: its bytes, and the dictionary with them. masks: other streams that it names, by their keys."""

    data: bytes
    entries: dict[str, object]
    masks: dict[str, Encoded] = field(default_factory=dict)

    def stream(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """The same as an object of a PDF."""
        import pikepdf

        masks = {key: mask.stream(pdf) for key, mask in self.masks.items()}
        return pikepdf.Stream(pdf, self.data, pikepdf.Dictionary(self.entries | masks))


def picture(image: np.ndarray, about: Metadata, lossless: bool = False) -> Encoded:
    """A picture, (H, W, 3) or (H, W) uint8: by G4 where it is bilevel, else as JPEG, 4:4:4.

    lossless: without loss, where that takes less room.
    """
    if about.bilevel:
        return bits(image[..., 0] if image.ndim == 3 else image)
    file = io.BytesIO()
    images.save(file, image, "JPEG", Metadata(grey=about.grey, icc=about.icc))
    grey = about.grey or image.ndim == 2
    colours = {"/ColorSpace": _name("/DeviceGray" if grey else "/DeviceRGB"), "/BitsPerComponent": 8}
    if lossless:
        plain = image[..., :1] if grey and image.ndim == 3 else image
        packed = zlib.compress(np.ascontiguousarray(plain).data)
        if len(packed) < file.tell():
            return Encoded(packed, _about(image) | colours | {"/Filter": _name("/FlateDecode")})
    return Encoded(file.getvalue(), _about(image) | colours | {"/Filter": _name("/DCTDecode")})


def bits(grey: np.ndarray, stencil: bool = False) -> Encoded:
    """A picture of two levels, (H, W) uint8, by CCITT G4. stencil: of which black is painted."""
    import pikepdf

    high, wide = grey.shape
    file = io.BytesIO()
    page = Image.fromarray(grey).point(lambda level: 255 * (level > 127), "1")
    page.save(file, "TIFF", compression="group4", tiffinfo={ExifTags.Base.RowsPerStrip: high})
    file.seek(0)
    table = TiffImagePlugin.TiffImageFile(file).tag_v2
    (start,), (size,) = (table[tag] for tag in (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts))
    how = pikepdf.Dictionary(K=-1, Columns=wide, Rows=high, BlackIs1=True)
    entries = _about(grey) | {"/BitsPerComponent": 1, "/Filter": _name("/CCITTFaxDecode"), "/DecodeParms": how}
    entries |= {"/ImageMask": True} if stencil else {"/ColorSpace": _name("/DeviceGray")}
    return Encoded(file.getvalue()[start : start + size], entries)


def _name(name: str) -> pikepdf.Object:
    import pikepdf

    return pikepdf.Name(name)


def _about(image: np.ndarray) -> dict[str, object]:
    kind = {"/Type": _name("/XObject"), "/Subtype": _name("/Image")}
    return kind | {"/Width": image.shape[1], "/Height": image.shape[0]}


class Spool:
    """Streams that wait on disk, in a PDF of their own, until another PDF takes them over."""

    def __init__(self, folder: Path):
        self.file = tempfile.TemporaryFile(dir=folder)
        self.file.write(b"%PDF-1.7\n")
        self.offsets: list[int] = []
        self.pdf: pikepdf.Pdf | None = None

    def add(self, encoded: Encoded) -> int:
        """Write a stream; returns its number."""
        import pikepdf

        masks = "".join(f"{key} {self.add(mask)} 0 R" for key, mask in encoded.masks.items())
        about = pikepdf.Dictionary(encoded.entries | {"/Length": len(encoded.data)}).unparse(resolved=True)
        self._object(about[:-2] + masks.encode() + b">>\nstream\n" + encoded.data + b"\nendstream")
        return len(self.offsets)

    def open(self) -> pikepdf.Pdf:
        """The streams as objects of a PDF, whose numbers are those of `add`."""
        import pikepdf

        count = len(self.offsets) + 3
        self._object(b"<</Type/Pages/Count 0/Kids[]>>")
        self._object(f"<</Type/Catalog/Pages {count - 2} 0 R>>".encode())
        start = self.file.tell()
        lines = b"".join(b"%010d 00000 n \n" % offset for offset in self.offsets)
        self.file.write(b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, lines))
        self.file.write(b"trailer<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, count - 1, start))
        self.file.seek(0)
        self.pdf = pikepdf.open(self.file, access_mode=pikepdf.AccessMode.stream)
        return self.pdf

    def close(self) -> None:
        if self.pdf:
            self.pdf.close()
        self.file.close()

    def _object(self, content: bytes) -> None:
        self.offsets.append(self.file.tell())
        self.file.write(b"%d 0 obj\n%s\nendobj\n" % (len(self.offsets), content))
