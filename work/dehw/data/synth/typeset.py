"""The printed side of made-up pages: exam sheets typeset from fonts, or pages of born-digital PDFs."""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CHINESE = (
    "下列说法正确的是",
    "如图所示",
    "求函数的最大值",
    "请将正确答案填在括号内",
    "阅读下面的短文",
    "已知直线与圆相交于两点",
    "选择题（每小题三分，共三十分）",
    "填空题",
    "计算题",
    "小明从家到学校需要走",
    "根据材料回答问题",
    "证明这两个三角形全等",
    "写出下列反应的化学方程式",
    "某工厂生产的零件",
    "设随机变量服从正态分布",
    "质量为的物体静止在水平面上",
    "看图写词语",
    "用竖式计算并验算",
    "下面哪个字的读音是正确的",
    "甲乙两地相距",
    "判断题，对的打勾，错的打叉",
    "简述其工作原理并画出示意图",
)
ENGLISH = (
    "Choose the correct answer.",
    "Fill in the blanks with the proper words.",
    "Read the passage and answer the questions.",
    "What is the value of x in the equation below?",
    "Explain your reasoning in one sentence.",
    "True or false?",
    "The train leaves the station at half past nine.",
    "Find the area of the shaded region.",
    "Show all your work.",
    "Which of the following statements is not correct?",
    "Translate the sentences into English.",
    "Complete the table.",
    "A ball is thrown upwards with a speed of 12 m/s.",
    "Write a function that returns the sum of a list.",
)
SYMBOLS = (
    "f(x)=x²+2x−1",
    "∫ x dx",
    "a²+b²=c²",
    "lim n→∞",
    "Σ k=1",
    "√(x+1)",
    "y=sin(2x)",
    "∂u/∂t",
    "A∩B=∅",
    "x≤3",
    "α+β=π",
    "2×(3+4)=",
    "ΔH<0",
    "P(X≥2)",
    "∠ABC=60°",
    "15÷3=",
    "x₁+x₂",
    "e^{-t}",
    "|x−1|<2",
    "v=s/t",
)
ITEMS = (  # short questions that are answered in a blank
    "{n} + {m} = ____",
    "{m} × {n} = （    ）",
    "____ H2 + ____ O2 → ____ H2O",
    "（    ）{c}（    ）{c}",
    "{c}{c}（   ）{c}",
    "{w} (      ) {w}",
    "______ {w} ____.",
    "{n} cm = ____ m",
    "{n} ○ {m}",
    "{m} : {n} = ____ %",
    "（    ）{c}{c}{c}{c}。",
    "{w} → ________",
    "x = ____, y = ____",
    "□ {c}{c} □ {c}{c}",
)
LABELS = tuple("ABCDEFGOPQRSXYZabcdhimnrtvxyz0123456789αβθφω+−") + (  # at the parts of a figure
    "R1",
    "R₂",
    "10kΩ",
    "1/3 Ω",
    "2Ω",
    "1F",
    "0.5H",
    "+12V",
    "Us(t)",
    "uₒ",
    "i₁",
    "30°",
    "F₁",
    "mg",
    "v₀",
    "100",
    "-10",
    "0.2",
    "G(s)",
    "Q̄",
    "CLK",
    "D0",
)
TITLES = ("期末考试试卷（A卷）", "Midterm Examination", "第三单元测试卷", "Homework 4", "高等数学期中试题")
VOWELS = "aāáǎàoōóǒòeēéěèiīíǐìuūúǔù"  # of pinyin
CODE = (
    "int main() {",
    "  for (i = 0; i < n; i++)",
    '    printf("%d\\n", a[i]);',
    "  return 0;",
    "}",
    "def f(x):",
    "    return x * 2",
)


