"""What people write into the fields of a printed page: ovals, boxes for letters, lines, amounts, brackets, ruled lines.

Each function fills the fields of one kind, which a PageMix gives a probability; a page without any stays as it is.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from itertools import groupby

import cv2
import numpy as np

from dehw.data.synth.ink import pen
from dehw.data.synth.ink.steps import write_line
from dehw.data.synth.ink.writer import Writer
from dehw.data.synth.words import everyday_hanzi
from dehw.data.synth.worksheet import Field, Worksheet

Filler = Callable[[np.random.Generator, Worksheet, Writer, list[Field]], None]


def ovals(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """Mark one oval of each question in one manner, now and then none, two, or one changed."""
    manner = MANNERS[rng.choice(len(MANNERS), p=MANNERS_OFTEN)]
    for _, each in groupby(fields, lambda field: field.group):
        group = list(each)
        for _ in range(int(rng.choice([0, 1, 2], p=[0.1, 0.83, 0.07]))):
            room = group[rng.integers(len(group))].room
            alpha = manner(rng, room.w, room.h, writer.hand.width)
            centre = room.y + room.h / 2, room.x + room.w / 2
            spot = [round(c + rng.normal(0, 0.06) * room.h - n / 2) for c, n in zip(centre, alpha.shape)]
            writer.lay(rng, sheet, alpha, (spot[0], spot[1]))


def filled(rng: np.random.Generator, w: int, h: int, width: float) -> np.ndarray:
    """An oval of w x h px filled by pen, here and there beyond its edge or short of it: opacity."""
    y, x = np.mgrid[-1.4 : 1.4 : 1j * round(1.4 * h), -1.4 : 1.4 : 1j * round(1.4 * w)].astype(np.float32)
    edge = cv2.resize(rng.normal(0, 0.13, (5, 5)).astype(np.float32), x.shape[::-1], interpolation=cv2.INTER_CUBIC)
    power = rng.choice([2, 4])  # an ellipse, or nearly a box
    blob = 1 / (1 + np.exp(((np.abs(x) ** power + np.abs(y) ** power) ** (1 / power) - 0.95 - edge) * 0.6 * h))
    if rng.random() < 0.4:  # in strokes that leave gaps
        turn = rng.uniform(0, 3)
        waves = np.sin((x * np.cos(turn) + y * np.sin(turn)) * rng.uniform(6, 12)) + rng.uniform(0.2, 1)
        blob = blob * waves.clip(0.05, 1)
    return blob.astype(np.float32)


def crossed(rng: np.random.Generator, w: int, h: int, width: float) -> np.ndarray:
    """Two strokes crossing in a box: opacity."""
    size = np.array([w, h]) * rng.uniform(0.6, 1.3)
    strokes = [np.array([[0, 0], [1, 1]]) * size, np.array([[1, 0], [0, 1]]) * size]
    return pen.draw([(s + rng.normal(0, 0.08 * h, s.shape)).astype(np.float32) for s in strokes], width, rng)


def ticked(rng: np.random.Generator, w: int, h: int, width: float) -> np.ndarray:
    """A tick in a box, mostly larger than it: opacity."""
    size = h * rng.uniform(0.7, 1.8)
    points = np.array([[0, 0.5], [0.3, 1], [rng.uniform(0.7, 1.3), rng.uniform(-0.5, 0.1)]]) * size
    return pen.draw([points.astype(np.float32)], width, rng)


def ringed(rng: np.random.Generator, w: int, h: int, width: float) -> np.ndarray:
    """A ring about an oval: opacity."""
    turn = np.linspace(0, rng.uniform(6, 7), 30)[:, None] + rng.uniform(0, 6)
    ring = np.hstack([np.cos(turn) * w, np.sin(turn) * h]) * rng.uniform(0.55, 0.85, 2)
    return pen.draw([ring.astype(np.float32)], width, rng)


def lined(rng: np.random.Generator, w: int, h: int, width: float) -> np.ndarray:
    """A stroke through an oval: opacity."""
    ends = np.array([[0, rng.normal(0, 0.3) * h], [w * rng.uniform(0.6, 1.1), 0]])
    return pen.draw([ends.astype(np.float32)], width * rng.uniform(1, 2), rng)


MANNERS = (filled, crossed, ticked, ringed, lined)
MANNERS_OFTEN = (0.55, 0.15, 0.13, 0.07, 0.1)


def cells(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """A letter, digit or character in each of a row of boxes, from the first on or as chance will have it."""
    for _, each in groupby(fields, lambda field: field.group):
        group, letters = list(each), _alphabet(rng)
        count = len(group) if rng.random() < 0.5 else int(rng.integers(len(group) + 1))
        for field in group[:count]:
            if rng.random() < 0.93:
                _within(rng, sheet, writer, field, str(rng.choice(letters)), rng.uniform(0.5, 0.85))


def lines(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """Words, a date, a number or a signature on each line of a form, standing on it or crossing it."""
    for field in fields:
        x, y, w, h = field.room
        kind = rng.random()
        if kind < 0.15:
            continue
        if kind < 0.35:
            alpha: np.ndarray | None = _signature(rng, min(w, 9 * h), h, writer.hand.width)
        elif kind < 0.6:
            alpha = writer.say(rng, _date(rng) if kind < 0.5 else _amount(rng))
        else:
            alpha = writer.word(rng, w)
        if alpha is not None and alpha.shape[1] < 1.3 * w:
            bottom = y + h + round(rng.normal(0.05, 0.15) * h)
            writer.lay(rng, sheet, alpha, (bottom - alpha.shape[0], x + int(rng.uniform(0, 0.2) * w)))


def amounts(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """A number right behind a printed "=", or in the column of amounts."""
    for field in fields:
        if rng.random() < 0.85:
            text = str(rng.integers(0, 10 ** rng.integers(1, 4))) if rng.random() < 0.6 else _amount(rng)
            alpha = writer.say(rng, text)
            top = field.room.y + (field.room.h - alpha.shape[0]) / 2 + rng.normal(0, 0.1) * field.room.h
            gap = rng.uniform(-0.1, 0.6) * field.room.h
            writer.lay(rng, sheet, alpha, (round(top), field.room.x + round(gap)))


def brackets(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """One letter, tick or cross in each pair of brackets."""
    letters = ("ABCD", "TF", "√×", "1234", "对错")[rng.integers(5)]
    for field in fields:
        if rng.random() < 0.9:
            letter = letters[rng.integers(len(letters))]
            if letter in "√×":
                x, y, w, h = field.room
                manner = ticked if letter == "√" else crossed
                alpha = manner(rng, h, round(0.9 * h), writer.hand.width)
                writer.lay(rng, sheet, alpha, (y, x + max(0, (w - alpha.shape[1]) // 2)))
            else:
                _within(rng, sheet, writer, field, letter, rng.uniform(0.6, 1.1))


def notes(rng: np.random.Generator, sheet: Worksheet, writer: Writer, fields: list[Field]) -> None:
    """Lines of writing, from the first rule to some later one, with paragraphs."""
    first, share = (0 if rng.random() < 0.7 else rng.integers(len(fields))), rng.uniform(0.3, 1)
    last, ragged = first + max(1, round(share * (len(fields) - first))), rng.choice([0.05, 0.3, 0.7])
    indent = 0.0
    for field in fields[first:last]:
        x, y, w, h = field.room
        if rng.random() < 0.12:  # a new paragraph, or an empty line
            indent = rng.choice([0, 0.05, 0.3]) * w
            continue
        height = min(writer.hand.height, rng.uniform(0.6, 0.8) * h)
        width = round((w - indent) * (1 - ragged * rng.random()))
        room = field.room._replace(x=round(x + indent), y=round(y + rng.normal(0, 0.05) * h), w=width)
        write_line(rng, sheet, writer.sized(height), room)


# The keys are the kinds of fields, and those of mix.InkMix.
FILLERS: dict[str, Filler] = {
    "ovals": ovals,
    "boxes": ovals,
    "cells": cells,
    "lines": lines,
    "amounts": amounts,
    "brackets": brackets,
    "notes": notes,
}


def _within(rng: np.random.Generator, sheet: Worksheet, writer: Writer, field: Field, text: str, share: float) -> None:
    """Write text about the middle of a field, `share` as high as it."""
    x, y, w, h = field.room
    alpha = writer.sized(max(6.0, share * h)).say(rng, text)
    spot = [round(low + (side - n) / 2 + rng.normal(0, 0.07) * h) for low, side, n in zip((y, x), (h, w), alpha.shape)]
    writer.lay(rng, sheet, alpha, (spot[0], spot[1]))


def _alphabet(rng: np.random.Generator) -> list[str]:
    capitals, kind = list(string.ascii_uppercase), rng.random()
    if kind < 0.35:
        return list(string.digits)
    return capitals if kind < 0.7 else capitals + list(string.digits) if kind < 0.8 else everyday_hanzi()


def _date(rng: np.random.Generator) -> str:
    form = rng.choice(["{d}.{m}.{y}", "{d}/{m}/{y}", "{y}-{m}-{d}", "{m}/{d}"])
    return str(form).format(d=rng.integers(1, 32), m=rng.integers(1, 13), y=rng.integers(1990, 2030))


def _amount(rng: np.random.Generator) -> str:
    form = rng.choice(["{}.{:02d}", "{},{:02d}", "${}.{:02d}", "{}.-", "{}"])
    return str(form).format(rng.integers(0, 10 ** rng.integers(1, 4)), rng.integers(100))


def _signature(rng: np.random.Generator, w: float, h: float, width: float) -> np.ndarray:
    """A capital, some waves that get smaller along a line, and at times a flourish: opacity."""
    t = np.linspace(0, 1, 80)
    bumps = np.interp(t, np.linspace(0, 1, 12), rng.random(12)) * (1 - 0.7 * t)
    turn = np.cumsum(np.interp(t, np.linspace(0, 1, 6), rng.uniform(0.2, 0.9, 6)))
    wave = np.stack([w * rng.uniform(0.4, 0.9) * t + 0.2 * h * np.cos(turn), -0.7 * h * bumps * np.sin(turn)], 1)
    capital = rng.uniform(-1, 0.5, (5, 2)) * [0.5 * h, 0.8 * h]
    strokes = [np.concatenate([capital, wave]) if rng.random() < 0.5 else wave, capital]
    if rng.random() < 0.4:
        strokes.append(np.array([[-0.1 * w, 0.3 * h], [0.3 * w, 0.1 * h], [rng.uniform(0.4, 0.9) * w, 0.25 * h]]))
    return pen.draw([stroke.astype(np.float32) for stroke in strokes], width, rng)
