"""A page of a document, and what every writer of documents does."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from dehw.files import images
from dehw.files.atomic import atomic_path
from dehw.files.images import Metadata
from dehw.files.worker import wire

if TYPE_CHECKING:
    from typing_extensions import Self

INCH = 72  # PDF's points an inch
DPI = 200  # of pages that name no resolution: A4 then has the pixels of a usual scan
A4 = (595.0, 842.0)  # points
Kept = Literal["itself", "drawn", "empty"]


@wire.sent
@dataclass(frozen=True)
class TextLine:
    """Words that were read on a page. corners: (x, y) of upper left, upper right, lower right and lower left, in shares
    of the page's width and height.
    """

    text: str
    corners: tuple[tuple[float, float], ...]


@wire.sent
@dataclass(frozen=True)
class Sheet:
    """One page of a document.

    image: (H, W, 3) uint8 RGB, upright. points: (width, height) of a PDF's page. losses: what of the page a
    new file would not keep, a phrase each. mask: (H, W) bool, where it was erased; None where that is not known.
    inked: the page with the strokes that the file holds apart from it, and which `image` does not show; None without.
    spared: (H, W) bool, where strokes stay; None where they all go. stored: (h, w, 3) uint8, the page as its
    file has it, where these pixels are not square; None where they are. lines: words that a PDF is to be searched by.
    """

    image: np.ndarray
    metadata: Metadata
    points: tuple[float, float] | None = None
    losses: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    inked: np.ndarray | None = None
    spared: np.ndarray | None = None
    stored: np.ndarray | None = None
    lines: tuple[TextLine, ...] = ()

    @property
    def shown(self) -> np.ndarray:
        """The page as it is written: with those strokes that stay, all of them where it was not erased, and at the
        file's own pixels.
        """
        if self.stored is not None:
            return self._at_own_size(self.stored)
        if self.inked is None or self.mask is None:
            return self.image if self.inked is None else self.inked
        return self.image if self.spared is None else np.where(self.spared[..., None], self.inked, self.image)

    def _at_own_size(self, stored: np.ndarray) -> np.ndarray:
        """The page where it was erased, and as it was stored elsewhere."""
        if self.mask is None:
            return stored
        size = stored.shape[1::-1]
        image, mask = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (self.image, _grey(self.mask)))
        return np.where(mask[..., None] > 0, image, stored)


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


def page_name(path: Path, index: int, count: int) -> str:
    """What a message calls a page of a document of `count` pages."""
    return f"{path}, page {index + 1}," if count > 1 else str(path)


class DocumentWriter(ABC):
    """Writes a document; its file appears at `path` when the `with` block ends well. Raises PageError."""

    def __init__(self, path: str | Path):
        self.path, self.stack = Path(path), ExitStack()
        self.size: tuple[int, ...] | None = None  # (height, width) of the last page added, and its points
        self.points: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        with images.writing(self.path):
            self.temporary = self.stack.enter_context(atomic_path(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with images.writing(self.path):
            self.stack.__exit__(kind, error, trace)

    def add(self, sheet: Sheet) -> tuple[str, ...]:
        """Add a page; returns what of it is lost, a phrase each."""
        self.size, self.points = sheet.image.shape[:2], sheet.points
        with images.writing(self.path):
            return (*sheet.losses, *self._add(sheet))

    @abstractmethod
    def _add(self, sheet: Sheet) -> tuple[str, ...]:
        """Add a page; returns what is lost beside `losses`."""

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        """Add a page as it was: itself, or else its picture; an empty page where it could not be read."""
        if sheet:
            self.add(sheet)
            return "drawn"
        shape = self.size or tuple(round(side * DPI / INCH) for side in A4[::-1])
        self.add(Sheet(np.full((*shape, 3), 255, np.uint8), Metadata(grey=True), self.points))
        return "empty"

    @abstractmethod
    def finish(self) -> None:
        """Complete the file; no page can be added any more."""

    def copy(self, source: Path) -> None:
        """Take a file byte for byte in place of the pages added; over itself, with its permissions and times."""
        with images.writing(self.path):
            (shutil.copy2 if self._is_over(source) else shutil.copyfile)(source, self.temporary)

    def take_permissions(self, source: Path) -> None:
        """Where the file replaces its source, keep the source's permissions."""
        with images.writing(self.path):
            if self._is_over(source):
                shutil.copymode(source, self.temporary)

    def _is_over(self, source: Path) -> bool:
        return self.path.exists() and self.path.samefile(source)
