"""Crops for pre-training: random places, scales and lighting from a folder of made-up pages and scaled pairs.

A page is one `.npy` of (H, W, 7 or 8) uint8: image RGB, gt RGB, mask (255 = handwriting), and where it matters valid
(255 = the pair can be trusted). Such files are read by row, so a crop costs no decoding.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

NOISE = (
    np.random.default_rng(0).normal(0, 1, (1024, 1024)).astype(np.float32)
)  # drawing it anew would cost more than a crop

HARD = 400  # windows that are remembered as the worst
AGAIN = 0.2  # share of crops drawn about one of them
MOST = 4  # times that a window comes again: a wrong label stays hard for ever


class Spot(NamedTuple):
    """Where a window was cut out: page, upper left and side in px, and how often it has come again."""

    page: Path
    top: int
    left: int
    side: int
    times: int = 0


def tone_curves(rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness, gamma and a cast of colour as three look-up tables (1, 256, 3) uint8."""
    gain, lift, gamma = rng.uniform(0.5, 1.1), rng.normal(0, 0.04), np.exp(rng.normal(0, 0.25))
    cast = 1 - np.abs(rng.normal(0, 0.12, 3))
    level = np.linspace(0, 1, 256)[:, None] ** gamma * gain + lift
    return (level * cast * 255).clip(0, 255).astype(np.uint8)[None]


