"""What a phone, a scanner or a copier does to a page, with and without its handwriting alike."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dehw.data.synth.camera import things
from dehw.data.synth.camera.shot import Shot, bend, field
from dehw.data.synth.mix import CameraMix, drawn

Step = Callable[[np.random.Generator, Shot], Shot]


def back(rng: np.random.Generator, shot: Shot) -> Shot:
    """The back of the sheet shows: the page mirrored, moved, blurred and faint; sharp where paper is thin."""
    shift = [int(n * rng.uniform(-0.2, 0.2)) for n in shot.mask.shape]
    behind = cv2.GaussianBlur(np.roll(shot.image[:, ::-1], shift, (0, 1)), (0, 0), rng.uniform(0.6, 2.5))
    return shot.filtered(1 - rng.choice([0.08, 0.15, 0.3]) * rng.uniform(0.5, 1) * (1 - behind))


def tint(rng: np.random.Generator, shot: Shot) -> Shot:
    """Paper that is not white: yellow, grey, recycled with fibres in it."""
    colour = 1 - rng.uniform(0.02, 0.25) * np.array([rng.uniform(0, 0.5), rng.uniform(0.1, 0.7), 1])
    height, width = shot.mask.shape
    cloud = 1 + rng.uniform(0, 0.03) * field(rng, height, width, int(rng.choice([3, 20])))
    return shot.filtered((cloud[..., None] * colour).astype(np.float32))


def spread(rng: np.random.Generator, shot: Shot) -> Shot:
    """The page beside it, a part of it at least, with the dark of the fold between them."""
    height, width = shot.mask.shape
    seen = int(width * rng.uniform(0.1, 0.6))
    neighbour = np.roll(shot.gt, int(rng.integers(height)), 0)[:, :seen]
    wide, fold = np.zeros((height, seen), np.float32), 1 - rng.uniform(0.15, 0.6)
    left = rng.random() < 0.5
    pages = [np.hstack([neighbour, page] if left else [page, neighbour]) for page in (shot.image, shot.gt)]
    mask = np.hstack([wide, shot.mask] if left else [shot.mask, wide])
    middle, x = (seen if left else width), np.arange(width + seen)
    dark = 1 - (1 - fold) * np.exp(-np.abs(x - middle) / (width * rng.uniform(0.01, 0.06)))
    return Shot(pages[0], pages[1], mask).filtered(dark.astype(np.float32)[None, :, None])


def slant(rng: np.random.Generator, shot: Shot) -> Shot:
    """Turned by up to a tenth of a right angle, or a little more."""
    moved, sheet = bend(rng, shot, turn=float(rng.uniform(2, 11) * rng.choice([-1, 1])), tilt=0.02, curl=0.004)
    return moved.each(lambda page: page + (1 - sheet))


def bent(rng: np.random.Generator, shot: Shot) -> Shot:
    """Seen from above by hand: turned and tilted a little, the paper curled, at times much."""
    moved, sheet = bend(rng, shot, turn=rng.normal(0, 1.5), tilt=0.012, curl=rng.choice([0.004, 0.004, 0.015]))
    return moved.each(lambda page: page + (1 - sheet))


def desk(rng: np.random.Generator, shot: Shot) -> Shot:
    """Lying on something, which shows at its edges: a desk, cloth, a keyboard, another sheet."""
    room = tuple(int(side * rng.uniform(0, 0.12)) for side in np.repeat(shot.mask.shape, 2))
    moved, sheet = bend(rng, shot, turn=rng.normal(0, 3), tilt=0.025, curl=0.004, room=room)
    around = things.surface(rng, *sheet.shape[:2]) * (1 - sheet)
    return moved.each(lambda page: page + around)


def shade(rng: np.random.Generator, shot: Shot) -> Shot:
    """Light of one colour and from one side, and at times the edge of a shadow."""
    return shot.filtered(light(rng, shot.mask.shape[0], shot.mask.shape[1], rng.uniform(0.3, 1.0)))


def dark(rng: np.random.Generator, shot: Shot) -> Shot:
    """Too little light: down to a quarter of it."""
    return shot.filtered(np.float32(rng.uniform(0.25, 0.65)))


def fade(rng: np.random.Generator, shot: Shot) -> Shot:
    """Little contrast: black is grey."""
    lift, paper = rng.uniform(0.05, 0.45), float(np.percentile(shot.gt[::8, ::8], 70))
    return shot.each(lambda page: page * (1 - lift) + lift * paper)


def blur(rng: np.random.Generator, shot: Shot) -> Shot:
    """Out of focus, or moved while it was taken."""
    if rng.random() < 0.2:
        length = int(rng.integers(2, 5))
        kernel = np.eye(length, dtype=np.float32) if rng.random() < 0.5 else np.ones((1, length), np.float32)
        return shot.each(lambda page: cv2.filter2D(page, -1, kernel / kernel.sum()))
    sigma = rng.uniform(0.5, 1.0) if rng.random() < 0.75 else rng.uniform(1.0, 1.7)
    return shot.each(lambda page: cv2.GaussianBlur(page, (0, 0), sigma))


def bleach(rng: np.random.Generator, shot: Shot) -> Shot:
    """The contrast of a scanning program: paper to white, ink to black."""
    paper = float(np.percentile(shot.gt[::8, ::8], 70))
    low, high = rng.uniform(0.05, 0.4) * paper, rng.uniform(0.82, 0.96) * paper
    return shot.each(lambda page: (page - low) / (high - low))


def noise(rng: np.random.Generator, shot: Shot) -> Shot:
    """The grain of a sensor, alike in all colours."""
    grain = rng.normal(0, 1, shot.mask.shape).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * np.float32(1.5 * rng.uniform(0.002, 0.04))
    return shot.each(lambda page: page + grain[..., None])


def speckle(rng: np.random.Generator, shot: Shot) -> Shot:
    """Specks of a copier, black and white, some of them larger."""
    specks = (rng.random(shot.mask.shape) < np.exp(rng.uniform(-9.5, -5.5))).astype(np.uint8)
    size = int(rng.choice([1, 2, 3]))
    specks = cv2.dilate(specks, np.ones((size, size), np.uint8))
    black = (specks > 0) & (rng.random(shot.mask.shape) < rng.choice([0.7, 1.0]))
    return shot.each(lambda page: np.where(black[..., None], np.float32(0.1), np.where(specks[..., None], 1, page)))


def one_bit(rng: np.random.Generator, shot: Shot) -> Shot:
    """Black and white alone, as of a fax or a copier, by the light about each pixel."""
    window = int(min(shot.mask.shape) * rng.uniform(0.03, 0.3)) | 1
    level = cv2.blur(shot.gt.mean(2), (window, window)) * rng.uniform(0.75, 0.95)
    return shot.each(lambda page: (page.mean(2) > level).astype(np.float32)[..., None].repeat(3, 2))


def copier(rng: np.random.Generator, shot: Shot) -> Shot:
    """A copy of a copy: contrast strained, strokes grown or eaten away, dirt in clouds of specks."""
    shot = bleach(rng, shot)
    grown = rng.random()
    if grown < 0.6:
        change = cv2.erode if grown < 0.4 else cv2.dilate  # of light: dark strokes grow, or shrink
        shot = shot.each(lambda page: change(page, np.ones((2, 2))))
    height, width = shot.mask.shape
    crowd = field(rng, height, width, int(rng.integers(2, 7))).clip(0, None) * np.exp(rng.uniform(-7.5, -4))
    specks = (rng.random((height, width)) < crowd).astype(np.float32) * rng.uniform(0.4, 1.0)
    specks = cv2.GaussianBlur(cv2.dilate(specks, np.ones((2, int(rng.integers(2, 4))))), (0, 0), 0.5)
    return shot.each(lambda page: page - specks[..., None])


def jpeg(rng: np.random.Generator, shot: Shot) -> Shot:
    """Compression, strong: qualities of 30 to 60."""
    quality = int(rng.integers(30, 61))
    return shot.each(lambda page: compressed(to_bytes(page), quality) / np.float32(255))


def light(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """Illumination (H, W, 3) float32, 1 = white paper: a cast of colour, a slope, and at times the edge of a shadow."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    slope = (x - 0.5) * rng.normal(0, 0.25) + (y - 0.5) * rng.normal(0, 0.25) + 0.1 * field(rng, height, width, 2)
    if rng.random() < 0.5:
        edge = (x - rng.random()) * rng.normal() + (y - rng.random()) * rng.normal()
        edge = edge + 0.03 * field(rng, height, width, 4)
        slope = slope - rng.uniform(0.2, 0.6) / (1 + np.exp((-edge * rng.uniform(15, 120)).clip(-50, 50)))
    level = np.clip(rng.uniform(0.75, 1.0) + strength * slope, 0.25, 1.0)
    cast = 1 - np.abs(rng.normal(0, 0.05, 3)) * strength
    return (level[..., None] * cast).astype(np.float32)


