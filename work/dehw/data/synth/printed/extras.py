"""What is printed on top of any page: headlines, rules, stamps, seals, watermarks. The page is changed in place."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw

from dehw.data.materials import open_font
from dehw.data.synth import watermark as translucent
from dehw.data.synth.ink import blanks
from dehw.data.synth.printed.fonts import legible
from dehw.data.synth.words import everyday_hanzi, nonsense, sentence, words

Fonts = dict[str, list[str]]
Extra = Callable[[np.random.Generator, np.ndarray, float, Fonts], None]  # page (H, W, 3) uint8, px of its print, fonts

RED, BLUE = (200, 30, 40), (40, 50, 160)
HEADLINES = ("cjk bold", "latin bold", "kai", "fangsong", "display")
TRIES = 12  # places tried for a headline


def headline(rng: np.random.Generator, page: np.ndarray, height: float, fonts: Fonts) -> None:
    """Headings two and three times as large as the text, bold or Kai or in script letters, where there is room."""
    taken = cv2.integral(blanks.dark(page))
    for _ in range(int(rng.integers(1, 4))):
        roles = [role for role in HEADLINES if role in fonts]
        role = roles[rng.integers(len(roles))]
        chinese = role not in ("latin bold", "display")
        text = sentence(rng, chinese)[: int(rng.integers(2, 12 if chinese else 24))]
        alpha = lettering(str(rng.choice(fonts[role])), text, round(height * rng.uniform(1.8, 3.3)))
        grey = float(rng.integers(0, 70))
        colour = rng.choice([RED, BLUE]) if rng.random() < 0.15 else (grey, grey, grey)
        spot = free_spot(rng, taken, alpha.shape)
        if spot:
            lay(page, alpha, colour, spot, 1.0)
            taken = cv2.integral(blanks.dark(page))


def rules(rng: np.random.Generator, page: np.ndarray, height: float, fonts: Fonts) -> None:
    """Dotted, dashed or whole rules to answer on, a frame, or squared paper, where there is room."""
    taken = cv2.integral(blanks.dark(page))
    for _ in range(int(rng.integers(1, 4))):
        high, wide = (round(height * rng.uniform(*span)) for span in ((2, 14), (6, 40)))
        spot, tile = free_spot(rng, taken, (high, wide)), Image.new("L", (wide, high))
        if not spot:
            continue
        pen, dash, pitch = ImageDraw.Draw(tile), int(rng.choice([1, 3, 8, wide])), height * rng.uniform(1.5, 2)
        for y in np.arange(pitch, high, pitch):
            for x in range(0, wide, dash + 3):
                pen.line([x, y, min(x + dash - 1, wide), y], fill=255)
        for x in np.arange(0, wide, pitch) if rng.random() < 0.25 else ():
            pen.line([x, 0, x, high], fill=255)
        if rng.random() < 0.3:
            pen.rectangle([0, 0, wide - 1, high - 1], outline=255, width=max(1, round(height / 14)))
        lay(page, _opacity(tile), (int(rng.integers(0, 140)),) * 3, spot, 1.0)


def stamp(rng: np.random.Generator, page: np.ndarray, height: float, fonts: Fonts) -> None:
    """A rubber stamp, tilted, of uneven ink: a frame or rings with words and a date."""
    size = round(height * rng.uniform(4, 10))
    wide = size if rng.random() < 0.5 else 2 * size
    tile, line = Image.new("L", (wide, size)), max(1, size // 40)
    pen = ImageDraw.Draw(tile)
    shape = pen.ellipse if wide == size or rng.random() < 0.3 else pen.rectangle
    for inset in (0, 3 * line)[: rng.integers(1, 3)]:
        shape([inset, inset, wide - 1 - inset, size - 1 - inset], outline=255, width=line)
    role = str(rng.choice([name for name in ("latin bold", "cjk bold", "typewriter") if name in fonts]))
    font = open_font(str(rng.choice(fonts[role])), max(6, size // 6))
    for row in range(int(rng.integers(1, 4))):
        text = rng.choice([nonsense(rng).upper(), "".join(rng.choice(everyday_hanzi(), 4)), "12. 3. 2019", "PAID"])
        pen.text((wide / 2, size * (0.3 + 0.2 * row)), legible(font, str(text)), font=font, fill=255, anchor="mm")
    alpha = _opacity(tile.rotate(rng.normal(0, 12), expand=True))
    lay(page, alpha * worn(rng, alpha.shape), _dye(rng), _anywhere(rng, page, alpha.shape), rng.uniform(0.5, 0.95))


def seal(rng: np.random.Generator, page: np.ndarray, height: float, fonts: Fonts) -> None:
    """A red seal: one to four characters in a square or a ring, or cut out of it."""
    size, count = round(height * rng.uniform(1.5, 5)), int(rng.choice([1, 2, 4]))
    role = str(rng.choice([name for name in ("kai", "fangsong", "cjk bold") if name in fonts]))
    tile, side = Image.new("L", (size, size)), 2 if count > 1 else 1
    pen, cut = ImageDraw.Draw(tile), rng.random() < 0.4
    shape = pen.ellipse if rng.random() < 0.25 else pen.rectangle
    shape([0, 0, size - 1, size - 1], outline=255, fill=255 if cut else 0, width=max(1, size // 20))
    font = open_font(str(rng.choice(fonts[role])), max(6, round(size * 0.8 / side)))
    for number in range(count):
        at = [(number // 2 + 0.5) * size / side, (number % 2 + 0.5) * size / side]
        at = at if count > 2 or count == 1 else [size / 2, at[1]]
        pen.text(
            (at[0], at[1]),
            legible(font, str(rng.choice(everyday_hanzi()))),
            font=font,
            fill=0 if cut else 255,
            anchor="mm",
        )
    alpha = _opacity(tile.rotate(rng.normal(0, 3), expand=True))
    lay(page, alpha * worn(rng, alpha.shape), RED, _anywhere(rng, page, alpha.shape), rng.uniform(0.6, 1))


def watermark(rng: np.random.Generator, page: np.ndarray, height: float, fonts: Fonts) -> None:
    """A pale word across the page, once or all over it."""
    size, repeat = height * rng.uniform(1.5, 7), bool(rng.random() < 0.5)
    text = str(rng.choice(translucent.TEXTS)) if rng.random() < 0.6 else str(rng.choice(words("titles")))
    patch = translucent.lettering(text, round(size), str(rng.choice(fonts["cjk bold"])))
    alpha = translucent.spread(rng, patch, page.shape[0], page.shape[1], repeat)
    colour = rng.choice([(90, 90, 90), RED, BLUE])
    lay(page, alpha, colour, (0, 0), rng.uniform(0.06, 0.35))


# The keys are those of mix.AddedMix but for pasted, drawings and close_up, which sides.finished sees to.
EXTRAS: dict[str, Extra] = {
    "headline": headline,
    "rules": rules,
    "stamp": stamp,
    "seal": seal,
    "watermark": watermark,
}


def lettering(font: str, text: str, size: int) -> np.ndarray:
    """A text in type `size` px an em: (h, w) float32 opacity."""
    face = open_font(font, size)
    text = legible(face, text)
    left, top, right, bottom = face.getbbox(text)
    tile = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(tile).text((-left, -top), text, font=face, fill=255)
    return _opacity(tile)


def lay(
    page: np.ndarray, alpha: np.ndarray, colour: tuple[float, ...] | np.ndarray, spot: tuple[int, int], opacity: float
) -> None:
    """Print on a page in place, as ink that filters light, cut off at the page's edges."""
    view = page[spot[0] : spot[0] + alpha.shape[0], spot[1] : spot[1] + alpha.shape[1]]
    layer = alpha[: view.shape[0], : view.shape[1], None] * opacity
    view[:] = (view * (1 - layer * (1 - np.asarray(colour, np.float32) / 255))).round()


