"""Things that are neither print nor pen: punch holes, stains, creases, and what a page lies on."""

from __future__ import annotations

import string

import cv2
import numpy as np

from dehw.data.synth.camera.shot import Shot, field


def holes(rng: np.random.Generator, shot: Shot) -> Shot:
    """Two to four holes of a punch along an edge, dark or light, or the rings of a binding."""
    height, width = shot.mask.shape
    radius, inset = width * rng.uniform(0.006, 0.012), width * rng.uniform(0.015, 0.04)
    x, dye = inset if rng.random() < 0.7 else width - inset, rng.uniform(0.02, 0.9)
    count = int(rng.choice([2, 2, 3, 4, 24]))
    layer = np.zeros((height, width), np.uint8)
    for y in np.linspace(0.15 if count > 4 else 0.3, 0.85 if count > 4 else 0.7, count) * height:
        cv2.circle(layer, (round(x), round(y)), round(radius), 255, -1, cv2.LINE_AA)
    share = (layer / np.float32(255))[..., None]
    return shot.each(lambda page: page * (1 - share) + dye * share)


def edges(rng: np.random.Generator, shot: Shot) -> Shot:
    """The dark about a sheet on a copier whose lid stands open: along one to three sides, soft or hard."""
    height, width = shot.mask.shape
    y, x = np.indices((height, width), np.float32)
    rough = field(rng, height, width, 30) * width * np.float32(rng.uniform(0, 0.004))
    factor = np.ones((height, width), np.float32)
    for away in rng.permutation(np.stack([y, x, height - y, width - x]))[: rng.integers(1, 4)]:
        soft = width * rng.uniform(0.001, 0.01)
        light = 1 / (1 + np.exp((width * rng.uniform(0.005, 0.03) - away + rough) / soft).clip(0, 1e6))
        factor *= 1 - rng.uniform(0.5, 0.95) * (1 - light)
    return shot.filtered(factor[..., None])


def stain(rng: np.random.Generator, size: int) -> np.ndarray:
    """A spot, smudge or ring of dirt as opacity (size, size) float32."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    wave = cv2.resize(rng.normal(0, 0.15, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    radius = np.hypot(x, y * rng.uniform(0.8, 2.0)) + wave
    if rng.random() < 0.4:
        return np.exp(-(((radius - 0.7) / rng.uniform(0.04, 0.12)) ** 2)).astype(np.float32)
    return (1 / (1 + np.exp((radius - 0.6) * rng.uniform(8, 40)))).astype(np.float32)


def stains(rng: np.random.Generator, shot: Shot) -> Shot:
    """One to three spots, smudges or rings of coffee."""
    factor = np.ones((*shot.mask.shape, 3), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        alpha = stain(rng, max(4, int(min(shot.mask.shape) * rng.uniform(0.01, 0.12))))
        top, left = (int(rng.integers(max(1, side - len(alpha)))) for side in shot.mask.shape)
        view = factor[top : top + len(alpha), left : left + len(alpha)]
        brown = np.clip([0.6, 0.43, 0.24] + rng.normal(0, 0.1, 3), 0, 1)
        view *= 1 - alpha[: view.shape[0], : view.shape[1], None] * rng.uniform(0.2, 0.6) * (1 - brown)
    return shot.filtered(factor)


def creases(rng: np.random.Generator, shot: Shot) -> Shot:
    """Folds across the sheet, one side light and one dark, or crumpled paper."""
    height, width = shot.mask.shape
    y, x = np.indices((height, width), np.float32)
    relief = rng.uniform(0, 0.04) * field(rng, height, width, int(rng.integers(6, 25)))
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.06)
        offset = rng.uniform(0.2, 0.8) * (width * abs(np.cos(angle)) + height * abs(np.sin(angle)))
        away = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) - np.float32(offset)) / 4
        relief -= np.float32(rng.uniform(0.05, 0.2)) * (away + 0.5) * np.exp(-(away**2))
    return shot.filtered((1 - relief).clip(0.5, 1.1)[..., None].astype(np.float32))


def surface(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """What a page lies on: (height, width, 3) float32."""
    return SURFACES[rng.integers(len(SURFACES))](rng, height, width).clip(0, 1).astype(np.float32)


def flat(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A table of one colour, lit unevenly."""
    colour = rng.uniform(0.05, 0.9) + rng.normal(0, 0.1, 3)
    return colour * (1 + 0.1 * field(rng, height, width, 2))[..., None]


def wood(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Grain of wood along one direction."""
    grain = cv2.resize(rng.normal(0, 1, (height // 3 + 2, 6)).astype(np.float32), (width, height))
    grain = grain if rng.random() < 0.5 else cv2.resize(np.ascontiguousarray(grain.T), (width, height))
    colour = np.array([0.55, 0.38, 0.22]) * rng.uniform(0.4, 1.6)
    return colour * (1 + 0.12 * grain + 0.1 * field(rng, height, width, 3))[..., None]


def cloth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A weave of stripes both ways, as of a cloth or a mat."""
    y, x = np.indices((height, width), np.float32)
    step = rng.uniform(4, 60)
    weave = np.sin(x * 6.28 / step) + np.sin(y * 6.28 / step * rng.choice([0, 1, 1.5]))
    weave = np.sign(weave) if rng.random() < 0.5 else weave
    return rng.uniform(0.1, 0.9, 3) + (0.06 * weave + 0.03 * rng.normal(0, 1, (height, width)))[..., None]


def keyboard(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rows of keys with letters."""
    key, black = int(rng.integers(28, 60)), rng.random() < 0.7
    canvas = np.full((height, width), 30 if black else 200, np.uint8)
    face, letter = (60, 220) if black else (240, 60)
    for row, y in enumerate(range(0, height, key)):
        for x in range(row % 3 * key // 3 - key, width, key):
            cv2.rectangle(canvas, (x + 3, y + 3), (x + key - 3, y + key - 3), face, -1)
            text = string.ascii_uppercase[rng.integers(26)]
            cv2.putText(canvas, text, (x + key // 3, y + key // 2), cv2.FONT_HERSHEY_SIMPLEX, key / 70, letter, 1, 16)
    return np.repeat(cv2.GaussianBlur(canvas, (0, 0), 0.8)[..., None] / 255.0, 3, 2)


SURFACES = (flat, wood, cloth, keyboard, flat, wood)  # plain ones more often
