"""What may be done to a training crop, one small step at a time: seed 000's recipes.

A step takes a crop and returns a changed one; STEPS lists them in the order in which they happen, as on paper:
what is printed comes before what is written on it, and dirt comes last. The seed names MixUp, handwriting and
distractors, and no figures for them; the other steps are not its own. Ink is pasted as a filter, so black print stays
black under red ink: a patch is (h, w, 3) uint8, its ink on white paper, and darkens what it is laid on. Where it lies,
the mask becomes what compute_mask.py would find of that patch on white paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pydantic.dataclasses
from PIL import ImageFont
from pydantic import Field

from dehw.config import STRICT, Fraction
from dehw.data.augment import Crop
from dehw.data.materials import PRINT_HEIGHT, find_pieces, resized
from dehw.data.synth.camera.things import stain
from dehw.data.synth.ink import pen
from dehw.data.synth.ink.writer import ink_colour
from dehw.errors import InputError
from dehw.files.images import read_image
from dehw.page import masks

WHITE = 255
TRIES = 8  # places looked at for what should lie on free paper
MIXUP = 0.4  # of the Beta distribution that MixUp's shares come from; its authors used 0.1 to 0.4
Spot = tuple[int, int]  # row and column of a patch's upper left corner, which may lie beyond the crop


@pydantic.dataclasses.dataclass(config=STRICT)
class Recipes:
    """How often each step happens to a crop: probabilities, 0 leaves a step out.

    redraw: how many more times a crop is drawn while less than min_ink of it is handwriting. materials: folder
    that `dehw materials` wrote, which the handwriting is taken from; None: a training cuts it from its own pages, and
    from the folders `ink` of handwriting without print. mistakes: folder of print that a segmenter took for
    handwriting, which the distractors are; None: a generator's training cuts it from its own pages. print_size: px of
    print, by which ink is sized where the pipeline leaves the pages at their own size.
    """

    mixup: Fraction = 0.0
    overlay: Fraction = 0.0
    distractors: Fraction = 0.0
    handwriting: Fraction = 0.0
    marks: Fraction = 0.0
    stains: Fraction = 0.0
    specks: Fraction = 0.0
    redraw: Annotated[int, Field(ge=0, le=1000)] = 0
    min_ink: Fraction = 0.001
    materials: str | None = None
    ink: list[str] = field(default_factory=list)
    mistakes: str | None = None
    print_size: Annotated[float, Field(gt=0, le=1000)] = PRINT_HEIGHT


@dataclass(frozen=True)
class Kit:
    """What the steps work with.

    print_height: px of the print on the crops. another: draws a further crop. pieces: files of handwriting, ink on
    white paper. mistakes: of print that was taken for handwriting, likewise.
    """

    print_height: float
    another: Callable[[np.random.Generator], Crop]
    pieces: Sequence[Path] = ()
    mistakes: Sequence[Path] = ()


def banks(recipes: Recipes) -> dict[str, list[Path]]:
    """The files of a Kit's banks. Raises InputError for handwriting from nowhere, and for named folders without any."""
    if recipes.handwriting and not recipes.materials:
        raise InputError("recipes.handwriting needs recipes.materials, the folder that `dehw materials` wrote.")
    folders = {"pieces": recipes.materials, "mistakes": recipes.mistakes}
    return {name: find_pieces(folder) if folder else [] for name, folder in folders.items()}


def follow(crop: Crop, rng: np.random.Generator, recipes: Recipes, kit: Kit) -> Crop:
    """Take a crop through the steps, each with its probability."""
    for name, step in STEPS.items():
        if rng.random() < getattr(recipes, name):
            crop = step(crop, rng, kit)
    return crop


