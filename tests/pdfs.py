"""Small PDFs made of objects, and all that one holds."""

import struct

import numpy as np
import pikepdf
from pikepdf import Array, Dictionary, Name

from dehw.files.documents import new_document, open_document
from dehw.files.pdf import encode
from dehw.files.sheet import Sheet

BLUE = (20, 30, 200)  # handwriting
A_PAGE = (60, 90)  # points
INK = slice(40, 60), slice(30, 130)  # pixels of a page drawn at 200 dpi


def paper(height, width, ink=None, seed=0):
    """Grey print, a bar of it, on paper of noise, (H, W, 3) uint8; and blue handwriting at `ink`."""
    image = np.random.default_rng(seed).integers(225, 250, (height, width, 1), np.uint8).repeat(3, 2)
    image[height // 10 : height // 8, width // 5 : width // 2] = 60
    if ink:
        image[ink] = BLUE
    return image


def picture(pdf, image, **entries):
    """A picture, (H, W, 3), (H, W) uint8 or, of 1 bit, (H, W) bool, as an object."""
    bits = 1 if image.dtype == bool else 8
    space = Name.DeviceRGB if image.ndim == 3 else Name.DeviceGray
    data = np.packbits(image, axis=1).tobytes() if bits == 1 else np.ascontiguousarray(image).tobytes()
    about = dict(Type=Name.XObject, Subtype=Name.Image, Width=image.shape[1], Height=image.shape[0])
    about |= dict(BitsPerComponent=bits, ColorSpace=space) | entries
    return pdf.make_stream(data, {f"/{key}": value for key, value in about.items() if value is not None})


def jbig2(pdf, image, **entries):
    """A picture of 1 bit, (H, W) bool, as JBIG2 (ITU-T T.88): a page of one region, coded as in a fax."""
    high, wide = image.shape
    page = struct.pack(">IIIIBH", wide, high, 0, 0, 0, 0)
    region = (
        struct.pack(">IIIIBB", wide, high, 0, 0, 0, 1) + encode.bits(np.where(image, np.uint8(0), np.uint8(255))).data
    )
    parts = [
        struct.pack(">IBBBI", number, kind, 0, 1, len(data)) + data
        for number, kind, data in ((0, 48, page), (1, 38, region))
    ]
    made = picture(pdf, image, **entries)
    made.write(b"".join(parts), filter=Name.JBIG2Decode)
    return made


def add_page(pdf, content, size=A_PAGE, pictures=(), **entries):
    """Append a page. pictures: named /P0, /P1 and so on; /F1 is Helvetica."""
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    named = Dictionary({f"/P{number}": each for number, each in enumerate(pictures)})
    about = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, *size]),
        Contents=pdf.make_stream(content.encode()),
        Resources=Dictionary(Font=Dictionary(F1=font), XObject=named),
        **entries,
    )
    pdf.pages.append(pikepdf.Page(about))
    return pdf.pages[-1]


def over(page=A_PAGE, name="P0"):
    """Content that draws a picture over the whole page."""
    return f"q {page[0]} 0 0 {page[1]} 0 0 cm /{name} Do Q "


def erase(source, target, mask_of):
    """Whiten pages where `mask_of(sheet)` is True, keep those where it is nowhere; returns what was lost."""
    lost = []
    with open_document(source) as document, new_document(target, "PDF", document) as writer:
        for index in range(document.count):
            sheet = document.read(index)
            mask = mask_of(sheet)
            if not mask.any() and sheet.inked is None:
                assert writer.keep(index, sheet) == "itself"
                continue
            clean = np.where(mask[..., None], np.uint8(238), sheet.image)
            lost.append(writer.add(Sheet(clean, sheet.metadata, sheet.points, (), mask, sheet.inked)))
        writer.finish()
    return lost


def is_blue(image):
    """(H, W) bool: where an image, (H, W, 3) uint8, shows handwriting, and a little about it."""
    import cv2

    blue = image[..., 2].astype(int) - image[..., 0] > 50
    return cv2.dilate(blue.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def mask_of(sheet):
    return is_blue(sheet.image)


def pictures_of(path):
    """Every picture that a PDF's file holds, whether a page shows it or not, as (H, W, 3) uint8."""
    with pikepdf.open(path) as pdf:
        streams = [each for each in pdf.objects if isinstance(each, pikepdf.Stream)]
        found = [each for each in streams if each.get("/Subtype") == "/Image"]
        return [np.array(pikepdf.PdfImage(each).as_pil_image().convert("RGB")) for each in found]


def contents_of(path):
    """Every other stream of a PDF's file, decoded, as one."""
    with pikepdf.open(path) as pdf:
        streams = [each for each in pdf.objects if isinstance(each, pikepdf.Stream)]
        return b"\n".join(each.read_bytes() for each in streams if each.get("/Subtype") != "/Image")


def is_flat(path, index=0):
    """Whether a page was made a picture of itself."""
    with pikepdf.open(path) as pdf:
        return "/Page" in pdf.pages[index].Resources.get("/XObject", {})


def has_ink(path):
    """Whether any picture of a PDF's file shows handwriting."""
    return any(is_blue(image).any() for image in pictures_of(path))
