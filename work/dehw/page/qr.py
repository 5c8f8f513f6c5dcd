"""QR codes, which are print: a network that reads strokes takes their modules for dense handwriting."""

import cv2
import numpy as np

GAP = 0.19  # line heights; modules of a code are nearer to each other than this
SIDE = 1.125  # line heights at the least
FULL = 0.7  # share of its box that a code fills, once its gaps are closed; one that is turned fills less
SQUARE = 1.25  # how much longer than the other a side of the box may be
EDGE = 0.125  # line heights about a code that count as the code, for masks are grown
QUIET = 0.3  # of a code's side, the margin that the detector is shown about it


def find(page: np.ndarray, dark: np.ndarray, height: float) -> np.ndarray:
    """Where a page has QR codes: (H, W) bool.

    page: (H, W, 3) uint8 RGB; dark: (H, W) uint8, see layout.dark_pixels; height: of its lines, px.
    Dark squares are what cv2's detector is asked about: on a whole page it found a code at one of six sizes only, and
    takes four times as long.
    """
    inside = np.zeros(page.shape[:2], np.uint8)
    side, edge = round(GAP * height) | 1, round(EDGE * height)
    solid = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    detector = cv2.QRCodeDetector()
    for contour in cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        x, y, w, h = cv2.boundingRect(contour)
        short, long = sorted((w, h))
        if short < SIDE * height or long > SQUARE * short or cv2.contourArea(contour) < FULL * w * h:
            continue
        left, top = max(0, x - round(QUIET * w)), max(0, y - round(QUIET * h))
        view = np.s_[top : y + h + round(QUIET * h), left : x + w + round(QUIET * w)]
        if detector.detect(np.ascontiguousarray(page[view]))[0]:
            inside[max(0, y - edge) : y + h + edge, max(0, x - edge) : x + w + edge] = 1
    return inside.view(bool)
