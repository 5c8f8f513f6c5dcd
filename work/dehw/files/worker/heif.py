"""HEIC pictures: libheif decodes them in the worker, and writes them here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageFile

from dehw.files.worker import client

T = TypeVar("T")

KEPT = ("exif", "icc_profile")  # of what a file says beside its pixels


def register() -> None:
    """Have Pillow know the format. Raises ValueError where the package for it is missing."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ValueError("HEIC needs one more package, pip install pillow-heif") from error
    pillow_heif.register_heif_opener()


class HeifFile(ImageFile.ImageFile):
    """A HEIC file as Pillow's pictures are: it is decoded when its pixels are needed. Raises what client.run does."""

    format = "HEIF"

    def __init__(self, path: Path):
        self.path: Path | None = path
        super().__init__(path)

    def _open(self) -> None:
        self._mode, size, about = self._ask(look)
        if size[0] * size[1] > 2 * (Image.MAX_IMAGE_PIXELS or float("inf")):
            raise Image.DecompressionBombError
        self._size = size
        self.info = dict(about)

    def load(self) -> Image.core.PixelAccess | None:
        if self.path:
            self.im = Image.frombytes(self.mode, self.size, self._ask(decode, self.mode)).im
            self.path = None
            if self.fp:
                self.fp.close()
        return super().load()

    def _ask(self, function: Callable[..., T], *arguments: str) -> T:
        assert self.path
        return client.run(f"{self.path} cannot be read", function, self.path.absolute(), *arguments)


def look(path: Path) -> tuple[str, tuple[int, int], tuple[tuple[str, bytes], ...]]:
    """A picture's mode, its (width, height), and what its file says beside the pixels."""
    register()
    with Image.open(path, formats=["HEIF"]) as image:
        return image.mode, image.size, tuple((key, image.info[key]) for key in KEPT if image.info.get(key))


def decode(path: Path, mode: str) -> bytes:
    """The pixels of a picture of that mode."""
    register()
    with Image.open(path, formats=["HEIF"]) as image:
        return image.convert(mode).tobytes()
