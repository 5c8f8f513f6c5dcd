"""What made-up pages say, printed or by hand: lists of words as text files beside this one, an entry a line."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

LETTERS = "eeeettttaaaoooiiinnnsssrrrhhllddccuummffppggwwyybbvkxjqz"  # about as often as in English


@cache
def words(name: str) -> tuple[str, ...]:
    """The entries of NAME.txt in order: exam sentences (chinese, english), code, formulae, hanzi, items, ..."""
    text = resources.files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.removesuffix("\n").split("\n"))


@cache
def everyday_hanzi() -> list[str]:
    """The 3,755 characters of level 1 of GB 2312, lead bytes 0xB0 to 0xD7."""
    codes = (bytes([high, low]) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    return [char for code in codes if (char := code.decode("gb2312", "ignore"))]


def nonsense(rng: np.random.Generator) -> str:
    """A word of no language, its letters about as often as in English."""
    return "".join(rng.choice(list(LETTERS), int(rng.integers(1, 10))))


def sentence(rng: np.random.Generator, chinese: bool) -> str:
    """Half of the time one that exams have, else one without sense, so that no word is learnt by heart."""
    if rng.random() < 0.5:
        return str(rng.choice(words("chinese" if chinese else "english")))
    if chinese:
        return "".join(rng.choice(everyday_hanzi(), int(rng.integers(3, 14))))
    return " ".join(nonsense(rng) for _ in range(rng.integers(2, 9))).capitalize() + "."
