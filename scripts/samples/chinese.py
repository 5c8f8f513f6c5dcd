"""Chinese sample pages: their text and what is written on them. Every exercise here is our own."""

from __future__ import annotations

from samples.exam import Exam
from samples.hand import Hand
from samples.press import SANS, SERIF, Drawing


def mathematics(exam: Exam) -> None:
    """A Chinese mathematics paper: choices, blanks and worked answers in black ink, marked in red."""
    page = exam.paper(1240, 1754, 27, SERIF)
    page.leading = 1.72
    exam.writers(
        exam.hand(["Nanum Pen Regular", "Long Cang Regular"], "black", 0.95, 0.08),
        exam.hand(["Caveat Medium Regular", "Zhi Mang Xing Regular"], "red", 1.2, 0.12),
    )
    exam.head(
        "高二年级数学阶段练习（三）",
        "学校 [[第四中学|6]] 班级 [[高二 (5)|5]] 姓名 [[陈思远|5]] 座号 [[17|3]] 得分 [[|4]]",
        "51",
        1.5,
    )
    page.set("（满分 60 分　时间 45 分钟）", 0.9, align="centre")
    page.set("一、选择题（每小题 5 分，共 20 分。每题只有一个选项正确）", style="bold")
    exam.ask(
        "1. 已知集合 $A={x|x^2-2x-3≤0}$，$B={−2, 0, 1, 4}$，则 $A∩B=$ ((B))",
        ["A. ${0}$", "B. ${0, 1}$", "C. ${−2, 0}$", "D. ${1, 4}$"],
    )
    exam.ask(
        "2. 函数 $f(x)=\\sqrt{2-x}+\\frac{1}{x+1}$ 的<u>定义域</u>是 ((A))",
        ["A. $(−∞, −1)∪(−1, 2]$", "B. $(−1, 2]$", "C. $(−∞, 2]$", "D. $[2, +∞)$"],
    )
    exam.ask(
        "3. 已知 $sin α=\\frac{3}{5}$，且 $α∈(\\frac{π}{2}, π)$，则 $tan α$ 的值为 ((C))",
        ["A. $\\frac{3}{4}$", "B. $−\\frac{3}{4}$", "C. $−\\frac{4}{3}$", "D. $\\frac{4}{3}$"],
        "cross",
    )
    exam.ask("4. 定积分 $∫_0^2(3x^2-2x)dx$ 的值为 ((D))", ["A. 1", "B. 2", "C. 3", "D. 4"])
    page.set("二、填空题（每小题 5 分，共 20 分。将答案写在横线上）", style="bold")
    exam.ask("5. 计算：$\\sqrt{18}-\\frac{2}{\\sqrt{2}}=$ [[2\\sqrt{2}|5]]。", dx=1.5)
    exam.ask("6. 若正数 $a$，$b$ 满足 $\\frac{1}{a}+\\frac{1}{b}=1$，且 $ab=4$，则 $a+b=$ [[4|5]]。", dx=1.5)
    exam.ask("7. 曲线 $y=x^3-x$ 在点 $(1, 0)$ 处的<w>切线</w>方程为 [[y=2x-2|7]]。", dx=1.5)
    exam.ask(
        "8. 在等差数列 ${a_n}$ 中，$a_3=7$，$a_7=19$，则公差 $d=$ [[3|3.5]]，首项 $a_1=$ [[2|3.5]]。",
        kind="half",
        dx=1,
    )
    worked(exam)


def worked(exam: Exam) -> None:
    """The mathematics paper's last part: answers with their working."""
    page = exam.press
    page.set("三、解答题（共 20 分。写出必要的文字说明和演算步骤）", style="bold")
    page.set("9.（10 分）已知函数 $f(x)=\\frac{1}{3}x^3-x^2-3x+1$。(1) 求导数；(2) 求<u>单调区间</u>。", hang=1)
    exam.work(
        [
            "解：(1) f′(x)=x^2-2x-3",
            "(2) 令 f′(x)=0, 得 (x-3)(x+1)=0,  ∴ x=3 或 \\no{x=1} x=-1",
            "当 x<-1 或 x>3, f′(x)>0, f(x) 递增",
            "当 -1<x<3, f′(x)<0, f(x) 递减",
        ]
    )
    exam.grade_work(points="10")
    page.gap(0.4)
    triangle(exam, page.right - 190, page.y + 60)
    page.set("10.（10 分）如图，在 $△ABC$ 中，$b=2$，$c=3$，$A=60°$。求边 $a$ 和面积 $S$。", hang=1)
    exam.work(
        [
            "解：由余弦定理 a^2=b^2+c^2-2bc cos A",
            "a^2=4+9-12×\\frac{1}{2}=7,   ∴ a=\\sqrt{7}",
            "S=\\frac{1}{2}bc sin A=\\frac{1}{2}×2×3×\\frac{\\sqrt{3}}{2}=\\frac{3}{2}",
        ]
    )
    exam.grade_work("half", "−2")


