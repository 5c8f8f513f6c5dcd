"""What people write and draw on any page: each function is a step, which a PageMix gives a probability."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from dehw.data.synth.ink import blanks, pen, sketches
from dehw.data.synth.ink.blanks import Room
from dehw.data.synth.ink.writer import Step, Writer
from dehw.data.synth.worksheet import INK_SEEN, Worksheet


def answers(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Fill blanks, brackets and cells, where it is not known what they are for."""
    if any(field.kind != "boxes" for field in sheet.fields):
        return
    share, em = rng.choice([0.3, 0.6, 0.95]), sheet.height
    for x, y, w, h in blanks.gaps(sheet.printed, sheet.runs, em) + sheet.cells:
        if rng.random() > share:
            continue
        alpha = writer.word(rng, w)
        if alpha is None:
            continue
        slack = w - alpha.shape[1]
        left = x + max(0, int(slack * rng.uniform(0.2, 0.8) if slack < 4 * em else rng.uniform(0, em)))
        top = round(y + (h - alpha.shape[0]) / 2 + rng.normal(0, 0.12) * em)
        writer.lay(rng, sheet, alpha, (top, left))


def emphasis(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Underline and ring words of the questions."""
    for room in _some_words(rng, sheet, (2, 8), (1, 8)):
        alpha = pen.emphasis(rng, room.w, room.h, writer.hand.width)
        writer.lay(rng, sheet, alpha, (room.y + room.h - alpha.shape[0] + round(0.3 * room.h), room.x))


def working(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Fill free space with lines of working or an essay."""
    for _ in range(int(rng.choice([1, 3, 6, 10]))):
        taken = cv2.integral(sheet.printed | (sheet.mask > INK_SEEN))
        block = blanks.free_block(rng, taken, sheet.height)
        if block is None:
            return
        pitch, indent = writer.hand.height * rng.uniform(1.25, 1.8), 0.0
        for y in np.arange(block.y, block.y + block.h - pitch, pitch):
            indent = indent if rng.random() < 0.7 else rng.uniform(0, 0.15) * block.w
            end = block.x + block.w * rng.choice([0.4, 0.8, 1.0])
            write_line(rng, sheet, writer, Room(int(block.x + indent), int(y), int(end - block.x - indent), int(pitch)))


def write_line(rng: np.random.Generator, sheet: Worksheet, writer: Writer, room: Room) -> None:
    """Write words one after another along a line, their middles at the room's, here and there uphill or downhill."""
    x, slope = float(room.x), rng.normal(0, 0.012)
    while room.x + room.w - x > writer.hand.height:
        alpha = writer.word(rng, room.x + room.w - x)
        if alpha is None:
            return
        top = round(room.y + (room.h - alpha.shape[0]) / 2 + rng.normal(0, 0.05) * room.h + slope * (x - room.x))
        writer.lay(rng, sheet, alpha, (top, int(x)))
        x += alpha.shape[1] + writer.hand.height * rng.uniform(0.2, 0.8)


def scattered(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Write anything anywhere, over print too."""
    below = None
    for _ in range(round(rng.choice([0.2, 0.7]) * sheet.area / 200)):
        height, width = writer.hand.height * rng.uniform(0.85, 1.15), writer.hand.width * rng.uniform(0.9, 1.1)
        alpha = pen.writing(rng, writer.bank, height, width)
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.25)
        if below and rng.random() < 0.6:  # the next line of the same working
            spot = sheet.inside(below, alpha.shape) or spot
        if spot:
            writer.lay(rng, sheet, alpha, spot)
            below = spot[0] + round(writer.hand.height * rng.uniform(1.2, 1.7)), spot[1]


def figures(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Draw figures beside the working, seldom over a printed one."""
    for _ in range(int(rng.integers(1, 4))):
        small = writer.sized(writer.hand.height * rng.uniform(0.6, 1))
        say = partial(small.say, rng)
        alpha = sketches.sketch(rng, sheet.height * rng.uniform(4, 14), say, writer.hand.width * rng.uniform(0.6, 1))
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.2)
        if spot:
            writer.lay(rng, sheet, alpha, spot)


def across(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Write words over printed lines, and between them, where print is thickest."""
    small = writer.sized(writer.hand.height * rng.uniform(0.7, 1.2))
    for room in _some_words(rng, sheet, (3, 15), (2, 14)):
        alpha = small.word(rng, 2 * room.w)
        if alpha is not None:
            small.lay(rng, sheet, alpha, (room.y + int(rng.uniform(-0.9, 0.6) * room.h), room.x))


def corrections(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Strike out printed words and write others over them."""
    small = writer.sized(0.8 * writer.hand.height)
    for x, y, w, h in _some_words(rng, sheet, (1, 8), (1, 8)):
        line = np.linspace([0, rng.normal(0, 0.1) * h], [w, rng.normal(0, 0.1) * h], 12)
        shaken = line + rng.normal(0, 0.03 * h, line.shape)
        zigzag = np.stack([np.linspace(0, w, 2 + w // 5), np.resize([0, 0.7 * h], 2 + w // 5)], 1)
        stroke = zigzag if rng.random() < 0.25 else shaken
        alpha = pen.draw([stroke.astype(np.float32)], writer.hand.width, rng)
        writer.lay(rng, sheet, alpha, (y + (h - alpha.shape[0]) // 2, x))
        word = small.word(rng, 3 * w) if rng.random() < 0.6 else None
        small.lay(rng, sheet, word, (y - round(0.8 * small.hand.height), x + int(rng.integers(w))))


def over_words(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Tick, cross and ring printed words, right through them."""
    for x, y, w, h in _some_words(rng, sheet, (2, 10), (0.8, 5)):
        if rng.random() < 0.4:
            turn = np.linspace(0, rng.uniform(6.0, 7.2), 40) + rng.uniform(0, 6)
            centre, radii = np.array([w, h]) / 2, np.array([w, h]) * rng.uniform(0.45, 0.75, 2)
            ring = centre + np.stack([np.cos(turn), np.sin(turn)], 1) * radii
            alpha, middle = pen.draw([ring.astype(np.float32)], writer.hand.width, rng), np.full(2, 0.5)
        else:
            alpha, middle = pen.mark(rng, h * rng.uniform(0.8, 2), writer.hand.width), rng.uniform(0, 1, 2)
        top, left = (round(a + part * b - n / 2) for a, part, b, n in zip((y, x), middle, (h, w), alpha.shape))
        writer.lay(rng, sheet, alpha, (top, left))


def marks(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """Ticks, crosses, scores and circles of any size, half of them across print."""
    for _ in range(1 + int(rng.poisson(sheet.area / 900 * rng.choice([0.5, 1, 3])))):
        size = sheet.height * rng.choice([0.8, 1.5, 3.0], p=[0.45, 0.35, 0.2])
        alpha = pen.mark(rng, size, max(1.0, sheet.height * rng.uniform(0.06, 0.2)))
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.6)
        if spot:
            writer.lay(rng, sheet, alpha, spot)


def scores(rng: np.random.Generator, sheet: Worksheet, writer: Writer) -> None:
    """A score a hand's breadth high, wherever there is room or not, underlined more often than not."""
    width = max(1.5, sheet.height * rng.uniform(0.1, 0.35))
    large = sheet.height * rng.uniform(2.5, 8)
    text = rng.choice(["{}", "{}", "-{}", "{}%", "{}/100", "A", "B+", "{}.5"]).format(rng.integers(0, 101))
    alpha = pen.hershey_line(rng, text, large, width)
    spot = sheet.place(rng, alpha.shape, rng.random() < 0.7)
    if spot is None:
        return
    writer.lay(rng, sheet, alpha, spot)
    for step in range(int(rng.integers(0, 3))):
        line = pen.stroke(rng, alpha.shape[1], width)
        writer.lay(rng, sheet, line, (spot[0] + round(alpha.shape[0] + (1 + step) * 2.5 * width), spot[1]))


def _some_words(
    rng: np.random.Generator, sheet: Worksheet, count: tuple[int, int], ems: tuple[float, float]
) -> list[Room]:
    """Some stretches of the page's print, so many, each so many ems wide at the most."""
    found = []
    for _ in range(int(rng.integers(*count)) if sheet.runs else 0):
        x, y, w, h = sheet.runs[rng.integers(len(sheet.runs))]
        span = max(4, int(min(w, rng.uniform(*ems) * sheet.height)))
        found.append(Room(x + int(rng.integers(max(1, w - span + 1))), y, span, h))
    return found


# The keys are those of mix.InkMix, in the order in which people come to it.
PUPIL: dict[str, Step] = {
    "figures": figures,
    "answers": answers,
    "working": working,
    "scattered": scattered,
    "emphasis": emphasis,
    "across": across,
    "corrections": corrections,
}
TEACHER: dict[str, Step] = {"marks": marks, "over_words": over_words, "scores": scores}
