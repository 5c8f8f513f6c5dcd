"""What a scanner or a phone does to a page: geometry, light, blur, noise, bleaching and JPEG."""

from __future__ import annotations

import cv2
import numpy as np


def field(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """A smooth random field (H, W) float32 of unit deviation, with about `cells` bumps a side."""
    coarse = rng.normal(0, 1, (cells + 2, cells + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def bend(rng: np.random.Generator, arrays: list[np.ndarray], border: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Rotate, tilt and curl all arrays alike, as a hand-held camera sees a sheet of paper.

    border: what lies beside the sheet, for each array a value a channel.
    """
    height, width = arrays[0].shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 1.5), rng.uniform(0.92, 1.0))
    moved = cv2.transform(corners[None], turn)[0] + rng.normal(0, 0.012, (4, 2)) * min(height, width)
    matrix = cv2.getPerspectiveTransform(moved.astype(np.float32), corners)
    y, x = np.indices((height, width), np.float32)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    curl = 0.004 * min(height, width) * rng.random()
    map_x = ((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w + curl * field(rng, height, width, 2)).astype(
        np.float32
    )
    map_y = ((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w + curl * field(rng, height, width, 2)).astype(
        np.float32
    )
    return [cv2.remap(a, map_x, map_y, cv2.INTER_LINEAR, borderValue=b) for a, b in zip(arrays, border)]


def light(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """Illumination (H, W, 3) float32, 1 = white paper: a cast of colour, a slope, and at times the edge of a shadow."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    slope = (x - 0.5) * rng.normal(0, 0.25) + (y - 0.5) * rng.normal(0, 0.25) + 0.1 * field(rng, height, width, 2)
    if rng.random() < 0.5:
        edge = (
            (x - rng.random()) * rng.normal() + (y - rng.random()) * rng.normal() + 0.03 * field(rng, height, width, 4)
        )
        slope = slope - rng.uniform(0.2, 0.6) / (1 + np.exp((-edge * rng.uniform(15, 120)).clip(-50, 50)))
    level = np.clip(rng.uniform(0.75, 1.0) + strength * slope, 0.25, 1.0)
    cast = 1 - np.abs(rng.normal(0, 0.05, 3)) * strength
    return (level[..., None] * cast).astype(np.float32)


def bleed_through(rng: np.random.Generator, page: np.ndarray) -> np.ndarray:
    """How the back of the sheet shows: a factor (H, W, 3) float32. page: (H, W, 3) uint8, whose mirror is the back."""
    back = np.roll(page[:, ::-1], rng.integers(-200, 200, 2), (0, 1)).astype(np.float32) / 255
    return 1 - rng.uniform(0.03, 0.12) * (1 - cv2.GaussianBlur(back, (0, 0), rng.uniform(0.8, 2.5)))


def jpeg(page: np.ndarray, quality: int) -> np.ndarray:
    """Send a page (H, W, 3) uint8 through JPEG."""
    # cv2 reads the channels as BGR; compressing and decompressing in the same order leaves RGB as it was but for the
    # weights of luma, which this degradation does not depend on
    return cv2.imdecode(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def photograph(rng: np.random.Generator, image: np.ndarray, gt: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Send a made-up page through one camera or scanner: the same geometry, light and noise for image and gt.

    image, gt: (H, W, 3) uint8. mask: (H, W) float32 in [0, 1]. Returns the three, sizes and types unchanged.
    """
    height, width = mask.shape
    kind = rng.choice(["born-digital", "scan", "bleached", "photo"], p=[0.15, 0.3, 0.2, 0.35])
    if kind == "photo" or rng.random() < 0.3:
        beside: tuple[int, ...] = (255, 255, 255)
        if kind == "photo" and rng.random() < 0.5:  # a desk
            beside = tuple(int(n) for n in (rng.uniform(20, 220) + rng.normal(0, 25, 3)).clip(0, 255))
        image, gt, mask = bend(rng, [image, gt, mask], [beside, beside, (0,)])
    pages = [page.astype(np.float32) / 255 for page in (image, gt)]
    if kind != "born-digital" and rng.random() < 0.15:
        shown = bleed_through(rng, image)
        pages = [page * shown for page in pages]
    if kind == "photo":
        shade = light(rng, height, width, rng.uniform(0.3, 1.0))
    else:
        shade = np.float32(
            1 - 0.08 * rng.random() * np.array([rng.random() * 0.5, rng.random() * 0.7, 1])
        ) * np.ones_like(pages[0])
    if kind == "born-digital":
        shade = np.ones_like(shade)
    fade = rng.uniform(0, 0.35) if kind == "photo" else rng.uniform(0, 0.12)  # black ink is never black in a photo
    pages = [(page * (1 - fade) + fade) * shade for page in pages]
    sigma = rng.uniform(0.3, 1.1) if kind != "born-digital" else 0
    if sigma > 0.45:
        pages = [cv2.GaussianBlur(page, (0, 0), sigma) for page in pages]
    if kind == "bleached":
        # a scanning app's contrast: paper to white, ink to black
        low, high = rng.uniform(0.05, 0.4), rng.uniform(0.82, 0.96)
        pages = [(page - low) / (high - low) for page in pages]
    if kind != "born-digital":
        noise = rng.normal(0, rng.uniform(0.002, 0.025), (height, width, 1)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.6)[..., None] * 1.5
        pages = [page + noise for page in pages]
    quality = int(rng.integers(55, 97))
    image, gt = (jpeg((page.clip(0, 1) * 255).round().astype(np.uint8), quality) for page in pages)
    return image, gt, mask
