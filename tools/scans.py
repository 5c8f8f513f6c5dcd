"""How well photos of sheets become pages: made-up photos whose truth is known.

python -m tools.scans --count 40

Each photo shows a made-up sheet on a dark, light or patterned desk, turned by up to 15 degrees, seen from up to 20
degrees off its upright, and curled so that up to 3 % of its width are moved. A photo depends on its number alone.
"""

from __future__ import annotations

import cv2
import numpy as np

from dehw.data.synth.camera import things
from dehw.data.synth.camera.photo import compressed, light, to_bytes
from dehw.data.synth.camera.pose import Pose, posed
from dehw.data.synth.mix import AddedMix, PageMix, PrintedMix
from dehw.data.synth.printed.sides import finished, printed_page
from dehw.data.synth.sources import Sources
from typing import NamedTuple

PRINT = 32  # px of the sheet
MIX = PageMix(
    printed=PrintedMix(exam=3, quiz=1, form=1, reading=1, answer_sheet=1),
    added=AddedMix(headline=0.2, rules=0.2, stamp=0.3, seal=0.3),
)
DESKS = ("dark", "light", "pattern")


class Photo(NamedTuple):
    """image: (H, W, 3) uint8 RGB. page: (h, w, 3) uint8, the sheet. pose: where it lies. desk: one of DESKS."""

    image: np.ndarray
    page: np.ndarray
    pose: Pose
    desk: str


def photo(number: int, sources: Sources, pixels: float = 3e6) -> Photo:
    """The photo of a number, of about so many pixels, 3 by 4."""
    rng = np.random.default_rng([number, 24])
    page = sheet(rng, sources)
    short = round((pixels * 0.75) ** 0.5)
    size = (round(short / 0.75), short) if page.shape[0] > page.shape[1] else (short, round(short / 0.75))
    pose = posed(rng, size, page.shape[0] / page.shape[1], *(rng.uniform(-1, 1, 3) * (15, 20, 0) + (0, 0, rng.uniform(0, 0.03))))
    name = DESKS[number % len(DESKS)]
    return Photo(taken(rng, page, pose, desk(rng, name, *size)), page, pose, name)


def sheet(rng: np.random.Generator, sources: Sources) -> np.ndarray:
    while True:
        page = finished(rng, printed_page(rng, PRINT, sources, MIX.printed), PRINT, sources, MIX).page
        if min(page.shape[:2]) > 1000:
            return page


def desk(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """What the sheet lies on, (height, width, 3) float32."""
    if name == "pattern":
        return rng.choice([things.wood, things.cloth, things.keyboard])(rng, height, width).clip(0, 1).astype(np.float32)
    level = rng.uniform(0.03, 0.35) if name == "dark" else rng.uniform(0.7, 0.88)
    colour = level + rng.normal(0, 0.02, 3)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.5)
    return (colour * (1 + 0.03 * grain)[..., None]).clip(0, 1).astype(np.float32)


def taken(rng: np.random.Generator, page: np.ndarray, pose: Pose, ground: np.ndarray) -> np.ndarray:
    """A photo of a sheet on its ground: its shadow on it, light over both, blur, noise and compression."""
    height, width = ground.shape[:2]
    where = pose.maps(height, width)
    h, w = page.shape[:2]
    x, y = (where[..., 0] + 0.5) * w - 0.5, (where[..., 1] + pose.ratio / 2) * w - 0.5
    shown = cv2.remap(page, x, y, cv2.INTER_AREA if w > width else cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    on = np.full(page.shape[:2], 255, np.uint8)
    on = cv2.remap(on, x, y, cv2.INTER_LINEAR, borderValue=0) / np.float32(255)
    away = rng.normal(0, 0.004, 2) * width
    cast = cv2.warpAffine(on, np.array([[1, 0, away[0]], [0, 1, away[1]]]), (width, height))
    cast = 1 - rng.uniform(0.1, 0.4) * cv2.GaussianBlur(cast, (0, 0), width * rng.uniform(0.001, 0.005))
    paper = shown.astype(np.float32) / 255 * rng.uniform(0.9, 0.97) * (1 - np.float32(rng.uniform(0, 0.04)) * np.array([0, 0.3, 1], np.float32))
    fade = np.float32(rng.uniform(0, 0.2))
    image = np.where(on[..., None] > 0, (paper * (1 - fade) + fade * 0.9) * on[..., None], 0) + ground * (cast * (1 - on))[..., None]
    image = image * light(rng, height, width, float(rng.uniform(0.3, 1)))
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.1)))
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 0.6)
    return compressed(to_bytes(image + grain[..., None] * np.float32(1.5 * rng.uniform(0.002, 0.02))), int(rng.integers(70, 96)))
