"""Print that the mask runs over and the page still shows: letters that ink touches, rules under answers, letters under
coloured or faint ink. It is spared or put back: the mask of a network that sees its surroundings coarsely takes print
along with the ink, and what the mask holds becomes paper."""

from collections.abc import Iterator

import cv2
import numpy as np

from dehw.page import layout, paper

BAND = paper.BAND  # px; rows, or columns, done at a time, which keeps the memory low
OVERLAP = 128  # px that bands share; what is taller than this may come back in pieces
DEEP = 0.075  # line heights; deep is what is left of the mask when a square of this side has shrunk it: it was grown
# Rules
LENGTH = 1.25  # line heights at the least; strokes of characters are shorter
THICKNESS = 0.125  # line heights at the most
RULE_HIDDEN = 0.6  # share of a rule that may lie deep in the mask; a line drawn by pen lies there as a whole
HUE = 25  # grey levels by which a channel of coloured ink that crosses a rule stands out, more than of the rule
DARKEST = 5  # percent; what is darker than all but these of a rule where it is free is ink that crosses it
# Letters
LETTER = 0.15, 4  # line heights that a letter is tall, from and to
LETTER_HIDDEN = 0.8  # share of a letter that may lie deep in the mask; a stroke by a black pen does as a whole
BLACK = 0.7  # of the print's usual darkness, and no colour: what is so dark under pale ink is print
FAINT = 0.5  # of the same; ink that is fainter is pale, whatever its colour
COLOUR = 40  # grey levels between the channels by which ink is coloured, more than the paper
GREY = 60  # grey levels between the channels of print at the most; at the edge of ink, cameras colour it
NEAR = 0.47  # line heights; a square of this side about pale ink, in which dark pixels are looked at


def spare(mask: np.ndarray, dark: np.ndarray, prob: np.ndarray, likely: float, height: float) -> None:
    """Take letters that the mask reaches into, beside and under ink, out of it, in place.

    A letter is dark, less `likely` handwriting, hangs together with as much again outside the mask, and has the
    size and shape of characters: rules, on which ink stands, are put back later.
    mask: (H, W) bool, True = handwriting; dark: (H, W) uint8, see layout.dark_pixels; prob: of handwriting, (H, W),
    counted like `likely`; height: of the page's lines, px.
    """
    least, most = (share * height for share in LETTER)
    for rows in _bands(len(dark)):
        inside = mask[rows]
        if not inside.any():
            continue
        unlikely = np.where(prob[rows] < likely, dark[rows], 0)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(unlikely, connectivity=8)
        covered = np.bincount(labels[inside], minlength=count)
        prints = (2 * covered <= facts[:, cv2.CC_STAT_AREA]) & layout.like_characters(facts, least, most)
        prints[0] = False  # what is not dark
        inside[prints[labels]] = False


def restore_rules(page: np.ndarray, painted: np.ndarray, mask: np.ndarray, dark: np.ndarray, height: float) -> None:
    """Put level and upright rules that run on outside the mask into `painted`, in place.

    Where ink that is darker or of another colour crosses a rule, it takes its own colour.
    page, painted: (H, W, 3) uint8; mask: (H, W) bool, True = handwriting; dark: of the page, (H, W) uint8 from
    layout.dark_pixels; height: of its lines, px.
    """
    upright = page, painted, mask, dark
    for arrays in (upright, [each.swapaxes(0, 1) for each in upright]):
        for rows in _bands(len(arrays[0])):
            parts = [each[rows] for each in arrays]
            _restore_level(parts[0], parts[1], parts[2], parts[3], height)


def _restore_level(page: np.ndarray, painted: np.ndarray, mask: np.ndarray, dark: np.ndarray, height: float) -> None:
    deep = _deep(mask, height)
    for place, rule in level_rules(np.ascontiguousarray(dark), round(LENGTH * height), THICKNESS * height):
        covered, free = rule & mask[place], page[place][rule & ~mask[place]]
        hidden = np.count_nonzero(rule & deep[place])
        if not covered.any() or not len(free) or hidden > RULE_HIDDEN * np.count_nonzero(rule):
            continue
        own = np.median(free, axis=0)
        colours = page[place][covered]
        crossed = np.abs(_hue(colours) - _hue(own)).max(axis=1) > HUE
        colours[crossed | (colours.mean(axis=1) < np.percentile(free.mean(axis=1), DARKEST))] = own
        painted[place][covered] = colours