def compressed(page: np.ndarray, quality: int) -> np.ndarray:
    """Send a page (H, W, 3) uint8 through JPEG."""
    # cv2 reads the channels as BGR; compressing and decompressing in the same order leaves RGB as it was but for the
    # weights of luma, which this degradation does not depend on
    return cv2.imdecode(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def to_bytes(page: np.ndarray) -> np.ndarray:
    return (page.clip(0, 1) * 255).round().astype(np.uint8)


# The keys are those of mix.CameraMix, in the order in which things happen to a page.
PAPER: dict[str, Step] = {"back": back, "holes": things.holes, "stains": things.stains, "creases": things.creases}
PHOTO: dict[str, Step] = {"spread": spread, "tint": tint, "slant": slant, "bend": bent, "desk": desk, "shade": shade}
PHOTO |= {"dark": dark, "fade": fade}
SCAN: dict[str, Step] = {"spread": spread, "tint": tint, "slant": slant, "edges": things.edges}
SENSOR: dict[str, Step] = {"blur": blur, "bleach": bleach, "noise": noise, "speckle": speckle}
COPY: dict[str, Step] = {"copier": copier, "one_bit": one_bit}
FILE: dict[str, Step] = {"jpeg": jpeg}


def photograph(
    rng: np.random.Generator, image: np.ndarray, gt: np.ndarray, mask: np.ndarray, mix: CameraMix, file: bool = False
) -> tuple[np.ndarray, ...]:
    """Send a made-up page through one camera or scanner: the same geometry, light and noise for image and gt.

    image, gt: (H, W, 3) uint8. mask: (H, W) float32 in [0, 1]. file: whether the page is a photo already, so that
    nothing happens to it but compression. Returns the three, their types unchanged; sizes grow by what lies beside.
    """
    steps = dict(FILE)
    if not file and rng.random() >= mix.digital:
        steps = PAPER | (PHOTO if rng.random() < mix.photo else SCAN | COPY) | SENSOR | FILE
    shot = Shot(image / np.float32(255), gt / np.float32(255), mask)
    for _, step in drawn(rng, mix, steps):
        shot = step(rng, shot)
    quality = int(rng.integers(60, 97))
    image, gt = (compressed(to_bytes(page), quality) for page in (shot.image, shot.gt))
    return image, gt, shot.mask