def copied(rng: np.random.Generator, *originals: np.ndarray) -> list[np.ndarray]:
    """What a copier or a scanning program does to pages (H, W, 3) uint8, alike: fewer pixels, hard contrast, specks."""
    height, width = originals[0].shape[:2]
    factor = rng.uniform(0.45, 1)
    small = [round(width * factor), round(height * factor)]
    pages = [cv2.resize(page, small, interpolation=cv2.INTER_AREA) for page in originals]
    if rng.random() < 0.6:
        if rng.random() < 0.7:
            pages = [cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for p in pages]
        paper = np.percentile(pages[0][::4, ::4], 70)
        level, gain = paper * rng.uniform(0.55, 0.9), np.exp(rng.uniform(0.3, 2.5))
        curve = ((np.arange(256) - level) * gain + 128).clip(rng.integers(0, 60), rng.integers(235, 256))
        pages = [cv2.LUT(page, curve.astype(np.uint8)) for page in pages]
    if rng.random() < 0.4:
        specks = rng.random(small[::-1]) < np.exp(rng.uniform(-9.5, -5.5))
        specks = cv2.dilate(specks.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0 if rng.random() < 0.4 else specks
        for page in pages:
            page[specks] = page[specks] // 5
    way = [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST][rng.choice(3, p=[0.45, 0.45, 0.1])]
    return [cv2.resize(page, (width, height), interpolation=way) for page in pages]


class Pages:
    """Endless random crops, some about windows that the network erred on most.

    weights: (folder, share of the crops) pairs; a folder may grow meanwhile, not shrink.
    """

    def __init__(self, weights: list[tuple[Path, float]], size: int, seed: int, inked: float = 0.85):
        self.rng, self.size, self.inked = np.random.default_rng(seed), size, inked
        self.weights, self.drawn = weights, 0
        self.pages: dict[Path, list[Path]] = {}
        self.hard: list[tuple[float, Spot]] = []
        self.lock = threading.Lock()  # crops are drawn in one thread and judged in another
        self.scan()

    def scan(self) -> None:
        self.pages = {folder: sorted(Path(folder).glob("*.npy")) for folder, _ in self.weights}

    def learn(self, spots: Sequence[Spot], losses: Sequence[float]) -> None:
        """Take in how badly the network did on crops."""
        judged = [(loss, spot) for loss, spot in zip(losses, spots) if spot.times < MOST]
        with self.lock:
            self.hard = sorted(self.hard + judged, key=lambda each: -each[0])[:HARD]

    def spot(self) -> Spot:
        """A window of a page at its own scale, with handwriting in it more often than not, or near a hard one."""
        with self.lock:
            if len(self.hard) > HARD // 2 and self.rng.random() < AGAIN:
                _, (page, top, left, side, times) = self.hard.pop(self.rng.integers(len(self.hard)))
                top, left = (max(0, start + int(self.rng.normal(0, side / 8))) for start in (top, left))
                return Spot(page, top, left, side, times + 1)
        folders, shares = zip(*self.weights)
        folder = folders[self.rng.choice(len(folders), p=np.array(shares) / sum(shares))]
        path = self.pages[folder][self.rng.integers(len(self.pages[folder]))]
        page = np.load(path, mmap_mode="r")
        side = int(self.size / np.exp(self.rng.normal(0.05, 0.25)).clip(0.7, 1.8))
        wanted = self.rng.random() < self.inked
        for _ in range(6):
            top, left = (int(self.rng.integers(max(1, n - side + 1))) for n in page.shape[:2])
            if not wanted or (page[top : top + side, left : left + side, 6] > 127).mean() > 0.004:
                break
        return Spot(path, top, left, side)

    def window(self, spot: Spot) -> np.ndarray:
        """What lies there, (side, side, 7 or 8) uint8: moved into a page it overlaps, mirrored if larger."""
        page = np.load(spot.page, mmap_mode="r")
        rows, columns = (
            slice(start, start + spot.side)
            for start in (min(at, max(0, n - spot.side)) for at, n in zip((spot.top, spot.left), page.shape))
        )
        window = np.array(page[rows, columns])
        missing = [(0, spot.side - window.shape[0]), (0, spot.side - window.shape[1]), (0, 0)]
        return np.pad(window, missing, mode="symmetric") if max(missing)[1] else window

    def crop(self, spot: Spot) -> np.ndarray:
        """One crop (8, size, size) float32 in [0, 1]: image, gt, mask, valid."""
        rng, window = self.rng, self.window(spot)
        interpolation = cv2.INTER_AREA if window.shape[0] > self.size else cv2.INTER_LINEAR
        # cv2 works on four channels at most
        image, gt, rest = (
            cv2.resize(p, (self.size, self.size), interpolation=interpolation) for p in np.split(window, (3, 6), 2)
        )
        if rest.ndim == 2:
            rest = np.dstack([rest, np.full_like(rest, 255)])
        if rng.random() < 0.8:
            image, gt = (cv2.LUT(page, curves) for curves in [tone_curves(rng)] for page in (image, gt))
        if rng.random() < 0.15:
            image, gt = (cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for p in (image, gt))
        if rng.random() < 0.35:
            image, gt = copied(rng, image, gt)
        if rng.random() < 0.2:
            image, gt = (cv2.GaussianBlur(page, (3, 3), rng.uniform(0.3, 0.8)) for page in (image, gt))
        window = np.dstack([image, gt, rest])
        if rng.random() < 0.15:
            window = window[:, ::-1]
        if rng.random() < 0.08:
            window = np.rot90(window, rng.integers(1, 4))
        window = np.ascontiguousarray(window.transpose(2, 0, 1)).astype(np.float32) / 255
        if rng.random() < 0.5:
            top, left = rng.integers(NOISE.shape[0] - self.size, size=2)
            noise = NOISE[top : top + self.size, left : left + self.size] * abs(rng.normal(0, 0.015))
            window[:6] = (window[:6] + noise).clip(0, 1)
        return window

    def draw(self, count: int) -> tuple[torch.Tensor, list[Spot]]:
        """Crops (count, 8, size, size) float32, and where they come from."""
        self.drawn += count
        if self.drawn % (200 * count) < count:
            self.scan()
        spots = [self.spot() for _ in range(count)]
        return torch.from_numpy(np.stack([self.crop(spot) for spot in spots])), spots

    def batch(self, count: int) -> torch.Tensor:
        return self.draw(count)[0]


def stream(pages: Pages, count: int, ahead: int = 4) -> Iterator[tuple[torch.Tensor, list[Spot]]]:
    """What `pages.draw` gives, by a thread of its own while the network trains."""
    ready: queue.Queue = queue.Queue(ahead)

    def work() -> None:
        try:
            while True:
                ready.put(pages.draw(count))
        except Exception as error:  # said by whoever waits for the next batch; else they would wait for ever
            ready.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        drawn = ready.get()
        if isinstance(drawn, Exception):
            raise drawn
        yield drawn
