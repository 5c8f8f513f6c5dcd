"""Where pupils write: found on a hand-made page."""

import cv2
import numpy as np

from dehw.data.synth.ink import blanks

HEIGHT = 20


def page() -> np.ndarray:
    """Two words with a blank of 100 px between them, the blank's rule, and a line of its own further down."""
    sheet = np.full((300, 400, 3), 255, np.uint8)
    for x in (20, 45, 180, 205):
        sheet[40:60, x : x + 20] = 0
    sheet[58:60, 70:175] = 0  # the rule
    sheet[150:170, 20:330] = np.where(np.arange(310) % 20 < 12, 0, 255)[:, None]
    return sheet


def parts():
    dark = blanks.dark(page())
    printed = blanks.without_rules(dark, HEIGHT)
    return dark, printed, blanks.text_runs(printed, HEIGHT)


def test_rules_are_no_print_but_words_are():
    dark, printed, runs = parts()
    assert dark[59, 100] and not printed[59, 100] and printed[50, 30]
    assert len(runs) == 3 and (20, 40, 45, 20) in runs and (180, 40, 45, 20) in runs


def test_gaps_are_the_blank_and_the_ends_of_lines():
    _, printed, runs = parts()
    gaps = blanks.gaps(printed, runs, HEIGHT)
    assert (65, 40, 115, 20) in gaps  # from the first word's end to the second's start
    ends = [gap for gap in gaps if gap.x == 225]
    assert ends and ends[0].w == 400 - 225 - 2 * HEIGHT


def test_free_block_holds_nothing_and_a_full_page_has_none():
    dark, _, _ = parts()
    taken, rng = cv2.integral(dark), np.random.default_rng(0)
    for _ in range(10):
        x, y, w, h = blanks.free_block(rng, taken, HEIGHT)
        assert w >= 4 * HEIGHT and h >= 2 * HEIGHT and not dark[y : y + h, x : x + w].any()
    assert blanks.free_block(rng, cv2.integral(np.ones((300, 400), np.uint8)), HEIGHT) is None


def test_cells_are_the_empty_frames_of_a_table():
    sheet = np.zeros((200, 300), np.uint8)
    sheet[40:161:40, 50:251] = 1  # a table of 3 rows
    sheet[40:161, 50:251:100] = 1  # and 2 columns
    sheet[50:70, 60:90] = 1  # print in the first cell
    assert sorted(blanks.cells(sheet, HEIGHT)) == [(x, y, 99, 39) for x in (51, 151) for y in (41, 81, 121)][1:]
    assert not blanks.cells(sheet, 4 * HEIGHT)
