"""Pillow's pictures as pages, and pages as pictures of the same mode."""

import numpy as np
from PIL import Image

from dehw.files import images

OWN_MODES = ("RGB", "RGBA", "L", "LA", "1")  # come back as they are; grey of 16 or 32 bits as L, all others as RGB


def to_page(picture: Image.Image) -> np.ndarray:
    """A picture of any mode as a page, upright as its EXIF tag says: (H, W, 3) uint8 RGB.

    Transparent pixels show white paper. Raises PageError where its file turns out to be damaged.
    """
    with images.reading(getattr(picture, "filename", "") or "the picture"):
        return images.upright(picture.copy())


def like(picture: Image.Image, page: np.ndarray, mask: np.ndarray) -> Image.Image:
    """An erased page as a picture in the mode of the one it was made from.

    page: (H, W, 3) uint8 RGB from to_page, erased where mask, (H, W) bool, is True. What was erased is opaque;
    elsewhere the transparency stays. Resolution, colour profile and EXIF, without the orientation tag, are in the
    picture's `info`, where Pillow keeps them.
    """
    made, upright = Image.fromarray(page), picture.copy()
    images.turn(upright)
    if picture.mode in ("RGBA", "LA"):
        upright.paste(made.convert(picture.mode), mask=Image.fromarray(mask))
        made = upright
    elif picture.mode == "1":
        made = made.convert("1", dither=Image.Dither.NONE)
    elif picture.mode == "L" or picture.mode.startswith("I"):
        made = made.convert("L")
    kept = ("dpi", "exif", "icc_profile") if picture.mode in OWN_MODES else ("dpi", "exif")
    made.info = {key: upright.info[key] for key in kept if key in upright.info}
    return made
