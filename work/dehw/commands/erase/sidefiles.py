"""Pictures written beside an erased page: its mask, before and after, the handwriting alone."""

import re
from collections.abc import Set
from pathlib import Path

import numpy as np

from dehw.eraser import Erased
from dehw.files import images, panels
from dehw.files.images import Metadata
from dehw.page import ink

# Each gets the page as it was and erased; the key is the name's last part.
MAKERS = {
    "mask": lambda image, erased: panels.tint(image, erased.mask),
    "compare": lambda image, erased: panels.side_by_side(image, erased.page),
    "ink": lambda image, erased: ink.lift(image, erased.page, erased.mask),
}
LOSSY = ("JPEG", "HEIF", "PDF")  # kinds whose pictures are JPEG or like it: their comparison is one too
NAME = re.compile(rf"(.+)\.({'|'.join(MAKERS)})\.(png|jpg)", re.DOTALL)


def path(target: Path, side: str, kind: str | None, index: int, count: int) -> Path:
    """Where a side file of a page goes: STEM.SIDE.png beside target, STEM.N.SIDE.png for page N of many.

    STEM goes without .clean. kind: of the target, as images.kind_of; the comparison is a JPEG where it is one.
    """
    number = f".{index + 1:0{len(str(count))}}" if count > 1 else ""
    suffix = "jpg" if side == "compare" and kind in LOSSY else "png"
    return target.with_name(f"{target.stem.removesuffix('.clean')}{number}.{side}.{suffix}")


def is_one(path: Path, stems: Set[str]) -> bool:
    """Whether a file is named as a side file of a page; stems: of the files in its folder."""
    match = NAME.fullmatch(path.name)
    if not match:
        return False
    stem = match[1]
    of_many = re.sub(r"\.\d+$", "", stem)
    return not stems.isdisjoint({stem, f"{stem}.clean", of_many, f"{of_many}.clean"})


def write(path: Path, side: str, image: np.ndarray, erased: Erased, metadata: Metadata) -> None:
    """Write a side file, which appears only when whole; over one that is there.

    image: the page as it was, (H, W, 3) uint8 RGB; of its metadata the resolution is kept. Raises PageError.
    """
    picture = MAKERS[side](image, erased)
    images.write_image(path, picture, metadata=Metadata(dpi=metadata.dpi))
