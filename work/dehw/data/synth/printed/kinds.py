"""The kinds of printed sides that are typeset, by the names that a PageMix knows them by."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dehw.data.synth.printed import forms, scripts
from dehw.data.synth.printed.typeset import Typesetter, exam
from dehw.data.synth.worksheet import Printed

Span = tuple[float, float]  # from, to, in heights of print


class Kind(NamedTuple):
    """draw: fills a page. roles: of fonts, one of which it needs. high, wide: the page's sides."""

    draw: Callable[[Typesetter], None]
    roles: tuple[str, ...] = ("latin",)
    high: Span = (55, 80)
    wide: Span = (40, 56)

    def typeset(self, rng: np.random.Generator, height: float, fonts: dict[str, list[str]]) -> Printed:
        """A page of this kind, its print about `height` px high."""
        long, short = (int(rng.uniform(*span) * height) for span in (self.high, self.wide))
        sheet = Typesetter(rng, long, short, height, fonts)
        self.draw(sheet)
        return sheet.printed()


KINDS: dict[str, Kind] = {
    "exam": Kind(exam),
    "quiz": Kind(forms.quiz, high=(30, 60), wide=(28, 50)),
    "answer_sheet": Kind(forms.answer_sheet),
    "ballot": Kind(forms.ballot, high=(40, 70), wide=(30, 50)),
    "form": Kind(forms.form, high=(40, 70), wide=(36, 56)),
    "receipt": Kind(forms.receipt, high=(30, 60), wide=(14, 22)),
    "letter_grid": Kind(forms.letter_grid, high=(40, 60), wide=(30, 50)),
    "loose": Kind(forms.loose, high=(30, 75), wide=(26, 56)),
    "foreign": Kind(scripts.foreign, scripts.SCRIPTS),
    "reading": Kind(scripts.reading, high=(35, 60), wide=(25, 45)),
    "vertical": Kind(scripts.vertical, high=(35, 60), wide=(30, 60)),
    "typescript": Kind(scripts.typescript),
    "invitation": Kind(scripts.invitation, ("display",), high=(25, 45), wide=(25, 45)),
    "music": Kind(scripts.music, ("music",), high=(40, 70), wide=(36, 56)),
}