def _opacity(tile: Image.Image) -> np.ndarray:
    return np.asarray(tile, np.float32) / 255


def worn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where a stamp leaves its ink: (h, w) float32 in [0, 1], with patches of little."""
    coarse = cv2.resize(rng.uniform(0.3, 1.4, (4, 4)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (coarse - 0.5 * cv2.blur(rng.random(shape, np.float32), (2, 2))).clip(0, 1)


def _dye(rng: np.random.Generator) -> tuple[int, int, int]:
    return (RED, BLUE, (40, 40, 45))[rng.choice(3, p=[0.5, 0.35, 0.15])]


def _anywhere(rng: np.random.Generator, page: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int]:
    top, left = (int(rng.integers(max(1, side - n))) for side, n in zip(page.shape[:2], shape))
    return top, left


def free_spot(rng: np.random.Generator, taken: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """A spot for a patch of this shape without any print; None where none was found."""
    rows, columns = (side - 1 - n for side, n in zip(taken.shape, shape))
    if rows <= 0 or columns <= 0:
        return None
    for _ in range(TRIES):
        y, x = int(rng.integers(rows)), int(rng.integers(columns))
        h, w = shape
        if not taken[y + h, x + w] - taken[y, x + w] - taken[y + h, x] + taken[y, x]:
            return y, x
    return None
