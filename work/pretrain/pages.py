"""Crops for pre-training: random places, scales and lighting from a folder of made-up pages and scaled pairs.

A page is one `.npy` of (H, W, 7 or 8) uint8: image RGB, gt RGB, mask (255 = handwriting), and where it matters valid
(255 = the pair can be trusted). Such files are read by row, so a crop costs no decoding.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import cv2
import numpy as np
import torch

NOISE = (
    np.random.default_rng(0).normal(0, 1, (1024, 1024)).astype(np.float32)
)  # drawing it anew would cost more than a crop


def tone_curves(rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness, gamma and a cast of colour as three look-up tables (1, 256, 3) uint8."""
    gain, lift, gamma = rng.uniform(0.5, 1.1), rng.normal(0, 0.04), np.exp(rng.normal(0, 0.25))
    cast = 1 - np.abs(rng.normal(0, 0.12, 3))
    level = np.linspace(0, 1, 256)[:, None] ** gamma * gain + lift
    return (level * cast * 255).clip(0, 255).astype(np.uint8)[None]


def copied(rng: np.random.Generator, *pages: np.ndarray) -> list[np.ndarray]:
    """What a copier or a scanning program does to pages (H, W, 3) uint8, alike: fewer pixels, hard contrast, specks."""
    height, width = pages[0].shape[:2]
    factor = rng.uniform(0.45, 1)
    small = [round(width * factor), round(height * factor)]
    pages = [cv2.resize(page, small, interpolation=cv2.INTER_AREA) for page in pages]
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
    """Endless random crops. weights: (folder, share of the crops) pairs; a folder may grow meanwhile, not shrink."""

    def __init__(self, weights: list[tuple[Path, float]], size: int, seed: int, inked: float = 0.85):
        self.rng, self.size, self.inked = np.random.default_rng(seed), size, inked
        self.weights, self.pages, self.drawn = weights, {}, 0
        self.scan()

    def scan(self) -> None:
        self.pages = {folder: sorted(Path(folder).glob("*.npy")) for folder, _ in self.weights}

    def window(self) -> np.ndarray:
        """One window of a page at its own scale, with handwriting in it more often than not."""
        folders, shares = zip(*self.weights)
        folder = folders[self.rng.choice(len(folders), p=np.array(shares) / sum(shares))]
        page = np.load(self.pages[folder][self.rng.integers(len(self.pages[folder]))], mmap_mode="r")
        side = int(self.size / np.exp(self.rng.normal(0.05, 0.25)).clip(0.7, 1.8))
        wanted = self.rng.random() < self.inked
        for _ in range(6):
            top, left = (int(self.rng.integers(max(1, n - side + 1))) for n in page.shape[:2])
            window = page[top : top + side, left : left + side]
            if not wanted or (window[..., 6] > 127).mean() > 0.004:
                break
        window = np.array(window)
        missing = [(0, side - window.shape[0]), (0, side - window.shape[1]), (0, 0)]
        return np.pad(window, missing, mode="symmetric") if max(missing)[1] else window

    def crop(self) -> np.ndarray:
        """One crop (8, size, size) float32 in [0, 1]: image, gt, mask, valid."""
        rng, window = self.rng, self.window()
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

    def batch(self, count: int) -> torch.Tensor:
        self.drawn += count
        if self.drawn % (200 * count) < count:
            self.scan()
        return torch.from_numpy(np.stack([self.crop() for _ in range(count)]))


def stream(pages: Pages, count: int, ahead: int = 4):
    """Batches of `pages`, drawn by a thread of their own while the network trains."""
    ready: queue.Queue = queue.Queue(ahead)

    def work() -> None:
        try:
            while True:
                ready.put(pages.batch(count))
        except Exception as error:  # said by whoever waits for the next batch; else they would wait for ever
            ready.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        batch = ready.get()
        if isinstance(batch, Exception):
            raise batch
        yield batch
