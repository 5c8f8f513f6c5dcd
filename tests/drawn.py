"""Pages drawn to a known print height, what disturbs their measuring, and a stand-in for what reads them."""

import cv2
import numpy as np

from dehw.page.layout import Reader

PAPER, INK = 235, 40  # grey levels


def glyph(rng, height, width):
    """A printed character: strokes that reach all four sides of its box and hang together."""
    drawn = np.zeros((height, width), np.uint8)
    pen = max(1, height // 10)
    cv2.rectangle(drawn, (0, 0), (width - 1, height - 1), 255, pen)
    side = rng.integers(1, 4)
    drawn[pen:-pen, side * width // 4 : side * width // 4 + pen] = 255
    return drawn


def print_page(height=30, letters=False, size=(1400, 1000), gap=None):
    """A page of lines of square characters, or of Latin letters whose capitals are `height` tall."""
    rng = np.random.default_rng(0)
    page = np.full((*size, 3), PAPER, np.uint8)
    x_height = round(height / 1.4)
    gap = gap or max(3, height // 7)
    for foot in range(3 * height, size[0] - height, 2 * height):
        left = 2 * height
        while left < size[1] - 3 * height:
            tall = height if not letters or rng.random() < 0.35 else x_height
            width = tall if not letters else rng.integers(x_height // 2, x_height)
            box = page[foot - tall : foot, left : left + width]
            box[glyph(rng, tall, width) > 0] = INK
            left += width + gap
            left += 2 * gap if rng.random() < 0.15 else 0
    return page


def scribble(page, count=250, ink=(50, 50, 50)):
    """Write over a page with a hand that keeps no line and no size."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        corner = rng.integers(0, (page.shape[1] - 90, page.shape[0] - 90))
        points = corner + rng.integers(0, rng.integers(15, 90), (rng.integers(3, 9), 2))
        cv2.polylines(page, [points.astype(np.int32)], False, ink, 3, cv2.LINE_AA)
    return page


def shade(page):
    """Let the light fall off from one corner to the other."""
    height, width = page.shape[:2]
    light = np.add.outer(np.linspace(0.3, 0, height), np.linspace(0.3, 0, width)) + 0.4
    return (page * light[..., None]).astype(np.uint8)


def joined(tiles):
    """Finds lines as a detector does: characters 24 px apart hang together, and the edge of a line is left out."""
    found = []
    for tile in tiles:
        ink = (tile.mean(0) < 0.5).astype(np.uint8)
        lines = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8), borderValue=0)
        found.append(cv2.erode(lines, np.ones((11, 11), np.uint8)))
    return np.array(found, np.float32)[:, None]


def by_their_feet(pieces):
    """Letters that stand upright are darker below: small and tall ones share the line of their feet."""
    upper, lower = (half.mean((1, 2, 3)) for half in np.split(pieces, 2, axis=2))
    return np.stack([lower < upper, upper < lower], axis=1).astype(np.float32)


READER = Reader(joined, by_their_feet)
