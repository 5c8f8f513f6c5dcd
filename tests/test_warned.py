"""How many bad results warn is counted by what is known of the pages, not by what the program thinks of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from drawn import READER, print_page, scribble
from erasers import constant, eraser_with, tiny

from dehw.files.images import write_image
from dehw.page.confidence import Confidence
from tools import warned
from tools.scoreboard import Labelled, Paired
from tools.warned import Result

SURE = Confidence(0.1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ((0, 1000, 0, 1000), "good"),
        ((60, 1000, 0, 1000), "bad"),
        ((0, 1000, 160, 1000), "bad"),
        ((30, 1000, 0, 1000), "between"),
        ((0, 1000, 100, 1000), "between"),
        ((0, 10000, 50, 50), "good"),  # hardly any ink: a label's slip
        ((50, 50, 0, 10000), "good"),
        ((0, 0, 0, 0), "good"),
    ],
)
def test_a_result_is_as_good_as_its_worse_share(counts, kind):
    assert Result("a", "as it is", *warned.shares(np.array(counts)), SURE, []).kind == kind


@pytest.fixture
def pair(tmp_path):
    """A page and the same without ink, which is blue."""
    clean = print_page()
    for name, image in (("page", scribble(clean.copy(), count=6, ink=(30, 40, 200))), ("clean", clean)):
        write_image(tmp_path / f"{name}.png", image)
    return Paired(tmp_path / "page.png", tmp_path / "clean.png")


def blue(tiles):
    """Blue is handwriting, likelier than not; what is dark is print, as far as the default threshold goes."""
    dark = np.where(tiles[:, :1] < 0.5, 0.03, 0.0)
    return np.where(tiles[:, 2:] > tiles[:, :1] + 0.2, 0.9, dark).astype(np.float32)


def test_pages_are_erased_well_and_spoilt_on_purpose(pair):
    eraser = eraser_with(constant(1.0), segmenter=blue, pipeline=tiny(line_height=45.0), reader=READER)
    own = eraser.pipeline
    found = {result.way: result for result in warned.results(eraser, pair)}
    assert list(found) == list(warned.WAYS) and eraser.pipeline is own
    assert found["as it is"].kind == "good"
    assert found["threshold too high"].left == 1 and "left" in found["threshold too high"].warnings[0]
    assert found["threshold too low"].taken > 0.9 and "print" in found["threshold too low"].warnings[0]


def test_what_lies_near_ink_is_unknown_and_a_page_without_gt_is_print(pair):
    page = warned.read_image(pair.image)
    label = warned.truth(pair, page)
    ink = (page != warned.read_image(pair.gt)).any(2)
    assert set(np.unique(label)) == {0, 128, 255} and ink[label == 255].all() and not ink[label == 0].any()
    assert not warned.truth(Labelled(pair.image, None), page).any()


def test_the_halves_are_all_pages_and_none_twice(tmp_path):
    for number in range(12):
        write_image(tmp_path / "print_only" / f"N{number}.jpg", np.full((9, 9, 3), 255, np.uint8))
    given = SimpleNamespace(data=tmp_path, made=None, cases=None)
    half = []
    for number in (0, 1):
        given.half = number
        half.append({each.image.stem for each in warned.pages(given)})
    given.half = None
    assert not half[0] & half[1] and half[0] | half[1] == {each.image.stem for each in warned.pages(given)}
    assert {f"N{number}" for number in range(12)} <= half[0] | half[1]


def test_the_table_counts_what_warns():
    rows = [
        Result("a", "as it is", taken, 0.0, SURE, warnings) for taken, warnings in ((0.2, ["w"]), (0.2, []), (0, []))
    ]
    rows.append(Result("a", "print too small", 0.2, np.nan, SURE, ["w"]))
    lines = list(warned.table(rows))
    assert lines[2] == "| as it is | 1 of 2 | 0 of 1 | 0 of 0 |"
    assert lines[-1] == "| all | 2 of 3 | 0 of 1 | 0 of 0 |"