def level_rules(dark: np.ndarray, least: int, most: float) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
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


def _hue(colours: np.ndarray) -> np.ndarray:
    """What distinguishes colours, (..., 3), from the grey that is as bright."""
    return colours - colours.mean(axis=-1, keepdims=True)


def restore_letters(page: np.ndarray, painted: np.ndarray, mask: np.ndarray, cells: np.ndarray, height: float) -> None:
    """Put what is black about and under pale ink, a teacher's tick, a blue circle or pencil, into `painted`, in place.

    The lightest channel of coloured ink is light: red ink in red, blue in blue. Where all are dark, there is print,
    unless the whole of it lies deep in the mask, as what was written by a black pen does. page, painted: (H, W, 3)
    uint8; mask: (H, W) bool, True = handwriting; cells: from paper.tone; height: of the page's lines, px.
    """
    tones = _tones(page, cells)
    black, usual = _black(*tones, mask)
    for rows in _bands(len(page)):
        inside, letters = mask[rows], black[rows]
        darkness, colour = (tone[rows] for tone in tones)
        ink = inside & ~letters.view(bool)
        faint = (darkness > layout.CONTRAST) & (darkness < FAINT * usual) & ink
        pale = cv2.morphologyEx(faint.view(np.uint8), cv2.MORPH_OPEN, _square(DEEP * height))  # black strokes' rims go
        pale |= ((colour > COLOUR) & ink).view(np.uint8)
        if not pale.any():
            continue
        near = cv2.dilate(pale, _square(NEAR * height)).view(bool)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(letters, connectivity=8)
        hidden = np.bincount(labels[_deep(inside, height)], minlength=count)
        prints = hidden <= LETTER_HIDDEN * facts[:, cv2.CC_STAT_AREA]
        prints[0] = False  # what is not black
        shown = prints[labels] & near & inside
        painted[rows][shown] = page[rows][shown]


def _tones(page: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much darker than its paper a page is, in its lightest channel, and how much more coloured: (H, W) uint8."""
    darkness, colour = np.empty((2, *page.shape[:2]), np.uint8)
    for top in range(0, len(page), BAND):
        rows = slice(top, top + BAND)
        tint = paper.enlarge(cells, page.shape[:2], top)
        darkness[rows] = cv2.subtract(paper.lightest(tint), paper.lightest(page[rows]))
        colour[rows] = cv2.subtract(_colour(page[rows]), _colour(tint))
    return darkness, colour


def _black(darkness: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
    """Where a page is as dark as its print, darker than coloured ink, and has no colour, (H, W) uint8, 0 or 1.

    Also the print's usual darkness.
    """
    some, inside = darkness[::2, ::2], mask[::2, ::2]
    free, inked = some[~inside & (some > layout.CONTRAST)], some[inside & (colour[::2, ::2] > GREY)]
    usual = np.percentile(free, 75) if free.size else 255
    least = max(BLACK * usual, np.percentile(inked, 75) + layout.CONTRAST if inked.size else 0)
    return ((darkness > least) & (colour < GREY)).view(np.uint8), usual


def _colour(pixels: np.ndarray) -> np.ndarray:
    """Grey levels between the greatest of the channels and the least: (H, W, 3) uint8 -> (H, W) uint8."""
    red, green, blue = cv2.split(pixels)
    return cv2.subtract(paper.lightest(pixels), cv2.min(cv2.min(red, green), blue))


def _deep(mask: np.ndarray, height: float) -> np.ndarray:
    """What lies deep in a mask, (H, W) bool."""
    return cv2.erode(np.ascontiguousarray(mask).view(np.uint8), _square(DEEP * height)).view(bool)


def _square(side: float) -> np.ndarray:
    """What erodes and dilates by a square of about so many px."""
    return np.ones((round(side) | 1,) * 2, np.uint8)


def _bands(length: int) -> Iterator[slice]:
    """Rows, or columns, of a page that has so many."""
    return (slice(start, start + BAND) for start in range(0, length, BAND - OVERLAP))
