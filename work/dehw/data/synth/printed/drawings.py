"""Printed drawings: figures of geometry, graphs, bar codes, pictures, circuits, shapes to count, cells,
bodies on slopes, springs, vessels, maps and curves."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Ink = tuple[int, ...]  # RGB
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (  # corners of a brick, a kite and a tent, as shares of a side
    ((0, 0), (1, 0), (1, 1), (0, 1)),
    ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
    ((0.5, 0), (1, 1), (0, 1)),
)


@dataclass(frozen=True)
class Place:
    """Where something is drawn, and with what.

    x, y: its upper left, and size: its side, px. line: px that lines are wide. em: px of the print about it.
    points: corners in it, for what is made of any.
    """

    image: Image.Image
    pen: ImageDraw.ImageDraw
    x: int
    y: int
    size: int
    line: int
    em: int
    ink: Ink
    points: list[tuple[int, int]]


def polygon(rng: np.random.Generator, at: Place) -> int:
    """A closed figure of a few corners."""
    at.pen.polygon(at.points, outline=at.ink, width=at.line)
    return at.size


def ellipse(rng: np.random.Generator, at: Place) -> int:
    """An ellipse and a line through it."""
    box = [at.x, at.y, at.x + at.size, at.y + int(at.size * rng.uniform(0.5, 1))]
    at.pen.ellipse(box, outline=at.ink, width=at.line)
    at.pen.line(at.points, fill=at.ink, width=at.line)
    return at.size


def tangram(rng: np.random.Generator, at: Place) -> int:
    """Coloured triangles and quadrangles, as in tangrams and tables of pictures."""
    for _ in range(int(rng.integers(3, 8))):
        corners = [(at.x + int(a), at.y + int(b)) for a, b in rng.integers(0, at.size, (int(rng.integers(3, 5)), 2))]
        at.pen.polygon(corners, fill=tuple(int(c) for c in rng.integers(40, 255, 3)), outline=at.ink)
    return at.size


def bar_code(rng: np.random.Generator, at: Place) -> int:
    """Bars, a third as high as other drawings."""
    bars = np.cumsum(rng.integers(1, 5, 60)) * max(1, at.em // 12)
    for left, right in zip(bars[::2], bars[1::2]):
        at.pen.rectangle([at.x + int(left), at.y, at.x + int(right) - 1, at.y + at.size // 4], fill=(15,) * 3)
    return at.size // 3


def photo(rng: np.random.Generator, at: Place) -> int:
    """A picture in colour."""
    at.image.paste(Image.fromarray(picture(rng, at.size)), (at.x, at.y))
    return at.size


def code(rng: np.random.Generator, at: Place) -> int:
    """A QR code of a size of its own."""
    size = int(at.em * rng.uniform(2, 6))
    at.image.paste(Image.fromarray(qr_code(rng, size)), (at.x, at.y))
    return size


def circuit(rng: np.random.Generator, at: Place) -> int:
    """Boxes in a row with wires between them."""
    step, middle = at.size // 4, at.y + at.size // 4 * 3 // 2
    for i in range(int(rng.integers(2, 5))):
        left, right = at.x + i * step, at.x + i * step + step // 2
        at.pen.rectangle([left, at.y + step, right, at.y + step * 2], outline=at.ink, width=at.line)
        at.pen.line([right, middle, at.x + (i + 1) * step, middle], fill=at.ink, width=at.line)
    return at.size


def nodes(rng: np.random.Generator, at: Place) -> int:
    """A graph: numbers or letters in circles, empty or filled, with lines between them and numbers at some."""
    radius, count, filled = max(4, int(0.8 * at.em)), int(rng.integers(3, 8)), rng.random() < 0.3
    font = ImageFont.load_default(at.em)
    turn = rng.uniform(0, 6) + np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.15, count)
    reach = (at.size / 2 - radius) * rng.uniform(0.6, 1, count)
    middles = np.array([at.x, at.y]) + at.size / 2 + np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None]
    weights = rng.random() < 0.5
    for a in range(count):
        for b in range(a):
            if b == a - 1 or rng.random() < 0.25:
                at.pen.line([*middles[a], *middles[b]], fill=at.ink, width=at.line)
                if weights:
                    at.pen.text(tuple((middles[a] + middles[b]) / 2), str(rng.integers(20)), at.ink, font)
    names = string.ascii_uppercase if rng.random() < 0.5 else string.digits[1:]
    for (x, y), name in zip(middles, names):
        circle = [x - radius, y - radius, x + radius, y + radius]
        at.pen.ellipse(circle, fill=at.ink if filled else (255,) * 3, outline=at.ink, width=at.line)
        at.pen.text((x, y), name, (255,) * 3 if filled else at.ink, font, anchor="mm")
    return at.size


def counters(rng: np.random.Generator, at: Place) -> int:
    """Rows of coloured balls, bricks, kites and tents, as in tasks on counting."""
    step = max(8, int(at.em * rng.uniform(1.2, 2.2)))
    rows, columns = int(rng.integers(1, 4)), max(2, at.size // step)
    colours = [tuple(int(c) for c in rng.integers(60, 256, 3)) for _ in range(4)]
    outline = at.ink if rng.random() < 0.6 else None
    if rng.random() < 0.5:
        box = [at.x - step // 2, at.y - step // 4, at.x + columns * step, at.y + rows * step]
        at.pen.rectangle(box, fill=tuple(int(c) for c in rng.integers(235, 256, 3)), outline=at.ink, width=at.line)
    for row in range(rows):
        for column in range(columns):
            x, y, kind = at.x + column * step, at.y + row * step, int(rng.integers(4))
            side, fill = int(step * 0.7), colours[kind]
            if kind == 0:
                at.pen.ellipse([x, y, x + side, y + side], fill=fill, outline=outline, width=at.line)
            else:
                points = [(x + int(a * side), y + int(b * side)) for a, b in SHAPES[kind - 1]]
                at.pen.polygon(points, fill=fill, outline=outline)
    return rows * step


def cell(rng: np.random.Generator, at: Place) -> int:
    """A body within a wall, with round parts in it, and lines from these to rules for their names."""
    width, height = at.size, int(at.size * rng.uniform(0.5, 0.8))
    grey = (int(rng.integers(120, 190)),) * 3
    ink = at.ink if rng.random() < 0.5 else grey
    round_wall = rng.random() < 0.4
    for inset in (0, max(2, at.em // 4)):
        box = [at.x + inset, at.y + inset, at.x + width - inset, at.y + height - inset]
        if round_wall:
            at.pen.ellipse(box, outline=ink, width=at.line)
        else:
            at.pen.rounded_rectangle(box, radius=at.em, outline=ink, width=at.line)
    for _ in range(int(rng.integers(3, 8))):
        wide = int(rng.uniform(0.06, 0.35) * width)
        tall = max(3, int(wide * rng.uniform(0.4, 1)))
        x, y = (int(v) for v in rng.uniform(0.15, 0.6, 2) * (width, height))
        fill = None if rng.random() < 0.5 else (int(rng.integers(200, 240)),) * 3
        at.pen.ellipse([at.x + x, at.y + y, at.x + x + wide, at.y + y + tall], fill=fill, outline=ink, width=at.line)
        if rng.random() < 0.6:
            end = at.x + width + int(at.em * rng.uniform(1, 3)), at.y + int(rng.uniform(0, 1) * height)
            at.pen.line([at.x + x + wide // 2, at.y + y + tall // 2, *end], fill=ink, width=max(1, at.line - 1))
            at.pen.line([*end, end[0] + 4 * at.em, end[1]], fill=ink, width=at.line)
    return height


def arrow(at: Place, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line with a filled head, as of forces."""
    (x0, y0), (x1, y1) = start, end
    angle, head = np.arctan2(y1 - y0, x1 - x0), max(4, at.em // 2)
    wings = [(x1 - head * np.cos(angle + turn), y1 - head * np.sin(angle + turn)) for turn in (0.4, -0.4)]
    at.pen.line([x0, y0, x1, y1], fill=at.ink, width=at.line)
    at.pen.polygon([(x1, y1), *wings], fill=at.ink)


def slope(rng: np.random.Generator, at: Place) -> int:
    """A body on a slope, hatched below, with the forces on it."""
    width, angle = at.size, rng.uniform(0.25, 0.6)
    height = int(width * np.tan(angle))
    left, right, ground = at.x, at.x + width, at.y + height
    at.pen.polygon([(left, ground), (right, ground), (right, at.y)], outline=at.ink, width=at.line)
    for x in range(left, right, max(4, at.em // 2)):
        at.pen.line([x, ground, x - at.em // 3, ground + at.em // 3], fill=at.ink)
    along, up = np.array([np.cos(angle), -np.sin(angle)]), np.array([-np.sin(angle), -np.cos(angle)])
    foot, side = np.array([left, ground]) + along * width * rng.uniform(0.4, 0.6), at.size * rng.uniform(0.08, 0.16)
    corners = [foot + along * a * side + up * b * side for a, b in ((-1, 0), (1, 0), (1, 1.3), (-1, 1.3))]
    at.pen.polygon([tuple(corner) for corner in corners], outline=at.ink, width=at.line)
    middle, reach = foot + up * 0.65 * side, min(at.size * 0.25, height * 0.4)
    for way in (up, along, np.array([0, 1])):
        arrow(at, tuple(middle), tuple(middle + way * reach * rng.uniform(0.5, 1)))
    at.pen.arc([left - at.em, ground - at.em, left + at.em, ground + at.em], -np.degrees(angle), 0, fill=at.ink)
    return height


def spring(rng: np.random.Generator, at: Place) -> int:
    """A spring that hangs from a ceiling or is coiled, with a weight at its end or without."""
    turns, wide, round_coil = int(rng.integers(4, 14)), at.size * rng.uniform(0.06, 0.15), rng.random() < 0.5
    length, middle = at.size * rng.uniform(0.3, 0.7), at.x + at.size / 2
    at.pen.line([middle - 2 * wide, at.y, middle + 2 * wide, at.y], fill=at.ink, width=at.line)
    t = np.linspace(0, turns, 24 * turns if round_coil else 2 * turns + 1)
    sway = np.sin(2 * np.pi * t) if round_coil else np.where(np.arange(len(t)) % 2, 1.0, -1.0)
    loop = np.cos(2 * np.pi * t) * wide / 2 if round_coil else 0
    coil = np.stack([middle + wide * sway, at.y + np.clip(t / turns * length + loop, 0, length)], 1)
    at.pen.line([tuple(point) for point in coil], fill=at.ink, width=at.line)
    if rng.random() < 0.7:
        box = [middle - 1.5 * wide, at.y + length, middle + 1.5 * wide, at.y + length + 2 * wide]
        at.pen.rectangle(box, outline=at.ink, width=at.line)
        length += 2 * wide
    return int(length)


def vessel(rng: np.random.Generator, at: Place) -> int:
    """Flasks and beakers with something in them, and a bent tube from each to the next."""
    count = int(rng.integers(1, 4))
    step, high = at.size // count, int(at.size / count * rng.uniform(0.8, 1.2))
    wide, top, low = step * 0.6, at.y + high * 0.3, at.y + high
    for number in range(count):
        left, neck = at.x + number * step, wide * (rng.uniform(0.15, 0.3) if rng.random() < 0.6 else 0.5)
        middle, shoulder = left + wide / 2, top + (low - top) * 0.4
        side = np.array([(neck, top), (neck, shoulder), (wide / 2, low)])
        outline = [*((middle - x, y) for x, y in side), *((middle + x, y) for x, y in side[::-1])]
        at.pen.line(outline, fill=at.ink, width=at.line, joint="curve")
        level = rng.uniform(0.6, 0.9) * (low - top) + top
        for y in np.arange(level, low, at.em * 0.6):
            half = np.interp(y, side[:, 1], side[:, 0])
            at.pen.line([middle - half, y, middle + half * rng.uniform(0.3, 1), y], fill=at.ink, width=at.line)
        if number + 1 < count:
            tube = [(middle, shoulder), (middle, at.y), (middle + step, at.y), (middle + step, low - high * 0.15)]
            at.pen.line(tube, fill=at.ink, width=at.line, joint="curve")
    return high


def contours(rng: np.random.Generator, at: Place) -> int:
    """A map: lines of one height inside each other, some with their number, and a river through them."""
    turns, radius = np.linspace(0, 2 * np.pi, 80), at.size / 2
    shape = 1 + sum(rng.uniform(0, 0.25 / n) * np.cos(n * turns + rng.uniform(0, 6)) for n in (1, 2, 3, 5))
    shape *= radius * 0.95 / shape.max()
    round_way, font = np.stack([np.cos(turns), np.sin(turns)], 1), ImageFont.load_default(max(6, at.em * 2 // 3))
    rings = int(rng.integers(3, 9))
    for ring in range(1, rings + 1):
        line = (at.x + radius, at.y + radius) + round_way * (shape * ring / rings)[:, None]
        at.pen.line([tuple(point) for point in line], fill=at.ink, width=at.line)
        if rng.random() < 0.4:
            at.pen.text(tuple(line[rng.integers(80)]), str(ring * 10), at.ink, font, anchor="mm")
    t = np.linspace(0, 1, 40)
    river = at.y + at.size * (0.5 + 0.3 * np.sin(t * rng.uniform(3, 12)) * rng.uniform(0.3, 1))
    at.pen.line([*zip(at.x + t * at.size, river)], fill=at.ink, width=2 * at.line)
    return at.size


def curves(rng: np.random.Generator, at: Place) -> int:
    """Axes with heads, ticks and numbers, a grid or none, and one or two curves, whole or dashed."""
    font, ends = ImageFont.load_default(max(6, at.em * 2 // 3)), at.size
    origin = np.array([at.x, at.y]) + ends * rng.choice([0.1, 0.5], 2) * [1, -1] + [0, ends]
    step = ends / int(rng.integers(4, 11))
    places = np.arange(step, ends, step)
    for place in places if rng.random() < 0.4 else ():
        at.pen.line([at.x + place, at.y, at.x + place, at.y + ends], fill=(200,) * 3)
        at.pen.line([at.x, at.y + place, at.x + ends, at.y + place], fill=(200,) * 3)
    arrow(at, (at.x, origin[1]), (at.x + ends, origin[1]))
    arrow(at, (origin[0], at.y + ends), (origin[0], at.y))
    for number, place in enumerate(places):
        at.pen.line([at.x + place, origin[1] - 3, at.x + place, origin[1] + 3], fill=at.ink, width=at.line)
        at.pen.text((at.x + place, origin[1] + 4), str(number), at.ink, font, anchor="ma")
    t = np.linspace(-1, 1, 60)
    for _ in range(int(rng.integers(1, 3))):
        bend, tilt = rng.uniform(-1, 1, 2)
        shapes = (bend * t + tilt * t**2, 0.8 * np.sin(t * rng.uniform(2, 9)), 2 * t**2 - 0.9, np.exp(3 * t) / 20)
        values = np.clip(shapes[rng.integers(4)], -0.95, 0.95)
        line = [*zip(at.x + (t + 1) / 2 * ends, at.y + (1 - values) / 2 * ends)]
        dashed = rng.random() < 0.3
        for start in range(0, 58, 2 if dashed else 1):
            at.pen.line(line[start : start + 2], fill=at.ink, width=at.line)
    return ends


# Each draws at a place, and returns how many px high it became.
DRAWINGS: tuple[Callable[[np.random.Generator, Place], int], ...] = (
    polygon,
    ellipse,
    tangram,
    bar_code,
    photo,
    code,
    circuit,
    nodes,
    counters,
    cell,
    slope,
    spring,
    vessel,
    contours,
    curves,
)


def qr_code(rng: np.random.Generator, size: int) -> np.ndarray:
    """A QR code of random text, (size, size, 3) uint8."""
    text = "".join(rng.choice(list(string.ascii_letters + string.digits), int(rng.integers(8, 60))))
    code = cv2.QRCodeEncoder_create().encode(text)
    return cv2.cvtColor(cv2.resize(code, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)


def picture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Something like a photo or a coloured drawing: soft areas of colour with edges, (size, size, 3) uint8."""
    soft = [cv2.resize(rng.random((n, n, 3)), (size, size), interpolation=cv2.INTER_CUBIC) for n in (3, 8, 24)]
    image = (0.5 * soft[0] + 0.35 * soft[1] + 0.15 * soft[2] > rng.uniform(0.3, 0.7)) * 0.35 + 0.65 * soft[0]
    return (255 * image.clip(0, 1)).astype(np.uint8)
