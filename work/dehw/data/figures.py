"""Pictures of the data: what a threshold takes for handwriting, and what each recipe does to a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from dehw.data.augment import Crop
from dehw.data.crops import CropSettings, CropStream
from dehw.data.pairs import Pair
from dehw.data.recipes import STEPS
from dehw.files.panels import contact_sheet, tint
from dehw.page import masks

THRESHOLDS = (1, 5, 10, 15, 25)  # grey levels, seed 000's
PANEL_WIDTH = 800  # px
TITLE_HEIGHT = 40  # px
PLAIN = 50  # crops looked through for one without handwriting


def threshold_panel(image: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Show a page, its ground truth, and where they differ by more than each of THRESHOLDS (white).

    image, gt: (H, W, 3) uint8 RGB. Returns (h, w, 3) uint8 RGB, four panels a row. Source: seed 000.
    """
    width = min(PANEL_WIDTH, image.shape[1])
    panels = [("original", image), ("ground truth", gt)]
    for level in THRESHOLDS:
        mask = masks.hard_mask(image, gt, level)
        panels.append((f"threshold {level:g}: {100 * mask.mean():.1f} %", cv2.merge([masks.to_file(mask)] * 3)))
    return contact_sheet([_titled(title, _narrowed(panel, width)) for title, panel in panels], 4, width)


def recipe_sheet(pairs: Sequence[Pair], settings: CropSettings, seed: int, line_height: float | None) -> np.ndarray:
    """Show each step of the recipes: a crop before it, and image, ground truth and mask after it.

    line_height: of the pairs as they are decoded, see CropStream.
    settings: of the crops; the probabilities in it are left aside, each step is shown in a row of its own, all
    together in the last. Without materials no handwriting is pasted. Returns (h, w, 3) uint8 RGB.
    """
    names = [name for name in STEPS if name != "handwriting" or settings.recipes.materials]
    none: dict[str, Any] = dict.fromkeys(STEPS, 0.0)
    off = replace(settings, recipes=replace(settings.recipes, redraw=0, **none))

    def stream(**changes: Any) -> CropStream:
        recipes = replace(off.recipes, **changes)
        return CropStream(pairs, replace(off, recipes=recipes), seed, line_height=line_height)

    plain = stream()
    bare = min(range(PLAIN), key=lambda n: plain[n].mask.mean())
    rows = [("redraw", plain[bare], stream(redraw=10)[bare])]
    rows += [(name, plain[n], stream(**{name: 1.0})[n]) for n, name in enumerate(names)]
    rows.append(("all of them", plain[len(names)], stream(**dict.fromkeys(names, 1.0))[len(names)]))
    panels = [panel for name, before, after in rows for panel in _row(name, before, after)]
    return contact_sheet(panels, 4, settings.size)


def _row(name: str, before: Crop, after: Crop) -> list[np.ndarray]:
    marked = tint(after.image, masks.threshold(after.mask, 0.5))
    panels = {
        f"{name}: before": before.image,
        "image after": after.image,
        "ground truth after": after.gt,
        "mask after": marked,
    }
    return [_titled(title, panel) for title, panel in panels.items()]


def _titled(title: str, picture: np.ndarray) -> np.ndarray:
    """Write a title on a white strip above a picture."""
    strip = np.full((TITLE_HEIGHT, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, title, (8, TITLE_HEIGHT - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def _narrowed(picture: np.ndarray, width: int) -> np.ndarray:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