def triangle(exam: Exam, left: float, top: float) -> None:
    figure = Drawing(exam.press, 7.5, 5.6)
    figure.polygon((0.9, 4.6), (6.6, 4.6), (2.8, 0.9))
    for x, y, name in ((0.4, 4.9, "$A$"), (7.1, 4.9, "$B$"), (2.8, 0.4, "$C$")):
        figure.label(x, y, name)
    x, y = figure.set(left, top)
    em = exam.press.size
    exam.note("2", x + 1.1 * em, y + 2.9 * em)
    exam.note("3", x + 3.6 * em, y + 5.6 * em)
    exam.note("60°", x + 1.7 * em, y + 4.4 * em, size=0.8)


def physics(exam: Exam) -> None:
    """A Chinese physics page with figures: circuit, graph, slope; blue ink, pencil arrows, a coffee stain."""
    page = exam.paper(1100, 1556, 26, SANS)
    exam.writers(
        exam.hand(["Reenie Beanie Regular", "Liu Jian Mao Cao Regular"], "blue", 0.98, 0.085, 1.25),
        exam.hand(["Caveat Regular", "Zhi Mang Xing Regular"], "red", 1.2, 0.11),
    )
    exam.head("高一物理单元检测：力与电路", "姓名 [[周子墨|5]] 班级 [[高一 (2)|5]] 得分 [[|4]]", "78", 1.3)
    page.gap(0.2)
    pencil = exam.hand(["Reenie Beanie Regular"], "pencil", 0.95, 0.1, 1.4)
    circuit(exam, pencil)
    graph(exam, pencil)
    incline(exam, pencil)
    spring(exam)
    exam.spill(700, 1130, 230, (150, 108, 62), 0.45, seed=5)


def beside(exam: Exam, figure: Drawing, text: str, items: list[tuple[str, str]], dx: float = 1.6) -> tuple[int, int]:
    """Set a question with its figure to the right of its graded items; returns the figure's corner."""
    page = exam.press
    page.set(text, hang=1)
    top, em, right = page.y, page.size, page.right
    width, height = (n / figure.scale * em for n in figure.image.size)
    corner = figure.set(right - width, top)
    page.right = round(right - width - em)
    for item, kind in items:
        page.set(item, indent=1, hang=2.4)
        exam.grade(kind, dx=dx)
    page.right, page.y = right, max(page.y, round(top + height))
    return corner