@lru_cache(maxsize=1)
def everyday_hanzi() -> list[str]:
    """The 3,755 characters of level 1 of GB 2312, lead bytes 0xB0 to 0xD7."""
    codes = (bytes([high, low]) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    return [char for code in codes if (char := code.decode("gb2312", "ignore"))]


def word(rng: np.random.Generator) -> str:
    """A word of no language, with the letters of English about as often as there."""
    letters = "eeeettttaaaoooiiinnnsssrrrhhllddccuummffppggwwyybbvkxjqz"
    return "".join(rng.choice(list(letters), int(rng.integers(1, 10))))


def sentence(rng: np.random.Generator, chinese: bool) -> str:
    """Half of the time one that exams have, else one without sense, so that no word is learnt by heart."""
    if rng.random() < 0.5:
        return str(rng.choice(CHINESE if chinese else ENGLISH))
    if chinese:
        return "".join(rng.choice(everyday_hanzi(), int(rng.integers(3, 14))))
    return " ".join(word(rng) for _ in range(rng.integers(2, 9))).capitalize() + "."


class Sheet:
    """A white page being typeset from top to bottom.

    height, width: px. print_height: px of a printed character. fonts: printing fonts by role, see typeset.
    """

    def __init__(
        self, rng: np.random.Generator, height: int, width: int, print_height: float, fonts: dict[str, list[str]]
    ):
        self.rng, self.size, self.fonts = rng, max(7, round(print_height * 1.1)), fonts
        self.image = Image.new("RGB", (width, height), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.left = int(width * rng.uniform(0.05, 0.12))
        self.right = width - self.left
        self.y = int(height * rng.uniform(0.03, 0.08))
        self.faces = {role: str(rng.choice(fonts[role])) for role in ("cjk", "latin", "cjk bold", "latin bold")}
        self.tint = self.colour() if rng.random() < 0.06 else None  # some sheets are printed in blue or green

    def font(self, role: str, factor: float = 1.0) -> ImageFont.FreeTypeFont:
        path = self.faces.get(role) or str(self.rng.choice(self.fonts[role]))
        return ImageFont.truetype(path, max(6, round(self.size * factor)))

    def text(self, x: float, text: str, role: str, factor: float = 1.0, fill=None) -> float:
        """Print text at x on the current line; returns where it ends."""
        font = self.font(role, factor)
        self.pen.text((x, self.y), text, font=font, fill=fill or self.tint or (int(self.rng.integers(0, 50)),) * 3)
        return x + font.getlength(text)

    def colour(self) -> tuple[int, int, int]:
        """A colour to print with: a strong one."""
        return tuple(int(c) for c in self.rng.permutation([self.rng.integers(0, 90), *self.rng.integers(0, 230, 2)]))

    def accent(self) -> tuple[int, int, int] | None:
        """What a part of the page is printed in: now and then a colour of its own."""
        if self.rng.random() > 0.1:
            return None
        return self.colour() if self.rng.random() < 0.6 else (30, int(self.rng.integers(30, 110)), 200)

    def feed(self, lines: float = 1.0) -> None:
        self.y += int(self.size * self.rng.uniform(1.35, 1.9) * lines)

    # the elements of an exam page -----------------------------------------------------------------------------------

    def title(self) -> None:
        own = sentence(self.rng, self.rng.random() < 0.6).strip(".")
        text = str(self.rng.choice(TITLES)) if self.rng.random() < 0.4 else own
        role, factor = ("cjk" if not text.isascii() else "latin"), self.rng.uniform(1.2, 2.2)
        role += " bold" if self.rng.random() < 0.6 else ""
        width = self.font(role, factor).getlength(text)
        self.text(max(self.left, (self.left + self.right - width) / 2), text, role, factor)
        self.feed(1 + factor / 2)
        self.text(self.left, "姓名________  班级________  学号____________  得分______", "cjk")
        self.feed(1.5)

    def heading(self) -> None:
        """The title of a section, bold, with its points."""
        chinese = self.rng.random() < 0.6
        number = self.rng.choice(
            ["一、", "二、", "三、", "第三部分 "] if chinese else ["1. ", "2. ", "Part B: ", "IV. "]
        )
        points = self.rng.choice(["", "（10分）", "（每空2分，共16分）"] if chinese else ["", " (8 points)", " [20]"])
        text, factor = f"{number}{sentence(self.rng, chinese)}{points}", self.rng.uniform(1.0, 1.5)
        self.feed(self.rng.uniform(0, 0.6))
        self.text(self.left, text, "cjk bold" if chinese else "latin bold", factor, self.accent())
        self.feed(factor)

    def items(self) -> None:
        """Short questions in columns, each with a blank or more."""
        columns = int(self.rng.integers(1, 5))
        step = (self.right - self.left) / columns
        label, colour = self.rng.choice(["{}) ", "({}) ", "{}. ", ""]), self.accent()
        for i in range(columns * int(self.rng.integers(1, 4))):
            if i and i % columns == 0:
                self.feed(1.3)
            draw = {"n": self.rng.integers(100), "m": self.rng.integers(10), "w": word(self.rng)}
            text = str(self.rng.choice(ITEMS)).format(c=self.rng.choice(everyday_hanzi()), **draw)
            letters = max(5, int(step / self.size * (2 if text.isascii() else 1.3)))
            text = (label.format("abcdefghijkl"[i]) + text)[:letters]
            self.text(self.left + i % columns * step, text, "cjk", fill=colour)
        self.feed(1.4)

    def dictation(self) -> None:
        """Pinyin over brackets for the characters."""
        columns = int(self.rng.integers(3, 7))
        step = (self.right - self.left) / columns
        for i in range(columns):
            sounds = (
                "".join(self.rng.choice(list(part)) for part in (string.ascii_lowercase, VOWELS, "n ng")) for _ in "12"
            )
            self.text(self.left + i * step, " ".join(sounds), "latin")
        self.feed(1.1)
        for i in range(columns):
            self.text(self.left + i * step, "（" + "　" * int(self.rng.integers(1, 4)) + "）", "cjk")
        self.feed(1.3)

    def question(self) -> None:
        number = self.rng.choice(["{}.", "({})", "{}、", "{})", "第{}题"]).format(self.rng.integers(1, 30))
        colour = self.accent()
        x = self.text(self.left, number + " ", "cjk", fill=colour)
        chinese = self.rng.random() < 0.65
        for _ in range(int(self.rng.integers(1, 8))):
            words = self.rng.random()
            if words < 0.2:
                text, role = str(self.rng.choice(SYMBOLS)), "math"
            elif words < 0.35:
                text, role = (
                    str(self.rng.choice(["（    ）", "________", "(      )", "□", "______ ", "○", "【   】"])),
                    "cjk",
                )
            else:
                text, role = (
                    (sentence(self.rng, True) + "，", "cjk") if chinese else (sentence(self.rng, False) + " ", "latin")
                )
            for word in text if role == "cjk" else text.split(" "):
                piece = word if role == "cjk" else word + " "
                if x + self.size * len(piece) * (1 if role == "cjk" else 0.5) > self.right:
                    self.feed()
                    x = self.left + self.size
                x = self.text(x, piece, role, fill=colour)
        self.feed()

    def choices(self) -> None:
        columns = int(self.rng.choice([2, 4]))
        step = (self.right - self.left) / columns
        for i, letter in enumerate("ABCD"):
            if i and i % columns == 0:
                self.feed()
            role = str(self.rng.choice(["math", "cjk", "latin"]))
            text = str(self.rng.choice(SYMBOLS)) if role == "math" else sentence(self.rng, role == "cjk")
            letters = max(2, int(step / self.size * (2 if role == "latin" else 1)) - 3)
            self.text(self.left + i % columns * step, f"{letter}. {text[:letters]}", role)
        self.feed()

    def formula(self) -> None:
        x = self.left + self.size * self.rng.uniform(2, 8)
        base = self.y
        for _ in range(int(self.rng.integers(1, 4))):
            x = self.text(x, str(self.rng.choice(SYMBOLS)) + " ", "italic")
            top, bottom = (
                str(self.rng.choice(["x+1", "1", "dy", "n", "2ab"])),
                str(self.rng.choice(["2", "dx", "x²−1", "n!", "c"])),
            )
            self.y = base - int(self.size * 0.6)
            end = self.text(x + 3, top, "italic")
            self.y = base + int(self.size * 0.65)
            end = max(end, self.text(x + 3, bottom, "italic"))
            self.pen.line(
                [x, base + self.size * 0.6, end + 3, base + self.size * 0.6],
                fill=(20,) * 3,
                width=max(1, self.size // 14),
            )
            x, self.y = end + self.size * 0.4, base
        self.feed(1.6)

    def table(self) -> None:
        rows, columns = int(self.rng.integers(2, 6)), int(self.rng.integers(2, 9))
        height, width = int(self.size * 1.8), (self.right - self.left) // columns
        line = max(1, self.size // 16)
        for _ in range(rows):
            for j in range(columns):
                x = self.left + j * width
                self.pen.rectangle([x, self.y, x + width, self.y + height], outline=(30,) * 3, width=line)
                if self.rng.random() < 0.6:
                    label = str(
                        self.rng.choice(["得分", "题号", "x", "10", "3.5", "总分", "评卷人", "y", "一", "二", "甲"])
                    )
                    self.y += height // 5
                    self.text(x + width * 0.2, label, "cjk", 0.9)
                    self.y -= height // 5
            self.y += height
        self.feed(0.7)

    def figure(self) -> None:
        size = int(self.size * self.rng.uniform(5, 11))
        x, y, line = (
            int(self.rng.integers(self.left, max(self.left + 1, self.right - size))),
            self.y,
            max(1, self.size // 12),
        )
        ink = (int(self.rng.integers(0, 70)),) * 3 if self.rng.random() < 0.75 else self.colour()
        kind = self.rng.integers(8)
        points = [(x + int(a), y + int(b)) for a, b in self.rng.integers(0, size, (int(self.rng.integers(3, 6)), 2))]
        if kind == 0:
            self.pen.polygon(points, outline=ink, width=line)
        elif kind == 1:
            self.pen.line([x, y + size, x + size, y + size], fill=ink, width=line)
            self.pen.line([x + size // 2, y, x + size // 2, y + size], fill=ink, width=line)
            t = np.linspace(-1, 1, 60)
            curve = np.stack([x + (t + 1) * size / 2, y + size * (0.5 + 0.4 * np.sin(t * self.rng.uniform(1, 7)))], 1)
            self.pen.line([tuple(p) for p in curve], fill=ink, width=line)
        elif kind == 2:
            self.pen.ellipse([x, y, x + size, y + int(size * self.rng.uniform(0.5, 1))], outline=ink, width=line)
            self.pen.line(points, fill=ink, width=line)
        elif kind == 3:
            for _ in range(int(self.rng.integers(3, 8))):  # coloured drawings: tangrams, picture tables
                a = self.rng.integers(0, size, (int(self.rng.integers(3, 5)), 2))
                self.pen.polygon(
                    [(x + int(u), y + int(v)) for u, v in a],
                    fill=tuple(int(c) for c in self.rng.integers(40, 255, 3)),
                    outline=ink,
                )
        elif kind == 4:
            bars = np.cumsum(self.rng.integers(1, 5, 60)) * max(1, self.size // 12)
            for a, b in zip(bars[::2], bars[1::2]):
                self.pen.rectangle([x + int(a), y, x + int(b) - 1, y + size // 4], fill=(15,) * 3)
            size //= 3
        elif kind == 5:
            self.image.paste(Image.fromarray(picture(self.rng, size)), (x, y))
        elif kind == 6:
            size = int(self.size * self.rng.uniform(2, 6))
            self.image.paste(Image.fromarray(qr_code(self.rng, size)), (x, y))
        else:
            for i in range(int(self.rng.integers(2, 5))):
                step = size // 4
                self.pen.rectangle(
                    [x + i * step, y + step, x + i * step + step // 2, y + step * 2], outline=ink, width=line
                )
                self.pen.line(
                    [x + i * step + step // 2, y + step * 3 // 2, x + (i + 1) * step, y + step * 3 // 2],
                    fill=ink,
                    width=line,
                )
        self.labels(x, size)
        self.text(x + size // 3, str(self.rng.choice(["A", "B", "O", "图1", "x", "R"])), "cjk", 0.9)
        self.y += size
        self.feed(0.8)

    def boxes(self) -> None:
        """Frames to write an answer in, side by side or below each other, now and then with a number in one."""
        width, height = (int(self.size * self.rng.uniform(*span)) for span in ((1.5, 12), (1.3, 4)))
        line, apart = max(1, round(self.size * self.rng.uniform(0.04, 0.12))), int(self.size * self.rng.uniform(0, 3))
        fill, down = (int(self.rng.integers(0, 60)),) * 3, self.rng.random() < 0.4
        left = x = self.left + int(self.rng.uniform(0, 0.5) * (self.right - self.left))
        for _ in range(int(self.rng.integers(1, 7))):
            if x + width > self.right:
                break
            self.pen.rectangle([x, self.y, x + width, self.y + height], outline=fill, width=line)
            if self.rng.random() < 0.15:
                self.text(x + width * 0.3, str(self.rng.integers(1, 40)), "latin bold", self.rng.uniform(0.8, 1.4))
            x, self.y = (left, self.y + height + apart) if down else (x + width + apart, self.y)
        self.y += 0 if down else height
        self.feed(0.8)

    def labels(self, x: int, size: int) -> None:
        """Small print about a figure `size` px wide: names of points, values of parts, numbers at axes."""
        top, role, factor = self.y, str(self.rng.choice(["italic", "math", "latin"])), self.rng.uniform(0.6, 1.0)
        for _ in range(int(self.rng.integers(0, 10))):
            self.y = top + int(self.rng.uniform(-0.05, 0.95) * size)
            self.text(x + self.rng.uniform(-0.15, 1.0) * size, str(self.rng.choice(LABELS)), role, factor)
        self.y = top

    def code(self) -> None:
        for line in self.rng.permutation(CODE)[: self.rng.integers(2, 7)]:
            self.text(self.left + self.size * 2, str(line), "mono")
            self.feed(0.85)

    def rules(self) -> None:
        for _ in range(int(self.rng.integers(1, 5))):
            dark = (int(self.rng.integers(0, 160)),) * 3
            self.feed(1.3)
            self.pen.line([self.left, self.y, self.right, self.y], fill=dark, width=max(1, self.size // 18))

    def space(self) -> None:
        self.feed(self.rng.uniform(2, 7))


def qr_code(rng: np.random.Generator, size: int) -> np.ndarray:
    """A QR code of random text, (size, size, 3) uint8."""
    text = "".join(rng.choice(list(string.ascii_letters + string.digits), int(rng.integers(8, 60))))
    code = cv2.QRCodeEncoder_create().encode(text)
    return cv2.cvtColor(cv2.resize(code, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)


def picture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Something like a photo or a coloured drawing: soft areas of colour with edges, (size, size, 3) uint8."""
    soft = [cv2.resize(rng.random((n, n, 3)), (size, size), interpolation=cv2.INTER_CUBIC) for n in (3, 8, 24)]
    image = (0.5 * soft[0] + 0.35 * soft[1] + 0.15 * soft[2] > rng.uniform(0.3, 0.7)) * 0.35 + 0.65 * soft[0]
    return (255 * image.clip(0, 1)).astype(np.uint8)


def typeset(
    rng: np.random.Generator, height: int, width: int, print_height: float, fonts: dict[str, list[str]]
) -> np.ndarray:
    """Typeset one exam page: (H, W, 3) uint8, print about `print_height` px high on white.

    fonts: font files by role: cjk, latin, cjk bold, latin bold, italic, math, mono (each at least one).
    """
    sheet = Sheet(rng, height, width, print_height, fonts)
    elements = [
        sheet.question,
        sheet.heading,
        sheet.items,
        sheet.dictation,
        sheet.choices,
        sheet.formula,
        sheet.table,
        sheet.figure,
        sheet.boxes,
        sheet.code,
        sheet.rules,
        sheet.space,
    ]
    weights = np.array([8, 3, 3, 0.7, 3, 2, 0.8, 1.5, 0.8, 0.5, 0.4, 2.5])
    if rng.random() < 0.7:
        sheet.title()
    while sheet.y < height - 4 * sheet.size:
        elements[rng.choice(len(elements), p=weights / weights.sum())]()
    return np.array(sheet.image)


def system_fonts(folder: Path = Path("/usr/share/fonts")) -> dict[str, list[str]]:
    """Printing fonts found under `folder`, by role. Debian's fonts-noto-cjk, fonts-arphic-uming, fonts-dejavu,
    fonts-liberation and fonts-freefont-ttf serve all roles."""
    patterns = {
        "cjk": (
            "NotoSerifCJK-Regular*",
            "NotoSansCJK-Regular*",
            "NotoSansCJK-Bold*",
            "NotoSerifCJK-Bold*",
            "uming*",
            "ukai*",
        ),
        "latin": (
            "LiberationSerif-Regular*",
            "LiberationSans-Regular*",
            "FreeSans.*",
            "FreeSerif.*",
            "DejaVuSerif.*",
        ),
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
    fonts = {role: [str(p) for n in names for p in sorted(folder.rglob(n))] for role, names in patterns.items()}
    missing = [role for role, files in fonts.items() if not files]
    if missing:
        from dehw.errors import InputError

        raise InputError(
            f"{folder}: no font for {', '.join(missing)}; install fonts-noto-cjk, fonts-dejavu, fonts-liberation, "
            "fonts-freefont-ttf or name a folder of fonts"
        )
    return fonts


def pdf_pages(path: Path, dpi: float) -> Iterator[np.ndarray]:
    """Render the pages of a PDF one by one: (H, W, 3) uint8 RGB."""
    import pypdfium2

    document = pypdfium2.PdfDocument(str(path))
    try:
        for page in document:
            yield cv2.cvtColor(page.render(scale=dpi / 72).to_numpy(), cv2.COLOR_BGR2RGB)
    finally:
        document.close()
