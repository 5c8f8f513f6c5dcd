"""The handwriting as a layer of its own: lifted off a page, and laid on one."""

import numpy as np

BAND = 256  # rows worked on at a time: a mask may hold all of a large page


def lift(image: np.ndarray, erased: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The handwriting alone, as see-through as it can be: laid on the erased page it gives the image back.

    image: the page with handwriting, erased: the same without, (H, W, 3) uint8 RGB; mask: (H, W) bool, True =
    handwriting. Returns (H, W, 4) uint8 RGBA, straight alpha: 0 outside the mask and where nothing changed. Within
    the mask lay(erased, lift(image, erased, mask)) is within one level of image.

    A layer of colour c and opacity a shows erased + a (c - erased). The least opacity by which all three colours
    can become the image's is taken: it follows the contrast, so that the soft rim of a stroke, and the paper around
    it that a grown mask holds too, stay see-through, and the layer sits on other paper as well.
    """
    layer = np.zeros((*mask.shape, 4), np.uint8)
    for top in range(0, len(mask), BAND):
        rows = slice(top, top + BAND)
        inked = mask[rows]
        layer[rows][inked] = _pigment(image[rows][inked], erased[rows][inked])
    return layer


def _pigment(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What turns each pixel of `after` into that of `before`: (N, 3) uint8 RGB -> (N, 4) uint8 RGBA."""
    before, after = before.astype(np.float32), after.astype(np.float32)
    change = before - after
    room = np.where(change < 0, after, 255 - after)  # from here to black, or to white
    needed = np.divide(np.abs(change), room, out=np.zeros_like(change), where=room > 0).max(axis=1, keepdims=True)
    alpha = np.ceil(needed * 255 - 1e-3)  # up: a little more opacity has room for every colour, less has not
    colour = after + change * 255 / np.maximum(alpha, 1)
    return np.hstack([np.rint(colour.clip(0, 255)) * (alpha > 0), alpha]).astype(np.uint8)


def lay(page: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """A layer laid on a page: (H, W, 3) uint8 RGB, (H, W, 4) uint8 RGBA of straight alpha -> (H, W, 3) uint8."""
    laid = page.copy()
    seen = ink[..., 3] > 0
    alpha = ink[seen][:, 3:].astype(np.float32) / 255
    laid[seen] = np.rint(page[seen] + alpha * (ink[seen][:, :3] - page[seen].astype(np.float32)))
    return laid