def circuit(exam: Exam, pencil: Hand) -> None:
    white = (255, 255, 255)
    figure = Drawing(exam.press, 13, 7.8)
    figure.line((1.5, 1.5), (1.5, 6.2), (11.5, 6.2), (11.5, 1.5), (1.5, 1.5))
    figure.line((3.6, 1.5), (3.6, 3.8), (11.5, 3.8))
    for y, name in ((1.5, "$R_1$"), (3.8, "$R_2$")):
        figure.polygon((6.2, y - 0.35), (8.2, y - 0.35), (8.2, y + 0.35), (6.2, y + 0.35), fill=white)
        figure.label(7.2, y - 0.95, name)
    for x, y in ((3.6, 1.5), (11.5, 3.8)):
        figure.circle(x, y, 0.12, fill=(24, 24, 26))
    figure.circle(1.5, 3.9, 0.65, fill=white)
    figure.label(1.5, 3.9, "A")
    figure.polygon((4.6, 6), (5.2, 6), (5.2, 6.4), (4.6, 6.4), fill=white, weight=0)
    figure.line((4.6, 5.5), (4.6, 6.9))
    figure.line((5.2, 5.85), (5.2, 6.55), weight=2)
    figure.label(4.9, 7.35, "$U$")
    figure.polygon((8, 6), (9.5, 6), (9.5, 6.4), (8, 6.4), fill=white, weight=0)
    figure.line((8, 6.2), (9.4, 5.5))
    figure.label(8.8, 7.1, "S")
    x, y = beside(
        exam,
        figure,
        "1. 如图，电源电压 $U=6$ V 保持不变，$R_1=10$ Ω，$R_2=15$ Ω。<u>闭合开关</u> S 后：",
        [
            ("(1) $R_1$ 与 $R_2$ 是 [[并|3]] 联；", "tick"),
            ("(2) 通过 $R_1$ 的电流 $I_1=$ [[0.6 A|4.5]]；", "tick"),
            ("(3) 通过 $R_2$ 的电流 $I_2=$ [[0.4 A|4.5]]；", "tick"),
            ("(4) 电流表的示数是 [[1.0 A|4.5]]；", "tick"),
            ("(5) 电路消耗的总功率 $P=$ [[6 W|4]]。", "tick"),
        ],
    )
    em = exam.press.size
    exam.note("0.6 A", x + 8.8 * em, y + 1.2 * em, pencil)
    exam.note("0.4 A", x + 8.8 * em, y + 3.5 * em, pencil)
    exam.scratch("arrow", x + 4.2 * em, y + 1.1 * em, 1.5 * em, 0.02 * em, pencil)
    exam.scratch("arrow", x + 4.2 * em, y + 3.4 * em, 1.5 * em, -0.03 * em, pencil)


def graph(exam: Exam, pencil: Hand) -> None:
    figure = Drawing(exam.press, 12.5, 8)
    for i in range(1, 6):
        figure.dashes((1.5 + 1.7 * i, 7), (1.5 + 1.7 * i, 1.2))
        figure.dashes((1.5, 7 - 1.1 * i), (10.5, 7 - 1.1 * i))
        figure.label(1.5 + 1.7 * i, 7.55, f"${2 * i}$", 0.8)
        figure.label(0.95, 7 - 1.1 * i, f"${4 * i}$", 0.8)
    figure.arrow((1.5, 7), (11.6, 7))
    figure.arrow((1.5, 7), (1.5, 0.7))
    figure.line((1.5, 7), (4.9, 2.6), (8.3, 2.6), (10, 7), weight=1.8)
    figure.label(1.1, 7.5, "$O$", 0.8)
    figure.label(11.7, 7.6, "$t$/s", 0.85)
    figure.label(3.3, 0.6, "$v$/(m/s)", 0.85)
    x, y = beside(
        exam,
        figure,
        "2. 一辆汽车沿平直公路行驶，其 $v-t$ 图像如图所示。",
        [
            ("(1) 0～4 s 内汽车做 [[匀加速|5]] 直线运动，加速度为 [[4 m/s^2|5]]；", "tick"),
            ("(2) 4～8 s 内汽车的位移为 [[64 m|4.5]]；", "tick"),
            ("(3) 10 s 内的平均速度为 [[12 m/s|5]]。", "cross"),
        ],
    )
    em = exam.press.size
    exam.note("S=16×4", x + 5.0 * em, y + 4.9 * em, pencil, 0.9)


