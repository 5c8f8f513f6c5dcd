"""Printing fonts by role, as they are installed: those of any exam page, and those of other scripts and manners."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import ImageFont, features

from dehw.data.materials import characters
from dehw.errors import InputError

PATTERNS = {  # of font files, by role
    "cjk": (
        "NotoSerifCJK-Regular*",
        "NotoSansCJK-Regular*",
        "NotoSansCJK-Bold*",
        "NotoSerifCJK-Bold*",
        "uming*",
        "ukai*",
    ),
    "latin": ("LiberationSerif-Regular*", "LiberationSans-Regular*", "FreeSans.*", "FreeSerif.*", "DejaVuSerif.*"),
    "cjk bold": ("NotoSansCJK-Bold*", "NotoSerifCJK-Bold*"),
    "latin bold": (
        "LiberationSerif-Bold.*",
        "LiberationSans-Bold.*",
        "FreeSansBold.*",
        "FreeSerifBold.*",
        "DejaVuSans-Bold.*",
    ),
    "italic": ("FreeSerifItalic*", "DejaVuSerif-Italic*", "DejaVuSans-Oblique*", "FreeSerif.*"),
    "math": ("DejaVuSans.*", "FreeSerif.*", "DejaVuSerif.*", "DejaVuMathTeXGyre*"),
    "mono": ("DejaVuSansMono.*", "LiberationMono-Regular*", "FreeMono.*"),
}

# Roles that a page can do without, the package of Debian that has them, and whether their script needs shaping.
OPTIONAL: dict[str, tuple[tuple[str, ...], str, bool]] = {
    "kai": (("ukai*", "gkai00mp*", "LXGWWenKai-Regular*"), "fonts-arphic-ukai", False),
    "fangsong": (("cwfs*",), "fonts-cwtex-fs", False),
    "display": (
        ("Z003*.otf", "DancingScript*", "KaushanScript*", "lobster*", "Humor-Sans*", "LeckerliOne*"),
        "fonts-urw-base35, fonts-dancingscript, fonts-lobster",
        False,
    ),
    "typewriter": (("GNUTypewriter*", "Courier Prime.*", "FreeMono.*"), "fonts-gnutypewriter", False),
    "music": (("NotoMusic*", "FreeSerif.*"), "fonts-noto-core", False),
    "pictures": (("Symbola*", "NotoEmoji*.ttf"), "fonts-symbola", False),
    "hindi": (
        (
            "NotoSansDevanagari-Regular*",
            "NotoSerifDevanagari-Regular*",
            "Lohit-Devanagari.*",
            "Gargi.*",
            "Sarai.*",
            "sahadeva.*",
            "nakula.*",
            "Samyak-Devanagari.*",
        ),
        "fonts-noto-core, fonts-deva",
        True,
    ),
    "arabic": (("NotoNaskhArabic-Regular*", "NotoSansArabic-Regular*", "Amiri-Regular*"), "fonts-noto-core", True),
    "hebrew": (("NotoSansHebrew-Regular*", "NotoSerifHebrew-Regular*"), "fonts-noto-core", True),
    "thai": (("NotoSansThai-Regular*", "NotoSerifThai-Regular*", "Laksaman.*"), "fonts-noto-core", True),
    "bengali": (("NotoSansBengali-Regular*", "NotoSerifBengali-Regular*"), "fonts-noto-core", True),
    "tamil": (("NotoSansTamil-Regular*", "NotoSerifTamil-Regular*"), "fonts-noto-core", True),
}


def legible(font: ImageFont.FreeTypeFont, text: str) -> str:
    """A text without the characters that a font lacks, which it would print as boxes."""
    known = characters(str(font.path))
    return "".join(char for char in text if ord(char) in known)


def find_fonts(folder: Path, names: tuple[str, ...]) -> list[str]:
    """The files below a folder whose names match one of some patterns."""
    return [str(path) for name in names for path in sorted(folder.rglob(name))]


def system_fonts(folder: Path = Path("/usr/share/fonts")) -> dict[str, list[str]]:
    """Printing fonts found under `folder`, by role. Raises InputError where a role of any exam page has none.

    Debian's fonts-noto-cjk, fonts-arphic-uming, fonts-dejavu, fonts-liberation and fonts-freefont-ttf serve these.
    Other roles are left out, with a warning, where there is no font, or where Pillow cannot shape its script.
    """
    fonts = {role: find_fonts(folder, names) for role, names in PATTERNS.items()}
    missing = [role for role, files in fonts.items() if not files]
    if missing:
        raise InputError(
            f"{folder}: no font for {', '.join(missing)}; install fonts-noto-cjk, fonts-dejavu, fonts-liberation, "
            "fonts-freefont-ttf or name a folder of fonts"
        )
    shapes, lacking = features.check("raqm"), {}
    for role, (names, package, shaped) in OPTIONAL.items():
        found = find_fonts(folder, names) if shapes or not shaped else []
        if found:
            fonts[role] = found
        else:
            lacking[role] = package if shapes or not shaped else "a Pillow with raqm"
    if lacking:
        needed = ", ".join(f"{role} ({package})" for role, package in lacking.items())
        warnings.warn(
            f"{folder}: made-up pages do without print for which no font is installed: {needed}", stacklevel=2
        )
    return fonts
