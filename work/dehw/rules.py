"""Printed rules that the mask runs over: answer lines, table lines, axes. They are put back as the page shows them."""

from collections.abc import Iterator

import cv2
import numpy as np

from dehw import scale

THICKNESS = 0.2  # print heights, at the most
HIDDEN = 0.6  # share of a rule that may lie deep in the mask; a line drawn by pen lies there as a whole
DEEP = 3  # px; deep is what is left of the mask when a square of this side has shrunk it: it was grown before
BAND = 512  # px; rows, and then columns, done at a time, which keeps the memory low
CLIMB = 128  # px by which bands overlap; a rule that slants across more is put back in pieces
HUE = 25  # grey levels by which a channel of coloured ink that crosses a rule stands out, more than of the rule


def restore(page: np.ndarray, generated: np.ndarray, mask: np.ndarray, height: float, length: float) -> None:
    """Put the level and upright rules back into `generated` inside the mask, in place.

    Ink stands on rules and crosses them, and the mask of a network that sees its surroundings coarsely takes a piece
    of the rule with it; there a small generator paints paper. Where ink of another colour crosses, the rule takes its
    own colour; where black ink does, no difference is seen.

    page, generated: (H, W, 3) uint8; mask: (H, W) bool, True = handwriting; height: of the page's print, px; length:
    print heights that a rule has at the least, more than the strokes of its characters.
    """
    dark = scale.dark_pixels(page)
    least, most = round(length * height), THICKNESS * height
    upright = page, generated, mask, dark
    for arrays in (upright, [each.swapaxes(0, 1) for each in upright]):
        for top in range(0, len(arrays[0]), BAND - CLIMB):
            _restore_level(*(each[top : top + BAND] for each in arrays), least, most)


def _restore_level(
    page: np.ndarray, generated: np.ndarray, mask: np.ndarray, dark: np.ndarray, least: int, most: float
) -> None:
    deep = cv2.erode(np.ascontiguousarray(mask).view(np.uint8), np.ones((DEEP, DEEP), np.uint8)).view(bool)
    for place, rule in _level(np.ascontiguousarray(dark), least, most):
        covered, hidden = rule & mask[place], np.count_nonzero(rule & deep[place])
        if not covered.any() or hidden > HIDDEN * np.count_nonzero(rule):
            continue
        own = np.median(page[place][rule & ~deep[place]], axis=0)
        colours = page[place][covered]
        colours[np.abs(_hue(colours) - _hue(own)).max(axis=1) > HUE] = own
        generated[place][covered] = colours


def _hue(colours: np.ndarray) -> np.ndarray:
    """What distinguishes colours, (..., 3), from the grey that is as bright."""
    return colours - colours.mean(axis=-1, keepdims=True)


def _level(dark: np.ndarray, least: int, most: float) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The rules that lie nearly level: rows and columns of each, and its pixels there, bool.

    dark: (H, W) uint8, 0 or 255; least: px of length; most: px of thickness.
    """
    column, row = np.ones((3, 1), np.uint8), np.ones((1, least), np.uint8)
    long = cv2.dilate(dark, column)  # a slanting rule climbs a pixel at a time
    long = cv2.erode(cv2.morphologyEx(long, cv2.MORPH_OPEN, row), column)
    long &= dark
    for contour in cv2.findContours(long, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        left, top, width, height = cv2.boundingRect(contour)
        place = slice(top, top + height), slice(left, left + width)
        rule = long[place] > 0
        if np.count_nonzero(rule) <= most * width:
            yield place, rule
