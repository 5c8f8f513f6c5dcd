"""What made-up pages are mixed from: how often each printed side, kind of ink and step of the camera comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic.dataclasses import dataclass

from dehw.config.reader import CONFIGS, STRICT, Fraction, Share, load

MIX = CONFIGS / "synth.yml"

T = TypeVar("T")


@dataclass(config=STRICT, kw_only=True)
class PrintedMix:
    """How often each printed side comes, in relation to the others; kinds that the sources lack are left out."""

    clean: Share = 0.0  # PDFs and images of clean pages
    photo: Share = 0.0  # photos and scans of print, with their own light
    exam: Share = 0.0  # what is typeset, see printed.kinds
    quiz: Share = 0.0
    answer_sheet: Share = 0.0
    ballot: Share = 0.0
    form: Share = 0.0
    receipt: Share = 0.0
    letter_grid: Share = 0.0
    loose: Share = 0.0
    foreign: Share = 0.0
    reading: Share = 0.0
    vertical: Share = 0.0
    typescript: Share = 0.0
    invitation: Share = 0.0
    music: Share = 0.0

    def __post_init__(self) -> None:
        if not any(shares(self).values()):
            raise ValueError("one kind of page at least must come more often than never")


@dataclass(config=STRICT, kw_only=True)
class AddedMix:
    """The probability of each thing that is printed on top of a page, see printed.extras.

    pasted: a clipping of another printed side. drawings: pictures of the sources. close_up: half a column is all that
    the picture shows.
    """

    pasted: Fraction = 0.0
    drawings: Fraction = 0.0
    close_up: Fraction = 0.0
    headline: Fraction = 0.0
    rules: Fraction = 0.0
    stamp: Fraction = 0.0
    seal: Fraction = 0.0
    watermark: Fraction = 0.0


@dataclass(config=STRICT, kw_only=True)
class InkMix:
    """The probability of each thing that people write, see ink.steps and ink.fields; none: of no ink at all.

    ovals to notes: that the fields of a kind are filled on a page that has them.
    """

    none: Fraction = 0.0
    figures: Fraction = 0.0
    answers: Fraction = 0.0
    working: Fraction = 0.0
    scattered: Fraction = 0.0
    emphasis: Fraction = 0.0
    across: Fraction = 0.0
    corrections: Fraction = 0.0
    marks: Fraction = 0.0
    over_words: Fraction = 0.0
    scores: Fraction = 0.0
    ovals: Fraction = 0.0
    boxes: Fraction = 0.0  # small empty squares found on clean pages and photos
    cells: Fraction = 0.0
    lines: Fraction = 0.0
    amounts: Fraction = 0.0
    brackets: Fraction = 0.0
    notes: Fraction = 0.0


@dataclass(config=STRICT, kw_only=True)
class CameraMix:
    """The probability of each thing that a camera, a scanner or a copier does, see camera.photo.

    digital: that a page is a file and nothing happens to it but compression. photo: that it is a photo, if it is none;
    else it is a scan. The others: that they happen to pages of the devices that do them.
    """

    digital: Fraction = 0.0
    photo: Fraction = 0.0
    back: Fraction = 0.0
    holes: Fraction = 0.0
    stains: Fraction = 0.0
    creases: Fraction = 0.0
    spread: Fraction = 0.0
    slant: Fraction = 0.0
    edges: Fraction = 0.0
    bend: Fraction = 0.0
    desk: Fraction = 0.0
    tint: Fraction = 0.0
    shade: Fraction = 0.0
    dark: Fraction = 0.0
    fade: Fraction = 0.0
    blur: Fraction = 0.0
    bleach: Fraction = 0.0
    noise: Fraction = 0.0
    speckle: Fraction = 0.0
    copier: Fraction = 0.0
    one_bit: Fraction = 0.0
    jpeg: Fraction = 0.0


@dataclass(config=STRICT, kw_only=True)
class PageMix:
    """The schema of configs/synth.yml."""

    printed: PrintedMix
    added: AddedMix = dataclasses.field(default_factory=AddedMix)
    ink: InkMix = dataclasses.field(default_factory=InkMix)
    camera: CameraMix = dataclasses.field(default_factory=CameraMix)


def load_mix(path: str | Path = MIX) -> PageMix:
    """Read a mix from a YAML file. Raises ConfigError."""
    return load(path, PageMix)


def shares(part: PrintedMix | AddedMix | InkMix | CameraMix) -> dict[str, float]:
    """The numbers of a part of a mix by name."""
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def drawn(rng: np.random.Generator, part: AddedMix | InkMix | CameraMix, steps: Mapping[str, T]) -> list[tuple[str, T]]:
    """Those of some steps that happen to a page, in order, each by its own probability."""
    return [(name, step) for name, step in steps.items() if rng.random() < getattr(part, name)]
