"""Pictures as a PDF holds them, and a file in which they wait to be written."""

from __future__ import annotations

import io
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from dehw.files import images
from dehw.files.images import Metadata
from dehw.files.worker import wire

if TYPE_CHECKING:
    import pikepdf

# In the dictionary of a stream: which part of a spool it stands for, and the dictionary of that.
WAITS, ABOUT = "/DehwWaits", "/DehwAbout"


@wire.sent
@dataclass(frozen=True)
class Encoded:
    """A stream: its bytes, and its dictionary as PDF writes it. masks: other streams that it names, by their keys."""

    data: bytes
    head: bytes
    masks: tuple[tuple[str, Encoded], ...] = ()

    def stream(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """The same as an object of a PDF."""
        import pikepdf

        return pikepdf.Stream(pdf, self.data, self.dictionary({key: mask.stream(pdf) for key, mask in self.masks}))

    def dictionary(self, masks: dict[str, pikepdf.Object]) -> pikepdf.Object:
        """Its dictionary, with other streams by their keys."""
        import pikepdf

        return pikepdf.Dictionary(dict(pikepdf.Object.parse(self.head).items()) | masks)


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
            return Encoded(packed, _head(image, colours | {"/Filter": _name("/FlateDecode")}))
    return Encoded(file.getvalue(), _head(image, colours | {"/Filter": _name("/DCTDecode")}))


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
    entries = {"/BitsPerComponent": 1, "/Filter": _name("/CCITTFaxDecode"), "/DecodeParms": how}
    entries |= {"/ImageMask": True} if stencil else {"/ColorSpace": _name("/DeviceGray")}
    return Encoded(file.getvalue()[start : start + size], _head(grey, entries))


def _name(name: str) -> pikepdf.Object:
    import pikepdf

    return pikepdf.Name(name)


def _head(image: np.ndarray, entries: dict[str, object]) -> bytes:
    import pikepdf

    kind = {"/Type": _name("/XObject"), "/Subtype": _name("/Image")}
    return pikepdf.Dictionary(kind | {"/Width": image.shape[1], "/Height": image.shape[0]} | entries).unparse()


class Spool:
    """The data of a PDF's new streams, which waits on disk: pikepdf keeps in memory whatever it is given."""

    def __init__(self, pdf: pikepdf.Pdf, folder: Path):
        self.pdf = pdf
        self.file = tempfile.TemporaryFile(dir=folder)
        self.parts: list[tuple[int, int]] = []  # start and length

    def put(self, holder: pikepdf.Object, key: str, encoded: Encoded) -> None:
        """Put a stream into a dictionary, whose data waits."""
        holder[key] = self._waiting(encoded)

    def _waiting(self, encoded: Encoded) -> pikepdf.Object:
        """Keep a stream's data; returns an object of the PDF that stands for it until `fill`."""
        import pikepdf

        about = encoded.dictionary({key: self._waiting(mask) for key, mask in encoded.masks})
        self.parts.append((self.file.tell(), len(encoded.data)))
        self.file.write(encoded.data)
        return pikepdf.Stream(self.pdf, b"", pikepdf.Dictionary({WAITS: len(self.parts) - 1, ABOUT: about}))

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
        """The dictionary of a stream, for its data, with what was added to the object that stands for it."""
        import pikepdf

        about = pikepdf.Dictionary(dict(stream.items()) | dict(stream[ABOUT].items()))
        del about[WAITS], about[ABOUT]
        about.Length = self.parts[int(stream[WAITS])][1]
        return about.unparse(resolved=True)

    def close(self) -> None:
        self.file.close()
