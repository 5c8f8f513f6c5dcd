"""Displayed formulas as books set them: fractions in fractions, roots, sums, integrals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np

FACES = ("cm", "stix", "stixsans", "dejavuserif", "dejavusans")  # mathematical fonts that come with matplotlib
GREEK = (
    r"\alpha",
    r"\beta",
    r"\gamma",
    r"\theta",
    r"\lambda",
    r"\mu",
    r"\pi",
    r"\sigma",
    r"\omega",
    r"\Delta",
    r"\Omega",
)
LETTERS = (*"abcdefghkmnpqrstuvxyzABCDEFGHMNPQRSTVXYZ", *GREEK)
SIGNS = ("+", "-", r"\cdot", r"\pm", r"\times", "")
RELATIONS = ("=", "=", "=", r"\leq", ">", r"\neq", r"\approx", r"\Rightarrow", r"\in")
FUNCTIONS = (r"\sin", r"\cos", r"\ln", r"\lim", r"\max", "f", "g'", r"\log_{2}")
GATHERING = (r"\sum", r"\int", r"\prod")
ACCENTS = (r"\dot", r"\vec", r"\overline", r"\hat")
DEEPEST = 3  # fractions and roots within each other

Maker = Callable[[np.random.Generator, int], str]


def letter(rng: np.random.Generator, depth: int) -> str:
    return str(rng.choice(LETTERS)) + " "


def number(rng: np.random.Generator, depth: int) -> str:
    return str(rng.integers(1, 200)) if rng.random() < 0.8 else f"{rng.uniform(0, 99):.1f}"


def indexed(rng: np.random.Generator, depth: int) -> str:
    low = str(rng.choice(["1", "2", "n", "k", "i", "n+1", r"\mathrm{max}", "0"]))
    return letter(rng, depth) + str(rng.choice([f"_{{{low}}}", "^{2}", "^{n}", "^{-1}", f"_{{{low}}}^{{2}}"]))


def fraction(rng: np.random.Generator, depth: int) -> str:
    return rf"\frac{{{expression(rng, depth + 1)}}}{{{expression(rng, depth + 1)}}}"


def root(rng: np.random.Generator, depth: int) -> str:
    return rf"\sqrt{{{expression(rng, depth + 1)}}}"


def bracketed(rng: np.random.Generator, depth: int) -> str:
    left, right = (("(", ")"), ("[", "]"), ("|", "|"))[rng.integers(3)]
    return rf"\left{left}{expression(rng, depth + 1)}\right{right}"


def function(rng: np.random.Generator, depth: int) -> str:
    return str(rng.choice(FUNCTIONS)) + bracketed(rng, depth)


def gathered(rng: np.random.Generator, depth: int) -> str:
    sign, low, high = (str(rng.choice(each)) for each in (GATHERING, ("i=1", "0", "k=0"), ("n", "1", "2", r"\infty")))
    return f"{sign}_{{{low}}}^{{{high}}}" + term(rng, depth)


def dotted(rng: np.random.Generator, depth: int) -> str:
    return f"{rng.choice(ACCENTS)}{{{letter(rng, depth)}}}"


LEAVES: tuple[Maker, ...] = (letter, letter, number, indexed, indexed, dotted)
BRANCHES: tuple[Maker, ...] = (fraction, fraction, fraction, root, bracketed, function, gathered)


def term(rng: np.random.Generator, depth: int) -> str:
    makers = BRANCHES if depth < DEEPEST and rng.random() < 0.4 / (depth + 0.5) else LEAVES
    return makers[rng.integers(len(makers))](rng, depth)


def expression(rng: np.random.Generator, depth: int = 0) -> str:
    """Some terms with signs between them, in matplotlib's TeX."""
    terms = [term(rng, depth) for _ in range(int(rng.integers(1, 5 - min(depth, 2))))]
    return "".join(str(rng.choice(SIGNS)) + " " + each if i else each for i, each in enumerate(terms))


def equation(rng: np.random.Generator) -> str:
    """One to three expressions with relations between them."""
    parts = [expression(rng) for _ in range(int(rng.integers(1, 4)))]
    return "".join(str(rng.choice(RELATIONS)) + " " + each if i else each for i, each in enumerate(parts))


@cache
def _parser() -> Any:  # matplotlib takes a second to import, and comes with training alone
    from matplotlib.mathtext import MathTextParser

    logging.getLogger("matplotlib.mathtext").setLevel(logging.ERROR)  # it tells of every small root
    return MathTextParser("agg")


def formula(rng: np.random.Generator, em: float, face: str, bold: bool) -> np.ndarray:
    """A formula with letters `em` px an em, in one of FACES: (h, w) float32 opacity; bold as heavy print is."""
    from matplotlib.font_manager import FontProperties

    parsed = _parser().parse(f"${equation(rng)}$", 72, FontProperties(size=em, math_fontfamily=face))
    alpha = np.asarray(parsed.image, np.float32) / 255
    return cv2.dilate(alpha, np.ones((2, 2))) if bold else alpha
