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

# In the dictionary of a stream: which part of a spool it stands for, and the dictionary of that.
WAITS, ABOUT = "/DehwWaits", "/DehwAbout"


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
    """The data of streams, which waits on disk: pikepdf keeps in memory whatever it is given."""

    def __init__(self, folder: Path):
        self.file = tempfile.TemporaryFile(dir=folder)
        self.parts: list[tuple[int, int]] = []  # start and length

    def add(self, pdf: pikepdf.Pdf, encoded: Encoded) -> pikepdf.Object:
        """Keep a stream's data; returns an object of a PDF that stands for it until `fill`."""
        import pikepdf

        masks = {key: self.add(pdf, mask) for key, mask in encoded.masks.items()}
        self.parts.append((self.file.tell(), len(encoded.data)))
        self.file.write(encoded.data)
        about = pikepdf.Dictionary(encoded.entries | masks)
        return pikepdf.Stream(pdf, b"", pikepdf.Dictionary({WAITS: len(self.parts) - 1, ABOUT: about}))

    def fill(self, path: Path) -> None:
        """Append the data to a PDF saved with a plain table of its objects, as an update of those that stand for it."""
        import pikepdf

        with pikepdf.open(path, access_mode=pikepdf.AccessMode.stream) as pdf:
            found = [each for each in pdf.objects if isinstance(each, pikepdf.Stream) and WAITS in each]
            heads = {each.objgen[0]: (int(each[WAITS]), self._head(each)) for each in found}
            kept = {"/Root": pdf.trailer.Root, "/Size": len(pdf.objects) + 1}
            kept |= {"/Info": pdf.trailer.Info} if "/Info" in pdf.trailer else {}
            trailer = pikepdf.Dictionary(kept).unparse()
        with open(path, "r+b") as file:
            file.seek(-64, io.SEEK_END)
            before = int(file.read().split(b"startxref")[1].split()[0])
            table = b""
            for number, (part, head) in heads.items():
                table += b"%d 1\n%010d 00000 n \n" % (number, file.tell())
                start, size = self.parts[part]
                self.file.seek(start)
                file.write(b"%d 0 obj\n%s\nstream\n%s\nendstream\nendobj\n" % (number, head, self.file.read(size)))
            ends = trailer.removesuffix(b">>"), before, file.tell()
            file.write(b"xref\n" + table + b"trailer%s/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % ends)

    def _head(self, stream: pikepdf.Object) -> bytes:
        """The dictionary of a stream, for its data."""
        import pikepdf

        about = pikepdf.Dictionary(dict(stream[ABOUT].items()))
        about.Length = self.parts[int(stream[WAITS])][1]
        return about.unparse(resolved=True)

    def close(self) -> None:
        self.file.close()
