"""Pages typeset in scripts and manners of their own: each function fills the page of a Typesetter."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dehw.data.synth.printed.typeset import Typesetter
from dehw.data.synth.words import everyday_hanzi, nonsense, sentence, words

# language: the role of its font, whether it is written from right to left
LANGUAGES = {
    "hindi": ("hindi", False),
    "arabic": ("arabic", True),
    "hebrew": ("hebrew", True),
    "thai": ("thai", False),
    "bengali": ("bengali", False),
    "tamil": ("tamil", False),
    "cyrillic": ("latin", False),
    "greek": ("latin", False),
    "vietnamese": ("math", False),
    "kana": ("cjk", False),
    "hangul": ("cjk", False),
}
SCRIPTS = tuple(sorted({role for role, _ in LANGUAGES.values()}))  # the roles that foreign() can print in


def foreign(sheet: Typesetter) -> None:
    """A page of text and questions in some other language."""
    rng = sheet.rng
    known = [name for name, (role, _) in LANGUAGES.items() if role in sheet.fonts]
    language = known[rng.integers(len(known))]
    role, leftwards = LANGUAGES[language]
    sheet.faces[role] = str(rng.choice(sheet.fonts[role]))
    bold = rng.random() < 0.5
    while sheet.y < sheet.image.height - 3 * sheet.size:
        factor = rng.choice([1.0, 1.0, 1.0, 1.4, 2.2])
        number = f"{rng.integers(1, 30)}. " if rng.random() < 0.4 else ""
        blanks = rng.random() < 0.3
        fill = sheet.accent()
        for line in range(int(rng.integers(1, 6 if factor == 1 else 2))):
            text = number if line == 0 else ""
            wanted = rng.uniform(0.6, 1) * (sheet.right - sheet.left)
            while sheet.font(role, factor).getlength(text) < wanted - 6 * sheet.size * factor:
                text += str(rng.choice(words(language))) + " "
                text += "______ " if blanks and rng.random() < 0.15 else ""
            x = sheet.right - sheet.font(role, factor).getlength(text) if leftwards else sheet.left
            sheet.text(x, text, role, factor * 1.2, fill)
            if bold and factor > 1:
                sheet.text(x + 1, text, role, factor * 1.2, fill)
            sheet.feed(factor * 1.15)
        sheet.feed(rng.uniform(0, 1))


def reading(sheet: Typesetter) -> None:
    """A poem or a text for young readers: large Kai or script letters, at times with small ones over each."""
    rng = sheet.rng
    chinese = rng.random() < 0.6
    roles = ["kai", "fangsong", "cjk"] if chinese else ["display", "italic", "latin"]
    role = str(rng.choice([name for name in roles if name in sheet.fonts]))
    sheet.faces[role] = str(rng.choice(sheet.fonts[role]))
    factor, middle, pinyin = rng.uniform(1.1, 2.0), rng.random() < 0.6, chinese and rng.random() < 0.4
    lead = rng.uniform(0.9, 1.5)
    while sheet.y < sheet.image.height - 4 * sheet.size * factor:
        text = sentence(rng, chinese)
        if rng.random() < 0.2:
            sheet.feed(factor)
            continue
        text = text[: int((sheet.right - sheet.left) / sheet.size / factor * (1 if chinese else 2))]
        width = sheet.font(role, factor).getlength(text)
        x = (sheet.left + sheet.right - width) / 2 if middle else sheet.left
        if pinyin:
            for step in range(len(text)):
                sheet.text(x + step * sheet.size * factor, nonsense(rng)[:4], "latin", 0.55)
            sheet.y += round(0.6 * sheet.size)
        sheet.text(x, text, role, factor)
        sheet.feed(factor * lead)


def vertical(sheet: Typesetter) -> None:
    """Chinese or Japanese in columns from right to left, as in old books, with or without rules between them."""
    rng = sheet.rng
    role = str(rng.choice([name for name in ("kai", "fangsong", "cjk", "cjk") if name in sheet.fonts]))
    sheet.faces[role] = str(rng.choice(sheet.fonts[role]))
    large, ruled = rng.uniform(1.0, 1.6), rng.random() < 0.5
    pitch, bottom = sheet.size * large * rng.uniform(1.3, 1.9), sheet.image.height - sheet.y
    letters = "".join(words("kana")) if rng.random() < 0.3 else everyday_hanzi()
    x, top, ink = float(sheet.right), sheet.y, (int(rng.integers(0, 90)),) * 3
    if ruled:
        sheet.box(sheet.left - 4, top - 4, sheet.right - sheet.left + 8, bottom - top + 8, ink)
    while x > sheet.left + pitch:
        x -= pitch
        factor, y = (large, top + rng.choice([0, 1, 2]) * sheet.size)
        end = bottom if rng.random() < 0.8 else rng.uniform(top, bottom)
        if rng.random() < 0.12:  # a note in small print, two columns wide
            factor *= 0.6
        while y < end - sheet.size * large:
            for side in (0, 1) if factor < 0.99 * large else (0,):
                font = sheet.font(role, factor)
                sheet.pen.text((x + side * pitch * 0.45, y), letters[rng.integers(len(letters))], font=font, fill=ink)
            y += sheet.size * factor * 1.08
        if ruled:
            sheet.pen.line([x - pitch * 0.1, top, x - pitch * 0.1, bottom], fill=ink)


def typescript(sheet: Typesetter) -> None:
    """A typed letter or a fax: letters of one width that jump, uneven in darkness, at times struck over."""
    rng = sheet.rng
    role = "typewriter" if "typewriter" in sheet.fonts else "mono"
    font = sheet.font(role, rng.uniform(0.95, 1.1))
    step, jump, shade = font.getlength("n"), rng.uniform(0, 0.06) * sheet.size, rng.uniform(0, 110)
    lead = rng.choice([0.8, 1.0, 1.5])
    while sheet.y < sheet.image.height - 3 * sheet.size:
        text, x = " ".join(sentence(rng, False) for _ in range(4)), float(sheet.left)
        if rng.random() < 0.15:
            text = text[: int(rng.integers(5, 30))].upper()
            x += rng.choice([0, 10, 20]) * step
        for letter in text:
            if x > sheet.right:
                break
            grey = int(np.clip(shade + rng.normal(0, 25), 0, 170))
            at = x + rng.normal(0, 0.3) * jump, sheet.y + rng.normal(0, 1) * jump
            sheet.pen.text(at, letter, font=font, fill=(grey,) * 3)
            if rng.random() < 0.004:
                sheet.pen.text(at, "X", font=font, fill=(grey,) * 3)
            x += step
        sheet.feed(lead)


def invitation(sheet: Typesetter) -> None:
    """Lines in script letters about the middle, with a frame, and at times lines to answer on."""
    rng = sheet.rng
    sheet.faces["display"] = str(rng.choice(sheet.fonts["display"]))
    width, height = sheet.image.size
    ink = sheet.colour() if rng.random() < 0.5 else (25,) * 3
    if rng.random() < 0.6:
        sheet.box(sheet.left / 2, sheet.left / 2, width - sheet.left, height - sheet.left, ink)
    while sheet.y < height - 5 * sheet.size:
        factor = rng.choice([1.2, 1.8, 3.0])
        role = "display" if rng.random() < 0.75 else "italic"
        text = sentence(rng, False)[: int((sheet.right - sheet.left) / sheet.size / factor * 1.9)].strip(".")
        length = sheet.font(role, factor).getlength(text)
        sheet.text((width - length) / 2, text.capitalize(), role, factor, ink)
        sheet.feed(factor * 1.1)
        if rng.random() < 0.12:
            end = sheet.text(sheet.left, text.split(" ")[0] + ": ", role, 1.2, ink)
            rule(sheet, end, sheet.right)
            sheet.feed(1.5)


def rule(sheet: Typesetter, left: float, right: float, kind: str = "lines") -> None:
    """A line, whole, dashed or dotted, on the current line of print from left to right, to be written on."""
    y, dash = sheet.y + sheet.size, int(sheet.rng.choice([0, 0, 2, 6]))
    grey = (int(sheet.rng.integers(0, 150)),) * 3
    for x in np.arange(left, right - 1, 2 * dash or right - left):
        sheet.pen.line([x, y, min(right, x + (dash - 1 if dash else right)), y], fill=grey)
    sheet.field(kind, left, sheet.y - 0.2 * sheet.size, right - left, 1.2 * sheet.size)


def music(sheet: Typesetter) -> None:
    """Staves with clefs, notes and bars, words below them."""
    rng = sheet.rng
    gap, ink = sheet.size * rng.uniform(0.3, 0.5), (int(rng.integers(0, 60)),) * 3
    clef = sheet.font("music", gap * rng.uniform(3.8, 6) / sheet.size)
    while sheet.y < sheet.image.height - 9 * gap:
        top = sheet.y + 2 * gap
        for line in range(5):
            sheet.pen.line([sheet.left, top + line * gap, sheet.right, top + line * gap], fill=ink)
        sheet.pen.text((sheet.left, top + 3 * gap), "𝄞𝄢"[rng.integers(2)], font=clef, fill=ink, anchor="ls")
        x, before = sheet.left + 4 * gap, None
        while x < sheet.right - gap:
            if rng.random() < 0.15:
                sheet.pen.line([x, top, x, top + 4 * gap], fill=ink, width=max(1, round(gap / 7)))
            else:
                before = _note(sheet, x, top + rng.integers(-1, 9) * gap / 2, gap, ink, before)
            x += gap * rng.uniform(1.8, 4)
        sheet.y = round(top + 6 * gap)
        if rng.random() < 0.5:
            sheet.text(sheet.left + 4 * gap, sentence(rng, False).replace(" ", "   "), "latin", 0.9)
        sheet.feed(rng.uniform(1, 2.5))


def _note(
    sheet: Typesetter, x: float, y: float, gap: float, ink: tuple[int, ...], before: tuple[float, float] | None
) -> tuple[float, float]:
    """Draw a note, its head at x, y, now and then beamed to the one before; returns the end of its stem."""
    whole, width = sheet.rng.random() < 0.2, max(1, round(gap / 7))
    head = Image.new("L", (round(4 * gap), round(4 * gap)))
    box = [1.4 * gap, 1.55 * gap, 2.6 * gap, 2.45 * gap]
    ImageDraw.Draw(head).ellipse(box, fill=0 if whole else 255, outline=255, width=width)
    head = head.rotate(25)
    sheet.image.paste(Image.new("RGB", head.size, ink), (round(x - 2 * gap), round(y - 2 * gap)), head)
    end = x + 0.5 * gap, y - 3.2 * gap
    sheet.pen.line([end[0], y, *end], fill=ink, width=width)
    if before and not whole and x - before[0] < 3 * gap and sheet.rng.random() < 0.6:
        sheet.pen.line([*before, *end], fill=ink, width=max(2, round(gap / 2)))
    return end