def incline(exam: Exam, pencil: Hand) -> None:
    figure = Drawing(exam.press, 11.5, 6.6)
    figure.polygon((0.8, 6), (10.8, 6), (10.8, 0.9))
    for i in range(16):
        figure.line((0.9 + 0.64 * i, 6), (0.6 + 0.64 * i, 6.45), weight=0.7)
    figure.polygon((5.2, 3.75), (7.3, 2.68), (6.65, 1.4), (4.55, 2.47), fill=(255, 255, 255))
    figure.label(5.93, 2.6, "$m$")
    figure.label(3.2, 5.5, "30°", 0.85)
    top = exam.press.y
    x, y = beside(
        exam,
        figure,
        "3. 质量 $m=2$ kg 的物块静止在倾角为 30° 的<u>粗糙</u>斜面上，$g$ 取 10 m/s$^2$。(1) 在图中画出物块的"
        "受力示意图；(2) 求物块受到的摩擦力 $F_f$ 和支持力 $F_N$ 的大小。",
        [],
    )
    em, bottom = exam.press.size, exam.press.y
    for w, h in ((0.02, 2.9), (-1.25, -2.3), (2.5, -1.3)):
        exam.scratch("arrow", x + 5.9 * em, y + 2.6 * em, w * em, h * em, pencil)
    for name, a, b in (("G", 6.3, 5.3), ("F_N", 3.3, 1.0), ("F_f", 8.6, 1.1)):
        exam.note(name, x + a * em, y + b * em, pencil)
    exam.press.y = round(top + 2 * exam.press.leading * em)
    exam.work(
        [
            "解：物块静止，合力为 0",
            "F_f=mg sin 30°=2×10×\\frac{1}{2}=10 N",
            "F_N=mg cos 30°=20×\\frac{\\sqrt{3}}{2}=10\\sqrt{3} N",
        ]
    )
    exam.grade_work(size=2.2)
    exam.press.y = max(bottom, exam.press.y)


def spring(exam: Exam) -> None:
    page = exam.press
    page.set("4. 某同学探究弹簧弹力 $F$ 与伸长量 $x$ 的关系，数据如下表。", hang=1)
    page.table(
        [
            ["次数", "1", "2", "3", "4", "5"],
            ["$x$/cm", "1.0", "2.0", "3.0", "4.0", "5.0"],
            ["$F$/N", "0.50", "1.01", "1.49", "<<2.0|3>>", "<<2.5|3>>"],
        ],
        [1.3, 1, 1, 1, 1, 1],
        1.7,
    )
    page.set(
        "(1) 补全表格；(2) 由数据可知，在<w>弹性限度</w>内，弹力与伸长量成 [[正比|4]]，劲度系数 $k=$ [[50 N/m|5.5]]；",
        indent=1,
        hang=2.4,
    )
    exam.grade(dx=2)
    page.set("(3) 若伸长量为 8.0 cm，弹力应为多大？", indent=1, hang=2.4)
    exam.work(["F=kx=50×\\no{8}0.08=4 N"], indent=2.4)
    exam.grade_work()


def arithmetic(exam: Exam) -> None:
    """A primary-school page of sums in colour, written in pencil, with ticks, crosses and a big red score."""
    page = exam.paper(1000, 1414, 26, SANS, margin=0.08)
    exam.writers(
        exam.hand(["Patrick Hand Regular", "Long Cang Regular"], "pencil", 0.88, 0.1, 1.1),
        exam.hand(["Caveat SemiBold Regular", "Zhi Mang Xing Regular"], "red", 1.1, 0.13),
    )
    exam.head("二年级数学综合练习", "班级 [[二 (3) 班|5]] 姓名 [[王小雨|5]] 学号 [[08|3]]", "", 0)
    exam.score("93", page.right - 100, 120, 3.2)
    page.set("一、口算。", style="bold")
    sums(exam)
    page.set("二、数一数，填一填。", style="bold")
    picture(exam)
    page.set("三、看图填空。", style="bold")
    tangram(exam)
    page.set("四、列竖式计算。", style="bold")
    page.columns(["347＋285=[[632|3]]", "602－158=[[444|3]]", "47×6=[[282|3]]"], 3)
    for i, lines in enumerate((("347", "+285", "632"), ("602", "−158", "444"), ("47", "×6", "282"))):
        vertical(exam, lines, page.left + 130 + i * 278, page.y + 20)
        exam.grade_at(page.left + 215 + i * 278, page.y + 60)
    page.y += 125
    page.set("五、解决问题。", style="bold")
    page.set(
        "妈妈买了 24 颗糖，自己留下 4 颗，<u>剩下的</u>平均分给 5 个小朋友，每个小朋友分到几颗？",
        indent=1,
        hang=1,
    )
    exam.work(["(24−4)÷5=4 (颗)", "答：每个小朋友分到 4 颗。"], indent=2)
    exam.grade_at(page.left + 500, page.y - 45, "tick", 2.6)
    exam.note("很好！", page.left + 600, page.y - 20, exam.teacher, 1.3)


