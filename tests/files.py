"""Small pages as files of all kinds, and `dehw erase` run on them."""

import io
import json
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import Image

from dehw.commands import main
from dehw.files import documents

INK = slice(10, 14), slice(5, 30)  # where page() is written on


def page(ink=True, size=(60, 80)):
    picture = np.full((*size, 3), 230, np.uint8)
    if ink:
        picture[INK] = 30
    return picture


def whitened(picture):
    return np.where(picture < 128, 255, picture)


def save_tiff(path, *pictures, **options):
    frames = [Image.fromarray(picture) for picture in pictures]
    frames[0].save(path, save_all=True, append_images=frames[1:], compression="tiff_adobe_deflate", **options)


def save_pdf(path, *pictures, points=(40, 30)):
    pdf = pypdfium2.PdfDocument.new()
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0)
        image = pypdfium2.PdfImage.new(pdf)
        image.load_jpeg(file, inline=True)
        image.set_matrix(pypdfium2.PdfMatrix().scale(*points))
        new = pdf.new_page(*points)
        new.insert_obj(image)
        new.gen_content()
    pdf.save(path)


def damage_page(path, index):
    """Overwrite the pixels of a TIFF's page."""
    with Image.open(path) as image:
        image.seek(index)
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:start] + b"\xff" * size + content[start + size :])


def pages_of(path):
    with documents.open_document(path) as document:
        return [document.read(index).image for index in range(document.count)]


def run(*arguments):
    return main.main(["erase", *map(str, arguments)])


def report():
    return json.loads(Path("report.json").read_text(encoding="utf-8"))


def files(folder="."):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
