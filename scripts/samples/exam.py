"""A printed exam together with what the pupil and the teacher do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dehw.data.materials import Family
from dehw.data.synth.pages import Paper, stain
from samples.boxes import Slot
from samples.hand import Hand
from samples.press import Press, find_fonts


class Exam:
    """One page: `press` sets the print, `pupil` and `teacher` write once it is set.

    rng: all that is left to chance on this page. families: handwriting typefaces by name.
    """

    def __init__(self, rng: np.random.Generator, print_fonts: Path, families: dict[str, Family]):
        self.rng, self.print_fonts, self.families = rng, print_fonts, families
        self.acts: list[Callable[[Paper], object]] = []

    def paper(self, width: int, height: int, em: int, face: dict[str, str], margin: float = 0.075) -> Press:
        self.press = Press(width, height, em, find_fonts(self.print_fonts, face), margin)
        return self.press

    def hand(self, names: Sequence[str], ink: str, size: float, pen: float, bold: float = 1.0) -> Hand:
        """A writer; size and pen in em of the print."""
        em = self.press.size
        return Hand(self.rng, [self.families[name] for name in names], ink, size * em, pen * em, bold)

    def writers(self, pupil: Hand, teacher: Hand) -> None:
        self.pupil, self.teacher = pupil, teacher

    def head(self, title: str, line: str, score: str, size: float) -> None:
        """Set the title and the line with the pupil's name, and write the score where that line ends."""
        self.press.set(title, 1.45, "bold", align="centre")
        self.press.set(line, align="centre")
        if score:
            self.score(score, self.press.written[-1].x + self.press.size, self.press.y - 13, size)

    def ask(self, text: str, options: Sequence[str] = (), kind: str = "tick", dx: float = 0.6) -> None:
        """Set a question, grade the answer in it (see `grade`), and set its options, four to a line."""
        self.press.set(text, hang=1)
        self.grade(kind, dx=dx)
        self.press.columns(options, 4)

    def note(self, text: str, x: float, y: float, hand: Hand | None = None, size: float = 1.0) -> None:
        """Write a line at (x, y) px: left end and baseline. size: relative to the hand's."""
        writer = hand or self.pupil
        self.acts.append(lambda paper: writer.write(paper, text, x, y, size * writer.size))

    def work(self, lines: Sequence[str], indent: float = 1.5, leading: float = 1.75, ruled: bool = False) -> None:
        """Write lines of working below the print and move on below them; `ruled` prints a line under each.

        indent: em from the column's left. leading: hand sizes from line to line.
        """
        press, x = self.press, self.press.left + indent * self.press.size
        for text in lines:
            box = self.pupil.layout(text)
            step = max(leading * self.pupil.size, box.up + box.down + 0.3 * self.pupil.size)
            y = press.y + step - max(box.down, 0.35 * self.pupil.size)
            if ruled:
                press.rule(press.left, press.y + step, press.right, press.y + step, grey=90)
            self.note(text, x + (0 if ruled else self.rng.normal(0, 0.25) * press.size), y)
            self.end = (x + box.width, y)
            press.y += round(step)

    def scratch(self, kind: str, x: float, y: float, w: float, h: float, hand: Hand | None = None) -> None:
        """Draw a mark over a box (px)."""
        writer = hand or self.pupil
        self.acts.append(lambda paper: writer.mark(paper, kind, x, y, w, h))

    def grade(self, kind: str = "tick", size: float = 1.7, dx: float = 0.6, dy: float = -0.3) -> None:
        """Tick or cross the answer set last; dx, dy: em from its middle."""
        slot = next(s for s in reversed(self.press.written) if s.kind == "answer")
        self.grade_at(slot.x + slot.width / 2 + dx * self.press.size, slot.y + dy * self.press.size, kind, size)

    def grade_at(self, x: float, y: float, kind: str = "tick", size: float = 1.7) -> None:
        """Mark around (x, y) px; size in em."""
        x, y = x + self.rng.normal(0, 0.2) * self.press.size, y + self.rng.normal(0, 0.2) * self.press.size
        w, h = size * self.press.size * self.rng.uniform(0.85, 1.15, 2)
        if kind == "cross":
            w, h = 0.75 * w, 0.75 * h
        self.scratch(kind, x - w / 2, y - h / 2, w, h, self.teacher)

    def grade_work(self, kind: str = "tick", points: str = "", size: float = 2.0) -> None:
        """Mark the end of the working written last and note its points."""
        x, y = self.end
        em = self.press.size
        self.grade_at(x + 1.8 * em, y - 0.3 * em, kind, size)
        if points:
            self.note(points, x + 3.4 * em, y, self.teacher)

    def score(self, text: str, x: float, y: float, size: float = 2.2) -> None:
        """Write the page's score, underlined twice. size: relative to the teacher's hand."""
        self.note(text, x, y, self.teacher, size)
        w = self.teacher.measure(text, size * self.teacher.size, "plain")
        self.scratch(
            "double",
            x - 0.1 * w,
            y - 0.9 * size * self.teacher.size,
            1.3 * w,
            size * self.teacher.size,
            self.teacher,
        )

    def spill(self, x: float, y: float, size: int, colour: Sequence[float], opacity: float, seed: int) -> None:
        """Spill something round on the page, its middle at (x, y) px."""
        drop = stain(np.random.default_rng(seed), size)
        spot = (round(y - size / 2), round(x - size / 2))
        self.acts.append(lambda paper: paper.add(drop, np.float32(colour), spot, opacity))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The page with and without what was written on it: twice (H, W, 3) uint8."""
        printed = np.array(self.press.image)
        paper = Paper(printed)
        for slot in self.press.written:
            self.fill(paper, slot)
        for act in self.acts:
            act(paper)
        return paper.page.clip(0, 255).round().astype(np.uint8), printed

    def fill(self, paper: Paper, slot: Slot) -> None:
        if slot.kind == "answer":
            if slot.text:
                self.pupil.answer(paper, slot)
            return
        self.pupil.mark(paper, slot.kind, slot.x, slot.y - 0.72 * slot.size, slot.width, 0.76 * slot.size)
