"""English sample pages: their text and what is written on them. Every exercise here is our own."""

from __future__ import annotations

from samples.exam import Exam
from samples.press import SANS, SERIF, Drawing


def english(exam: Exam) -> None:
    """An English reading and grammar sheet, blue ink: circled options, underlines, struck-out words."""
    page = exam.paper(1600, 1131, 21, SERIF, margin=0.05)
    exam.writers(
        exam.hand(["Indie Flower Regular", "Kalam Light Regular"], "blue", 0.8, 0.09, 1.5),
        exam.hand(["Caveat Medium Regular"], "red", 1.1, 0.11),
    )
    left, right = page.left, page.right
    exam.head(
        "Unit 5 Reading and Grammar Check",
        "Name [[Lin Hao|8]]  Class [[9 - 2|5]]  Date [[12 May|6]]  Score [[|5]]",
        "88",
        1.6,
    )
    top = page.y + 14
    page.left, page.right, page.y = left, (left + right) // 2 - 30, top
    reading(exam)
    page.rule((left + right) // 2, top, (left + right) // 2, 1070, grey=120)
    page.left, page.right, page.y = (left + right) // 2 + 30, right, top
    grammar(exam)


def reading(exam: Exam) -> None:
    page = exam.press
    page.set("I. Read the passage and circle the best answer. (20 points)", style="bold")
    page.set(
        "The old library in our town has a clock that nobody winds any more. It stopped at ten past four "
        "on a <u>winter afternoon</u>, when the man who looked after it <w>retired</w>. For years people "
        "walked past without raising their eyes. Then a girl named Mira asked why it was never right.",
        indent=1.5,
    )
    page.set(
        "“It is right twice a day,” the librarian joked. But Mira was not satisfied. She found the "
        "<u>key in a drawer</u> full of broken pencils, cleaned the small brass wheels with a toothbrush, "
        "and oiled them one by one. It took her <u>six Saturdays</u>. On the last one the clock struck noon, "
        "and everybody in the reading room stood up and clapped.",
        indent=1.5,
    )
    page.gap(0.4)
    for question, options, kind in QUESTIONS:
        x, y = page.set(question)
        page.columns(options, 2)
        exam.grade_at(x + 50, y - 2, kind)
    page.set("5. What would you have done in Mira's place? Write two or three sentences.", hang=1)
    exam.work(
        [
            "I would ask my grandfather for help because he",
            "\\no{repare} repairs watches. Then I would clean the",
            "wheels and take photos of every step.",
        ],
        indent=0.3,
        ruled=True,
    )
    exam.grade_at(page.right - 40, page.y - 50, "tick", 2.2)


QUESTIONS = [
    (
        "1. Why did the clock stop?",
        [
            "A. It was too old.",
            "<o>B</o>. Its keeper retired.",
            "C. The key was broken.",
            "D. Nobody liked it.",
        ],
        "tick",
    ),
    (
        "2. Where was the key?",
        ["A. In the clock.", "B. On the wall.", "<o>C</o>. In a drawer.", "D. Under a wheel."],
        "tick",
    ),
    (
        "3. How long did Mira work on the clock?",
        ["<o>A</o>. One Saturday.", "B. Six hours.", "C. Six days.", "D. Six Saturdays."],
        "cross",
    ),
    (
        "4. The word “struck” in the passage means",
        ["A. hit.", "<o>B</o>. sounded.", "C. stopped.", "D. broke."],
        "tick",
    ),
]


def grammar(exam: Exam) -> None:
    page = exam.press
    page.set("II. Complete each sentence with the right form of the verb. (20 points)", style="bold")
    sentences = [
        ("6. When I got to the station, the train [[had left|6.5]] (leave) already.", "tick"),
        ("7. She [[has lived|6]] (live) in this street since 2015.", "tick"),
        ("8. If it [[will rain|5.5]] (rain) tomorrow, we will stay at home.", "cross"),
        ("9. The letters [[were written|7]] (write) by my aunt during the war.", "tick"),
        ("10. He is used to [[getting up|6]] (get up) at six o'clock.", "tick"),
    ]
    for text, kind in sentences:
        page.set(text, hang=1.2)
        exam.grade(kind, dx=2.2)
    page.gap(0.35)
    page.set(
        "III. Each line has one mistake. Strike it out and write the correct word above it. (20 points)",
        style="bold",
    )
    page.leading = 2.15
    mistakes = [
        ("11. There are <s>less</s> people in the park than yesterday.", "fewer"),
        ("12. My brother and <s>me</s> went fishing last Sunday.", "I"),
        ("13. She sings very <s>good</s> and plays the violin.", "well"),
        ("14. I have been here <s>since</s> three hours.", "for"),
    ]
    for text, word in mistakes:
        page.set(text)
        slot = next(s for s in reversed(page.written) if s.kind == "strike")
        exam.note(word, slot.x + 4, slot.y - 0.85 * page.size)
        exam.grade_at(slot.x + slot.width + 40, slot.y - 24)
    page.leading = 1.62
    page.gap(0.35)
    writing(exam)


def writing(exam: Exam) -> None:
    page = exam.press
    page.set("IV. Put the words in the right order. (10 points)", style="bold")
    page.set("15. yesterday / did / where / you / go / ?")
    exam.work(["Where did you go yesterday?"], ruled=True)
    exam.grade_work()
    page.set("16. never / such / I / seen / have / a / film / funny / .")
    exam.work(["I have never seen such a \\no{fun} funny film."], ruled=True)
    exam.grade_work()
    page.set("V. Write about your favourite place in 30 words or more. (30 points)", style="bold")
    exam.work(
        [
            "My favourite place is the small garden behind our",
            "house. In summer we have dinner there under the old",
            "apple tree and listen to the birds. I like it best",
            "after rain, when everything \\no{smell} smells fresh.",
        ],
        indent=0.3,
        ruled=True,
    )
    exam.grade_at(page.right - 150, page.y - 40, "tick", 2.4)
    exam.note("+26 good!", page.right - 150, page.y + 30, exam.teacher)


def science(exam: Exam) -> None:
    """An English chemistry and biology page full of tables, filled in with black ink."""
    exam.paper(1080, 1528, 24, SANS, margin=0.065)
    exam.writers(
        exam.hand(["Shadows Into Light Regular", "Patrick Hand Regular"], "black", 0.78, 0.08, 1.3),
        exam.hand(["Caveat Medium Regular"], "red", 1.2, 0.12),
    )
    exam.head(
        "Science Grade 9 · Acids, Reactions, Cells",
        "Name [[Emma Ortiz|8]]  Class [[9 B|4]]  Points [[|4]] / 40",
        "35",
        1.3,
    )
    substances(exam)
    gas(exam)
    genetics(exam)
    cell(exam)


def substances(exam: Exam) -> None:
    page = exam.press
    page.set("1. Complete the table. (8 points)", style="bold")
    page.table(
        [
            ["Substance", "Formula", "Acid, base or salt", "pH of its solution"],
            ["hydrochloric acid", "<<HCl|4>>", "<<acid|4>>", "1"],
            ["sodium hydroxide", "~NaOH~", "<<base|5>>", "<<13|3>>"],
            ["table salt", "<<NaCl|4>>", "salt", "<<7|3>>"],
            ["lime water", "~Ca(OH)_2~", "<<salt|5>>", "12"],
        ],
        [1.3, 1, 1.3, 1.2],
        1.75,
    )
    answers = page.answers(7)
    for slot, kind in zip(answers, ["tick"] * 6 + ["cross"]):
        exam.grade_at(slot.x + slot.width, slot.y - 6, kind, 1.3)
    page.set("2. Balance the equations. (6 points)", style="bold")
    page.columns(
        [
            "a) [[2|2]] ~H_2~ + [[1|2]] ~O_2~ → [[2|2]] ~H_2O~",
            "b) [[1|2]] ~Mg~ + [[2|2]] ~HCl~ → [[1|2]] ~MgCl_2~ + ~H_2~",
        ],
        2,
    )
    exam.grade(dx=4.4)
    page.columns(
        [
            "c) [[4|2]] ~Fe~ + [[3|2]] ~O_2~ → [[2|2]] ~Fe_2O_3~",
            "d) [[1|2]] ~CaCO_3~ → [[1|2]] ~CaO~ + [[1|2]] ~CO_2~",
        ],
        2,
    )
    exam.grade(dx=3.4)


def gas(exam: Exam) -> None:
    page = exam.press
    page.set("3. Marble chips react with acid, and the gas is collected. (10 points)", style="bold")
    page.table(
        [
            ["time in s", "0", "20", "40", "60", "80", "100"],
            ["volume in ml", "0", "24", "39", "47", "50", "50"],
        ],
        [1.6, 1, 1, 1, 1, 1, 1],
        1.7,
    )
    page.set(
        "a) Which gas is it? [[carbon dioxide|8]]  b) Gas formed <u>between 20 s and 60 s</u>: [[23 ml|4]]",
        indent=0.5,
    )
    exam.grade(dx=1.4)
    page.set("c) Why does no more gas form after <u>80 s</u>?", indent=0.5)
    exam.work(
        [
            "Because all the acid is used up, so \\no{ther} there is nothing",
            "left that can react with the marble.",
        ],
        indent=0.8,
        ruled=True,
    )
    exam.grade_work(points="4")


def genetics(exam: Exam) -> None:
    page, right = exam.press, exam.press.right
    page.gap(0.4)
    page.set("4. Brown eyes (B) are dominant over blue eyes (b). Both parents are Bb. (8 points)", style="bold")
    top, page.right = page.y, page.left + 300
    page.table(
        [["", "B", "b"], ["**B**", "<<BB|3>>", "<<Bb|3>>"], ["**b**", "<<Bb|3>>", "<<bb|3>>"]],
        [1, 1.3, 1.3],
        1.8,
    )
    bottom, page.left, page.right, page.y = page.y, page.left + 340, right, top
    page.set("a) Fill in the square on the left.")
    page.set("b) Chance of a child with blue eyes: [[\\frac{1}{4} = 25 %|7]]")
    exam.grade(dx=2.2)
    page.set("c) A child of theirs is <o>always</o> / sometimes / never Bb.")
    exam.grade_at(page.left + 360, page.y - 20, "cross")
    page.left, page.y = page.image.width - right, bottom


def cell(exam: Exam) -> None:
    """A plant cell whose parts are named by hand."""
    page = exam.press
    page.set("5. Name the parts of the plant cell. (8 points)", style="bold")
    figure, em = Drawing(page, 20, 10.6), page.size
    box = [v * figure.scale for v in (0.6, 0.8, 16, 9.8)]
    figure.pen.rounded_rectangle(box, 1.6 * figure.scale, outline=(24, 24, 26), width=12)
    figure.pen.rounded_rectangle(
        [box[0] + 30, box[1] + 30, box[2] - 30, box[3] - 30],
        1.3 * figure.scale,
        outline=(24, 24, 26),
        width=5,
    )
    figure.pen.ellipse([v * figure.scale for v in (6.6, 2.2, 13.8, 8.2)], outline=(24, 24, 26), width=7)
    figure.circle(3.6, 6.6, 1.5, fill=(214, 214, 214))
    figure.circle(3.9, 6.9, 0.5, fill=(120, 120, 120))
    for x, y in ((3.2, 2.4), (5.6, 2.0), (5.6, 8.6), (14.6, 8.2), (14.5, 2.6)):
        figure.pen.ellipse(
            [v * figure.scale for v in (x - 0.85, y - 0.45, x + 0.85, y + 0.45)],
            fill=(186, 186, 186),
            outline=(24, 24, 26),
            width=6,
        )
    ends = [(15.9, 1.6), (14.9, 2.8), (12.6, 4.6), (4.6, 7.1)]
    heights = [1.6, 3.6, 5.6, 8.9]
    for (x, y), height in zip(ends, heights):
        figure.line((x, y), (19.4, height), weight=0.8)
    x, y = figure.set(page.left, page.y)
    names = [
        ("cell wall", "tick"),
        ("chloroplast", "tick"),
        ("\\no{nuc} vacuole", "tick"),
        ("nucleus", "tick"),
    ]
    for height, (name, kind) in zip(heights, names):
        page.put(page.line(f"[[{name}|10]]", em), x + 19.8 * em, y + (height + 0.3) * em)
        exam.grade(kind, dx=4.6)


def calculus(exam: Exam) -> None:
    """An English calculus quiz as a scanning app leaves it, bleached; long working in two pens."""
    page = exam.paper(1080, 1500, 27, SERIF, margin=0.09)
    exam.writers(
        exam.hand(["Nanum Pen Regular", "Kalam Light Regular"], "blue", 0.98, 0.085, 1.1),
        exam.hand(["Caveat Medium Regular"], "red", 1.2, 0.12),
    )
    exam.head(
        "Calculus II · Quiz 3",
        "Name [[Noah Lindqvist|9]]  Student No. [[40 281|5]]  Score [[|4]] / 36",
        "34",
        1.4,
    )
    page.set("1. (8 points) Find the values. **No working is asked for.**", hang=1)
    page.columns(
        [
            "a) $\\lim{x→0}\\frac{sin 3x}{x}=$ [[3|2.8]]",
            "b) $\\lim{x→∞}\\frac{2x^2+1}{x^2-5}=$ [[2|2.8]]",
            "c) $\\frac{d}{dx}ln(1+x^2)=$ [[\\frac{2x}{1+x^2}|4]]",
        ],
        3,
        indent=0.6,
    )
    for slot in page.answers(3):
        exam.grade_at(slot.x + 3.2 * page.size, slot.y - 8, "tick", 1.6)
    page.set("2. (7 points) Evaluate $∫_0^1xe^{x^2}dx$ by <u>substitution</u>.", hang=1)
    exam.work(["Let u=x^2, du=2x dx", "∫_0^1 xe^{x^2}dx=\\frac{1}{2}∫_0^1 e^u du=\\frac{1}{2}(e-1)"])
    exam.grade_work(points="7")
    page.set("3. (7 points) The curves $y=x$ and $y=x^2$ enclose a region. Find its <w>area</w>.", hang=1)
    curves(exam, page.right - 8.5 * page.size, page.y)
    exam.work(["x=x^2  →  x=0 or x=1", "A=∫_0^1(x-x^2)dx=\\frac{1}{2}-\\frac{1}{3}", "=\\no{0.2}  \\frac{1}{6}"])
    exam.grade_work(points="7")
    page.gap(0.6)
    series(exam)


def series(exam: Exam) -> None:
    """The second half of the quiz; here the pupil's pen changes for one answer."""
    page, blue = exam.press, exam.pupil
    page.set("4. (4 points) Decide for each series. Circle the right word.", hang=1)
    page.columns(
        [
            "a) $∑_{n=1}^∞\\frac{1}{n^2}$  <o>converges</o> / diverges",
            "b) $∑_{n=1}^∞\\frac{1}{\\sqrt{n}}$  <o>converges</o> / diverges",
        ],
        2,
    )
    exam.grade_at(page.left + 350, page.y - 20)
    exam.grade_at(page.left + 790, page.y - 20, "cross")
    page.set("5. (7 points) Solve $y'=2xy$ with $y(0)=3$.", hang=1)
    exam.pupil = exam.hand(["Nanum Pen Regular", "Kalam Light Regular"], "black", 0.98, 0.085, 1.1)
    exam.work(["\\frac{dy}{y}=2x dx", "ln y=x^2+C", "y=e^{x^2+C}, y(0)=3  ∴ e^C=3", "∴ y=3e^{x^2}"])
    exam.scratch("underline", exam.end[0] - 75, exam.end[1] - 22, 85, 26)
    exam.grade_work(points="7")
    exam.pupil = blue
    page.set("6. (3 points) True or false?", hang=1)
    page.set("a) Every continuous function on $[0, 1]$ is integrable there. [[true|4]]", indent=1)
    exam.grade(dx=2)
    page.set("b) If $f'(c)=0$, then $f$ has a maximum or a minimum at $c$. [[\\no{tr} false|4]]", indent=1)
    exam.grade(dx=2)


def curves(exam: Exam, left: float, top: float) -> None:
    figure = Drawing(exam.press, 8.5, 7.4)
    figure.arrow((0.6, 6.4), (7.6, 6.4))
    figure.arrow((1.4, 7.1), (1.4, 0.5))
    parabola = [(1.4 + 4.6 * t, 6.4 - 4.6 * t * t) for t in (i / 40 for i in range(0, 45))]
    figure.line(*parabola, weight=1.5)
    figure.line((1.4, 6.4), (6.5, 1.3), weight=1.3)
    figure.dashes((6, 6.4), (6, 1.8))
    for x, y, text in (
        (0.95, 6.85, "$O$"),
        (6, 6.9, "$1$"),
        (7.8, 6.9, "$x$"),
        (0.9, 0.7, "$y$"),
        (2.8, 3.7, "$y=x$"),
        (5.2, 5.3, "$x^2$"),
    ):
        figure.label(x, y, text, 0.8)
    x, y = figure.set(left, top)
    em = exam.press.size
    for t in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        upper, lower = 6.4 - 4.6 * t, 6.4 - 4.6 * t * t
        exam.scratch("line", x + (1.4 + 4.6 * t) * em, y + lower * em, 0.12 * em, (upper - lower) * em)