def sums(exam: Exam) -> None:
    page = exam.press
    items = [
        ("36＋27", "63", "tick"),
        ("54－18", "36", "tick"),
        ("7×8", "56", "tick"),
        ("42÷6", "7", "tick"),
        ("81÷9", "9", "tick"),
        ("25＋48", "73", "tick"),
        ("90－35", "55", "tick"),
        ("6×9", "52", "cross"),
        ("63÷7", "9", "tick"),
        ("100－46", "54", "tick"),
        ("4×8", "32", "tick"),
        ("29＋29", "\\no{57} 58", "tick"),
    ]
    page.columns([f"{text}=[[{answer}|2.6]]" for text, answer, _ in items], 4, indent=0.3)
    for slot, (_, _, kind) in zip(page.answers(len(items)), items):
        exam.grade_at(slot.x + 1.8 * page.size, slot.y - 0.1 * page.size, kind, 1.2)


def picture(exam: Exam) -> None:
    """Balls, bricks and kites to be counted, and the table to fill in."""
    page = exam.press
    figure, places = Drawing(page, 31, 4.6), exam.rng.permutation(16)
    figure.polygon((0.1, 0.1), (30.9, 0.1), (30.9, 4.5), (0.1, 4.5), fill=(255, 250, 228))
    for i, place in enumerate(places):
        x = 2.2 + 3.8 * (place % 8) + exam.rng.uniform(-0.4, 0.4)
        y = 1.25 + 2.1 * (place // 8) + exam.rng.uniform(-0.15, 0.15)
        if i < 6:
            figure.circle(x, y, 0.8, fill=(236, 94, 84))
        elif i < 11:
            corners = [(x + 0.75 * a, y + 0.75 * b) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            figure.polygon(*corners, fill=(88, 150, 222))
        else:
            figure.polygon((x, y - 0.95), (x + 0.75, y), (x, y + 0.95), (x - 0.75, y), fill=(104, 186, 96))
    figure.set(page.left, page.y)
    page.y += round(5 * page.size)
    page.table(
        [["图形", "红色的球", "蓝色的积木", "绿色的风筝"], ["个数", "<<6>>", "<<5>>", "<<5>>"]],
        [1, 1.4, 1.4, 1.4],
        1.5,
    )
    for slot in page.answers(3):
        exam.grade_at(slot.x + 2.4 * page.size, slot.y, "tick", 1.2)


def tangram(exam: Exam) -> None:
    page = exam.press
    figure = Drawing(page, 7.2, 7.2)
    shapes = [
        (((0, 0), (8, 0), (4, 4)), (240, 128, 96)),
        (((0, 0), (4, 4), (0, 8)), (252, 202, 88)),
        (((4, 8), (8, 8), (8, 4)), (120, 190, 120)),
        (((8, 0), (8, 4), (6, 2)), (150, 130, 210)),
        (((4, 4), (6, 2), (8, 4), (6, 6)), (96, 170, 226)),
        (((4, 4), (6, 6), (2, 6)), (244, 160, 190)),
        (((0, 8), (2, 6), (6, 6), (4, 8)), (170, 206, 90)),
    ]
    for i, (corners, colour) in enumerate(shapes):
        figure.polygon(*[(0.2 + 0.85 * x, 0.2 + 0.85 * y) for x, y in corners], fill=colour)
        x, y = (sum(p[k] for p in corners) / len(corners) for k in (0, 1))
        figure.label(0.2 + 0.85 * x, 0.2 + 0.85 * y, str(i + 1), 0.8)
    x, y = figure.set(page.left + 20, page.y)
    left, page.left, page.y = page.left, page.left + 250, page.y + 6
    page.set("左边是一副七巧板。")
    page.set("(1) 它由 ((7)) 块图形拼成，三角形有 ((5)) 个。")
    exam.grade(dx=1.6)
    page.set("(2) ③号和⑤号，哪一块大？ ((一样大))")
    exam.grade(dx=1.8)
    page.set("(3) 把<u>平行四边形</u>圈出来。")
    page.left, page.y = left, round(y + 7.3 * page.size)
    exam.scratch("circle", x + 0.9 * page.size, y + 5.55 * page.size, 3.9 * page.size, 1.3 * page.size)


def vertical(exam: Exam, lines: tuple[str, str, str], right: float, top: float) -> None:
    """Written column arithmetic whose digits end at `right`."""
    hand = exam.pupil
    for i, text in enumerate(lines):
        y = top + (i + 0.9) * 1.45 * hand.size + (6 if i == 2 else 0)
        digit, x = 0.72 * hand.size, right
        for char in reversed(text):
            x -= digit * (1.5 if char in "+−×" else 1)
            exam.note(char, x, y)
    exam.scratch("line", right - 3.9 * hand.size, top + 2.72 * 1.45 * hand.size - 20, 4.2 * hand.size, 1)


def programming(exam: Exam) -> None:
    """A programming paper with code listings whose gaps are filled in blue ink."""
    page = exam.paper(1100, 1556, 22, SANS)
    page.leading = 1.57
    exam.writers(
        exam.hand(["Kalam Light Regular", "Long Cang Regular"], "blue", 0.85, 0.085, 1.6),
        exam.hand(["Reenie Beanie Regular", "Zhi Mang Xing Regular"], "red", 1.25, 0.12),
    )
    exam.head(
        "《程序设计基础》期中试卷（A 卷，满分 50 分）",
        "学号 [[20230417|7]] 姓名 [[何嘉|5]] 得分 [[|4]]",
        "45",
        1.4,
    )
    page.set("一、选择题（每题 4 分，共 12 分）", style="bold")
    exam.ask("1. 下列标识符中，<u>不合法</u>的是 ((C))。", ["A. `_sum`", "B. `max2`", "C. `3rd`", "D. `Main`"])
    exam.ask("2. 表达式 `7 / 2 + 7 % 2` 的值是 ((D))。", ["A. `3.5`", "B. `4`", "C. `4.5`", "D. `5`"], "cross")
    exam.ask("3. 若有 `int a[5];`，则下标的最大值是 ((A))。", ["A. `4`", "B. `5`", "C. `6`", "D. 不确定"])
    page.set("二、程序填空（每空 5 分，共 20 分）", style="bold")
    page.set("4. 函数 `reverse` 把数组的前 `n` 个元素<w>逆序</w>存放，请补全。")
    listing(exam, REVERSE, gaps=3)
    page.set("5. 函数 `prime` 判断 `n` 是否为素数，是则返回 1。")
    listing(exam, PRIME, gaps=1)
    page.set("三、写出程序的运行结果（8 分）", style="bold")
    listing(exam, DIGITS, gaps=0)
    exam.ask("6. 输出：[[147  \\no{7}  10|9]]", dx=2.5)
    page.set("四、编程题（10 分）", style="bold")
    page.set("7. 输入 10 个整数，输出其中的<u>最大值</u>。")
    top = page.y
    exam.work(LARGEST.splitlines(), leading=1.45)
    exam.grade_at(page.left + 640, (top + page.y) / 2, "tick", 3.4)
    exam.note("9", page.left + 720, (top + page.y) / 2, exam.teacher, 1.4)


REVERSE = """\
void reverse(int a[], int n)
{
    int i, t;
    for (i = 0; [[i < n / 2|8]]; i++) {
        t = a[i];
        a[i] = [[a[n-1-i] |8]];
        [[a[n-1-i] = t;|10]]
    }
}"""
PRIME = """\
int prime(int n)
{
    int k;
    for (k = 2; [[k * k <= n|8]]; k++)
        if (n % k == 0)
            return 0;
    return n > 1;
}"""
DIGITS = """\
int i, s = 0;
for (i = 1; i < 10; i += 3)
    s = s * 10 + i;
printf("%d %d\\n", s, i);"""
LARGEST = """\
int main() {
    int i, x, m;
    scanf("%d", &m);
    for (i = 1; i < 10; i++) {
        scanf("%d", &x);   if (x > m) m = x;
    }
    printf("%d", \\no{x} m);  return 0; }"""


def listing(exam: Exam, code: str, gaps: int) -> None:
    """Set a program between two rules and tick what fills its gaps."""
    page, top = exam.press, exam.press.y
    leading, page.leading = page.leading, 1.42
    page.y += 6
    for text in code.splitlines():
        page.set(text, 0.94, "mono", indent=2)
    page.leading = leading
    for y in (top, page.y + 4):
        page.rule(page.left + page.size, y, page.right - page.size, y, grey=150)
    page.y += 10
    for slot in page.answers(gaps):
        exam.grade_at(slot.x + slot.width + 30, slot.y - 6, "tick", 1.6)


def language(exam: Exam) -> None:
    """A Chinese language page photographed by a phone: pinyin, idioms, a passage, lines of writing."""
    page = exam.paper(1060, 1460, 27, SERIF, margin=0.09)
    exam.writers(
        exam.hand(["Long Cang Regular", "Nanum Pen Regular"], "black", 0.86, 0.09, 1.25),
        exam.hand(["Caveat Medium Regular", "Zhi Mang Xing Regular"], "red", 1.2, 0.12),
    )
    page.y = 90
    exam.head("小学语文五年级阅读与表达", "班级 [[五 (1)|5]] 姓名 [[赵一凡|5]] 等级 [[|4]]", "", 0)
    exam.note("优", page.written[-1].x + 30, page.y - 12, exam.teacher, 1.8)
    page.set("一、看拼音，写词语。", style="bold")
    page.columns(["  xī yáng", "  wēn nuǎn", "  huí yì", "  cài yuán"], 4)
    page.columns(["((夕阳))", "((温暖))", "((回\\no{意}忆))", "((菜园))"], 4)
    for slot in page.answers(4):
        exam.grade_at(slot.x + 3.0 * page.size, slot.y - 0.5 * page.size, "tick", 1.3)
    page.set("二、把成语补充完整。", style="bold")
    page.columns(["画龙((点))((睛))", "((百))发((百))中", "守((株))待((兔))", "亡羊补((牢))"], 4)
    for slot in page.answers(7)[::2]:
        exam.grade_at(slot.x + 1.6 * page.size, slot.y, "tick", 1.3)
    page.set("三、判断下列说法，对的打“√”，错的打“×”。", style="bold")
    exam.ask("1. “春蚕到死丝方尽”运用了比喻的手法。 ((√))", dx=0.8)
    exam.ask("2. “他高兴得像一只小鸟”是<u>拟人句</u>。 ((×))", dx=0.8)
    passage(exam)


def passage(exam: Exam) -> None:
    """The language page's passage with its questions, and the lines for the pupil's own text."""
    page = exam.press
    page.set("四、阅读短文，回答问题。", style="bold")
    page.set("外婆的菜园", 1.05, "bold", align="centre")
    page.set(
        "外婆的屋后有一小块菜园。清晨，<w>露珠在菜叶上滚来滚去</w>，像一颗颗透明的珠子。外婆弯着腰，一垄一垄地拔草，"
        "嘴里轻轻哼着我听不懂的<o>小调</o>。",
        indent=2,
    )
    page.set(
        "我问她：“天天这样，不累吗？”外婆直起身来，笑着说：“你看，<u>它们一天比一天高，我心里就一天比一天亮堂</u>。”"
        "后来我在城里上学，每次闻到雨后泥土的气味，就会想起那片绿油油的菜园。",
        indent=2,
    )
    page.set("1. 用“～～～”画出文中的比喻句，并说说它好在哪里。（4 分）", hang=1)
    exam.work(["把露珠比作珠子，写出了露珠的", "晶莹可爱，表达了我的喜爱之情。"], indent=1, ruled=True)
    exam.grade_work()
    page.set("2. 外婆的话是什么意思？（4 分）", hang=1)
    exam.work(["外婆看到自己种的菜\\no{天天}慢慢长大，很高兴。"], indent=1, ruled=True)
    exam.grade_work("half", "−1")
    page.set("五、小练笔：写一写你最难忘的一种气味。", style="bold")
    exam.work(
        [
            "我最难忘的是桂花的香味。每年秋天，奶奶会把",
            "桂花晒干，做成又香又甜的桂花糕。吃一口，好像",
            "整个秋天都在我的嘴里。",
        ],
        indent=2,
        ruled=True,
    )
    exam.grade_at(page.right - 300, page.y - 25, "tick", 2.2)
    exam.note("真香！", page.right - 230, page.y - 10, exam.teacher, 0.85)