def mixup(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Blend this crop with another: image, ground truth and mask by one share, of which this one has the larger part.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    share = rng.beta(MIXUP, MIXUP)
    return blend(crop, kit.another(rng), max(share, 1 - share))


def blend(crop: Crop, other: Crop, share: float) -> Crop:
    """`share` of a crop and the rest of another, in [0, 1]: pixels and labels alike."""
    pairs = ((crop.image, other.image), (crop.gt, other.gt), (crop.mask, other.mask))
    return Crop(*(cv2.addWeighted(mine, share, its, 1 - share, 0) for mine, its in pairs))


def overlay(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Lay one or two other crops over this one, where darkness adds up: what another contest's winners called MixUp.

    On white paper this is: invert, add, clip, invert back. Of grey paper only what is darker than the paper is
    added, since a sum of papers would be black. The masks add up as the differences do that they are made of.
    """
    image, gt, mask = crop.image, crop.gt, crop.mask
    for _ in range(int(rng.integers(1, 3))):
        other = kit.another(rng)
        paper = np.percentile(other.gt[::8, ::8].reshape(-1, 3), 90, axis=0)
        image, gt = _added(image, other.image, paper), _added(gt, other.gt, paper)
        mask = np.minimum(mask + other.mask, 1)
    return Crop(image, gt, mask)


def distractors(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Print what is easily taken for handwriting, on image and gt alike: mask 0.

    That is what a segmenter did take for it, or brackets, circles and boxes drawn here where no such print is known.
    """
    crop = _copy(crop)
    for _ in range(int(rng.integers(1, 5))):
        patch = _mistake(rng, kit.mistakes) if kit.mistakes else printed(rng, kit.print_height * rng.uniform(0.7, 1.4))
        box, inner = _overlap(crop.mask.shape, patch.shape, free_spot(crop.image, patch.shape, rng))
        for page in (crop.image, crop.gt):
            page[box] = _darkened(page[box], patch[inner])
        crop.mask[box] = np.minimum(crop.mask[box], 1 - _ink(patch[inner]))
    return crop


def handwriting(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Write on the image with pieces of the bank, in sizes and inks of all kinds, over print too."""
    crop = _copy(crop)
    for _ in range(int(rng.integers(1, 5))):
        patch = resized(read_piece(kit.pieces[rng.integers(len(kit.pieces))]), rng.uniform(0.6, 1.4))
        if rng.random() < 0.5:
            patch = dye(1 - patch.min(axis=2).astype(np.float32) / WHITE, *ink_colour(rng, _pen(rng)))
        place = free_spot if rng.random() < 0.5 else any_spot
        _write(crop, patch, place(crop.image, patch.shape, rng))
    return crop


def marks(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Mark the image as a teacher does: ticks, crosses, circles, underlines and scores, mostly red."""
    crop = _copy(crop)
    for _ in range(int(rng.integers(1, 4))):
        size = kit.print_height * rng.choice([0.8, 1.5, 3.0])
        alpha = pen.mark(rng, size, max(1.0, kit.print_height * rng.uniform(0.06, 0.2)))
        patch = dye(alpha, *ink_colour(rng, "red" if rng.random() < 0.75 else _pen(rng)))
        _write(crop, patch, any_spot(crop.image, patch.shape, rng))
    return crop


def stains(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Stain the image with spots, smudges and rings; the contest erases dirt as well, so mask 1."""
    crop = _copy(crop)
    for _ in range(int(rng.integers(1, 3))):
        alpha = stain(rng, max(4, round(kit.print_height * rng.uniform(0.4, 5))))
        colour = np.clip(rng.uniform(60, 160) * np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.4, 1.0)]), 0, 255)
        patch = dye(alpha, colour, rng.uniform(0.25, 0.7))
        _write(crop, patch, any_spot(crop.image, patch.shape, rng))
    return crop


def specks(crop: Crop, rng: np.random.Generator, kit: Kit) -> Crop:
    """Strew dust over the image: grey dots of a pixel or a few, mask 1."""
    crop = _copy(crop)
    for _ in range(1 + int(rng.poisson(15))):
        radius = max(0.5, kit.print_height * rng.uniform(0.02, 0.09))
        y, x = np.indices([2 * int(radius) + 4] * 2) - radius - 1 - rng.random((2, 1, 1))
        alpha = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
        patch = dye(alpha, np.full(3, rng.uniform(40, 190)), 1.0)
        _write(crop, patch, any_spot(crop.image, patch.shape, rng))
    return crop


Step = Callable[[Crop, np.random.Generator, Kit], Crop]
STEPS: dict[str, Step] = {
    "mixup": mixup,
    "overlay": overlay,
    "distractors": distractors,
    "handwriting": handwriting,
    "marks": marks,
    "stains": stains,
    "specks": specks,
}


def printed(rng: np.random.Generator, height: float) -> np.ndarray:
    """Draw a printed circle, numbered bracket, pair of parentheses or answer box for print of `height` px.

    Returns (h, w, 3) uint8, near-black on white.
    """
    number = str(rng.integers(1, 21))
    kind = rng.choice(["circle", "circled number", "number", "choice", "parentheses", "box"])
    if kind == "box":
        alpha = _box(rng, height)
    elif kind in ("circle", "circled number"):
        alpha = _circle(rng, height, number if kind == "circled number" else "")
    else:
        inside = {"number": number, "choice": "ABCD"[rng.integers(4)], "parentheses": " " * int(rng.integers(2, 9))}
        left, right = ("()", "[]")[int(rng.random() < 0.2)]
        gap = " " * int(rng.integers(2))
        alpha = _text(left + gap + inside[kind] + gap + right, round(height * 1.2))
    return dye(alpha, np.full(3, rng.uniform(0, 70)), 1.0)


def _mistake(rng: np.random.Generator, mistakes: Sequence[Path]) -> np.ndarray:
    """Print that a segmenter took for handwriting, (h, w, 3) uint8 on white, at about its size."""
    return resized(read_piece(mistakes[rng.integers(len(mistakes))]), rng.uniform(0.8, 1.25))


@lru_cache(maxsize=256)
def read_piece(path: Path) -> np.ndarray:
    """Read a piece of handwriting or print: (h, w, 3) uint8, its ink on white paper."""
    return read_image(path)


def dye(alpha: np.ndarray, colour: np.ndarray, opacity: float) -> np.ndarray:
    """Turn opacities (h, w) in [0, 1] into a patch of ink of this RGB colour: (h, w, 3) uint8."""
    return (WHITE - (alpha * opacity)[..., None] * (WHITE - np.asarray(colour, np.float32))).astype(np.uint8)


def any_spot(image: np.ndarray, shape: Sequence[int], rng: np.random.Generator) -> Spot:
    """A random place for a patch; up to half of it may lie beyond the crop, as at a page's real cut."""
    row, column = (int(rng.integers(-(size // 2), whole - size // 2)) for size, whole in zip(shape, image.shape[:2]))
    return row, column


def free_spot(image: np.ndarray, shape: Sequence[int], rng: np.random.Generator) -> Spot:
    """The lightest of a few random places: free paper, where there is any."""
    spots = [any_spot(image, shape, rng) for _ in range(TRIES)]
    boxes = [_overlap(image.shape, shape, spot)[0] for spot in spots]
    return spots[int(np.argmax([cv2.mean(image[box])[0] for box in boxes]))]


def _added(page: np.ndarray, other: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Darken a page by as much as another, (H, W, 3) uint8 both, is darker than its paper, (3,)."""
    darkness = np.maximum(paper - np.arange(256)[:, None], 0).astype(np.uint8)  # of every level of each channel
    return cv2.subtract(page, cv2.LUT(other, darkness[None]))


def _write(crop: Crop, patch: np.ndarray, spot: Spot) -> None:
    """Lay a patch on the image alone."""
    box, inner = _overlap(crop.mask.shape, patch.shape, spot)
    crop.image[box] = _darkened(crop.image[box], patch[inner])
    crop.mask[box] = np.maximum(crop.mask[box], _ink(patch[inner]))


def _darkened(page: np.ndarray, patch: np.ndarray) -> np.ndarray:
    return cv2.multiply(page, patch, scale=1 / WHITE)


def _ink(patch: np.ndarray) -> np.ndarray:
    """The mask of a patch, (h, w) float32 in [0, 1]."""
    return masks.soft_mask(np.full_like(patch, WHITE), patch)


def _pen(rng: np.random.Generator) -> str:
    return str(rng.choice(["black", "blue", "red", "pencil"]))


def _circle(rng: np.random.Generator, height: float, text: str) -> np.ndarray:
    """A circle, perhaps flattened, with a number in it or none: (h, w) float32 opacity."""
    radius = height * rng.uniform(0.4, 0.9)
    thickness = max(1, round(height * rng.uniform(0.03, 0.08)))
    axes = [max(2, round(radius)), max(2, round(radius * rng.uniform(0.8, 1.0)))]
    centre = [axis + thickness for axis in axes]
    drawn = np.zeros((2 * centre[1] + 1, 2 * centre[0] + 1), np.uint8)
    cv2.ellipse(drawn, centre, axes, 0, 0, 360, 255, thickness, cv2.LINE_AA)
    alpha = drawn.astype(np.float32) / 255
    if text:
        inside = _text(text, max(6, round(radius)))
        top, left = ((whole - size) // 2 for whole, size in zip(alpha.shape, inside.shape))
        box, part = _overlap(alpha.shape, inside.shape, (top, left))
        alpha[box] = np.maximum(alpha[box], inside[part])
    return alpha


def _box(rng: np.random.Generator, height: float) -> np.ndarray:
    """A frame for an answer, or a row of them: (h, w) float32 opacity."""
    thickness = max(1, round(height * rng.uniform(0.03, 0.08)))
    count = int(rng.choice([1, 1, 2, 3, 5]))
    cell = round(height * rng.uniform(1.2, 6.0) / count**0.5)
    alpha = np.zeros((round(height * rng.uniform(1.2, 2.5)), cell * count + thickness), np.float32)
    alpha[:thickness], alpha[-thickness:] = 1, 1
    for column in range(0, cell * count + 1, cell):
        alpha[:, column : column + thickness] = 1
    return alpha


def _text(text: str, size: int) -> np.ndarray:
    """Print text at `size` px an em in the font that comes with Pillow: (h, w) float32 opacity."""
    bitmap = _font(size).getmask(text, mode="L")
    return np.array(bitmap, np.float32).reshape(bitmap.size[::-1]) / 255


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _overlap(page: Sequence[int], patch: Sequence[int], spot: Spot) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a patch at `spot` meets a page of this shape: the box in the page, and the box in the patch."""
    boxes = []
    for whole, size, start in zip(page[:2], patch[:2], spot):
        low, high = max(start, 0), min(start + size, whole)
        boxes.append((slice(low, high), slice(low - start, high - start)))
    (rows, inner_rows), (columns, inner_columns) = boxes
    return (rows, columns), (inner_rows, inner_columns)


def _copy(crop: Crop) -> Crop:
    """A crop to write into; steps leave the one they are given as it is."""
    return Crop(crop.image.copy(), crop.gt.copy(), crop.mask.copy())
