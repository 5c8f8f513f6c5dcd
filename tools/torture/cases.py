"""Inputs that are damaged or meant ill: good files of every kind, and what a seed makes of them."""

from __future__ import annotations

import io
import pickle
import random
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dehw.config import PIPELINES
from dehw.engine.weights import MANIFEST, SHIPPED

SIZE = (240, 160)  # of a page: one window of the networks
ODD_NUMBERS = (b"0", b"-1", b"1e9", b"4294967295", b"99999999999999999999", b"0.0000001", b"9" * 5000)
ODD_BYTES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"%PDF-", b"PK\x03\x04")
ODD_VALUES = (
    *"[] {} null true .inf -.inf .nan 0 -1 1.5 1e400 abc '' 2001-12-14t21:59:43.10-99:99 ../../x".split(),
    *("!!int abc", "!!float abc", "!!set {a}", "!!binary aGk=", "!!python/name:os.system ''", "&a [*a]"),
    *("9" * 5000, "[" * 5000, "{a: " * 500, "'" + "x" * 5000 + "'", '"\\ud800"', '"\\0"', "*nothing"),
)


def page(seed: int = 0) -> Image.Image:
    """A small page with lines of print and a stroke of blue ink."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    for top in range(10, 140, 22):
        draw.text((10, top), f"Exercise {top + seed}: 3 + 4 = ____", fill=(20, 20, 20))
    draw.line([(120 + seed % 50, 20), (200, 90), (140, 130)], fill=(20, 40, 180), width=3)
    return image


def good(kind: str) -> Iterator[tuple[str, bytes]]:
    """Good files of a kind, each as its suffix and content."""
    yield from GOOD[kind]()


def _images() -> Iterator[tuple[str, bytes]]:
    formats: list[tuple[str, str, dict[str, Any]]] = [
        *((suffix, name, {}) for suffix, name in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("bmp", "BMP"))),
        ("tif", "TIFF", {}),
        ("tif", "TIFF", {"compression": "tiff_lzw", "save_all": True, "append_images": [page(1)]}),
        ("jpg", "JPEG", {"progressive": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ]
    for suffix, name, options in formats:
        content = io.BytesIO()
        page().save(content, name, **options)
        yield suffix, content.getvalue()
    deep = Image.fromarray(np.array(page().convert("L"), np.uint16) * 257)
    for image in (deep, *(page().convert(mode) for mode in ("1", "L", "P", "LA"))):
        content = io.BytesIO()
        image.save(content, "PNG")
        yield "png", content.getvalue()


def _pdfs() -> Iterator[tuple[str, bytes]]:
    for pictures in ([page()], [page(), page(1).convert("1")]):
        content = io.BytesIO()
        options = {"append_images": pictures[1:], "creationDate": time.gmtime(0), "modDate": time.gmtime(0)}
        pictures[0].save(content, "PDF", save_all=True, resolution=150, **options)
        yield "pdf", content.getvalue()
    text = b"BT /F1 12 Tf 20 60 Td (2 + 3 =) Tj ET 0 0 1 RG 60 20 m 90 70 l S"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 120 80]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, places = b"%PDF-1.7\n", []
    for number, inside in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, inside)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    yield "pdf", body + end % (table, len(body))


def _zips() -> Iterator[tuple[str, bytes]]:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as archive:
            for name in ("set/images/a.png", "set/gts/a.png"):
                picture = io.BytesIO()
                page().save(picture, "PNG")
                archive.writestr(zipfile.ZipInfo(name), picture.getvalue(), method)
        yield "zip", content.getvalue()


def _configs() -> Iterator[tuple[str, bytes]]:
    for path in sorted(PIPELINES.glob("*.yml")):
        yield "yml", path.read_bytes()


def _weights() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    state = {f"layer{n}.weight": rng.random((4, 3, 3, 3), np.float32) for n in range(6)}
    tensors = {key: (key, value) for key, value in state.items()}
    training = {"model": state, "optimizer": {"LR_Scheduler": {"last_lr": 1e-4}}, "random": np.random.get_state()}
    for protocol in (2, 4):
        for content in (state, tensors, training, {**state, "StructuredToParameterName@@": {}}):
            yield "pdparams", pickle.dumps(content, protocol)
    yield "json", (SHIPPED / MANIFEST).read_bytes()


GOOD: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "images": _images,
    "PDFs": _pdfs,
    "zips": _zips,
    "configs": _configs,
    "weights": _weights,
}
SUFFIXES = {
    "images": "jpg jpeg png webp bmp tif tiff heic".split(),
    "PDFs": ["pdf"],
    "zips": ["zip"],
    "configs": ["yml", "yaml"],
    "weights": ["pdparams", "pdopt", "pdckpt", "json"],
}


def given(kind: str, inputs: Path | None) -> list[tuple[str, bytes]]:
    """The files of a kind below a folder."""
    paths = sorted(inputs.rglob("*")) if inputs else []
    found = [path for path in paths if path.suffix.lower().removeprefix(".") in SUFFIXES[kind] and path.is_file()]
    return [(path.suffix.lower().removeprefix("."), path.read_bytes()) for path in found]


def mutated(kind: str, content: bytes, other: bytes, rng: random.Random) -> bytes:
    """What a few steps of damage make of a file; other: a second one, which pieces are taken from."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice([*STEPS, *OF_KIND.get(kind, ())])(content, other, rng)
    return content


def _flip(content: bytes, _: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _bit in range(rng.randint(1, 20)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, _: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))]


def _lose(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + content[start + rng.randint(1, 200) :]


def _repeat(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + content[start : start + rng.randint(1, 500)] * rng.randint(2, 20) + content[start:]


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


def _set(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start, value = rng.randint(0, len(content)), rng.choice(ODD_BYTES)
    return content[:start] + value + content[start + len(value) :]


def _number(content: bytes, _: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"\d+(\.\d+)?", content))
    if not found:
        return content
    place = rng.choice(found)
    return content[: place.start()] + rng.choice(ODD_NUMBERS) + content[place.end() :]


def _value(content: bytes, _: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    number = rng.randrange(len(lines))
    key, colon, _rest = lines[number].partition(b":")
    if colon:
        lines[number] = key + b": " + rng.choice(ODD_VALUES).encode()
    return b"\n".join(lines)


STEPS = (_flip, _cut, _lose, _repeat, _splice, _set)
OF_KIND = {"PDFs": (_number,) * 6, "configs": (_value, _number) * 6}
