"""What made-up pages are mixed from: each printed side, kind of ink and step of the camera, alone and by the mix."""

import dataclasses
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from dehw.commands.main import main
from dehw.data.materials import InkBank, find_writers, open_font
from dehw.data.synth import sources
from dehw.data.synth.camera import photo, things
from dehw.data.synth.camera.shot import Shot
from dehw.data.synth.ink import steps
from dehw.data.synth.ink.blanks import Room
from dehw.data.synth.ink.fields import FILLERS
from dehw.data.synth.ink.writer import PENS, Writer
from dehw.data.synth.mix import AddedMix, CameraMix, InkMix, PageMix, PrintedMix, load_mix, shares
from dehw.data.synth.pages import lost, made_up, make_page, write_on
from dehw.data.synth.printed import fonts, forms, formulas, sides
from dehw.data.synth.printed.extras import EXTRAS
from dehw.data.synth.printed.kinds import KINDS
from dehw.data.synth.printed.typeset import Typesetter
from dehw.data.synth.worksheet import Field, Printed, Worksheet
from dehw.errors import ConfigError, InputError
from dehw.files.find import find_pages
from dehw.files.images import read_image

DEJAVU = [str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")]
FONTS = dict.fromkeys([*fonts.PATTERNS, *fonts.OPTIONAL], DEJAVU)
SOURCES = sources.Sources(InkBank(), [], [], FONTS)
CAMERA = photo.PAPER | photo.PHOTO | photo.SCAN | photo.COPY | photo.SENSOR | photo.FILE
EVERY = dict.fromkeys(KINDS, 1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mix(printed: PrintedMix | None = None, **parts: AddedMix | InkMix | CameraMix) -> PageMix:
    return PageMix(printed=printed or PrintedMix(exam=1.0), **parts)


def lined_sheet(field: str = "") -> Worksheet:
    """A page with lines of print, and where asked for with fields of a kind."""
    page = np.full((500, 400, 3), 255, np.uint8)
    for top in range(40, 460, 60):
        cv2.putText(page, "printed words of a line", (30, top), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 2)
    fields = [Field(field, Room(40 + 60 * n, 180, 40, 20), n // 2) for n in range(5)] if field else []
    return Worksheet(page, 16, fields)


def assert_mask_is_where_ink_is(sheet: Worksheet) -> None:
    drop = np.abs(sheet.page - sheet.gt).max(axis=2)
    assert (sheet.mask > 0.25).sum() > 20
    assert not drop[sheet.mask == 0].any()
    assert (drop[(sheet.mask > 0.5) & (sheet.gt.min(axis=2) == 255)] > 3).all()


def test_the_mix_names_every_step_and_no_other():
    named = [shares(part(**({"exam": 1.0} if part is PrintedMix else {}))) for part in (PrintedMix, AddedMix)]
    assert set(named[0]) == {"clean", "photo"} | set(KINDS)
    assert set(named[1]) == {"pasted", "drawings", "close_up"} | set(EXTRAS)
    assert set(shares(InkMix())) == {"none"} | set(steps.PUPIL) | set(steps.TEACHER) | set(FILLERS)
    assert set(shares(CameraMix())) == {"digital", "photo"} | set(CAMERA)


def test_the_mix_that_ships_leaves_one_page_in_six_without_ink_and_uses_every_step():
    shipped = load_mix()
    assert shipped.ink.none >= 1 / 6
    assert all(value > 0 for part in dataclasses.astuple(shipped) for value in part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("printed: {exam: 1, exan: 1}", "exan.*did you mean 'exam'"),
        ("printed: {exam: 0}", "more often than never"),
        ("printed: {exam: 1}\nink: {marks: 1.5}", "ink.marks.*at most 1"),
    ],
)
def test_a_wrong_mix_is_told(tmp_path, text, message):
    (tmp_path / "mix.yml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_mix(tmp_path / "mix.yml")


@pytest.mark.parametrize("kind", KINDS)
def test_each_printed_side_has_print_and_fields_within_it_and_no_ink(kind):
    printed = KINDS[kind].typeset(rng(1), 12, FONTS)
    height, width = printed.page.shape[:2]
    assert printed.page.dtype == np.uint8 and 0.002 < (printed.page.min(axis=2) < 250).mean() < 0.6
    for name, (x, y, w, h), _ in printed.fields:
        assert name in FILLERS and w > 0 and h > 0 and 0 <= y <= height - h and 0 <= x <= width - w
    page = made_up(3, SOURCES, 12, mix(PrintedMix(**{kind: 1.0}), ink=InkMix(none=1.0)))
    assert not page.mask.any() and np.array_equal(page.image, page.gt)


@pytest.mark.parametrize("kind", ["answer_sheet", "ballot", "form", "letter_grid", "loose", "quiz", "receipt"])
def test_pages_to_be_filled_in_say_where(kind):
    assert sum(len(KINDS[kind].typeset(rng(seed), 12, FONTS).fields) for seed in range(4)) > 5


def test_paper_with_a_heading_is_written_on_below_it(monkeypatch):
    monkeypatch.setattr(forms, "HEADED", 1)
    monkeypatch.setattr(forms, "RULINGS_OFTEN", (0, 0, 1, 0, 0, 0))
    for seed in (0, 2, 3, 4):  # not printed in colour
        printed = KINDS["loose"].typeset(rng(seed), 12, FONTS)
        black = printed.page.max(axis=2) < 60  # squares are paler
        assert black.any() and printed.fields
        assert not any(black[y : y + h, x : x + w].any() for _, (x, y, w, h), _ in printed.fields)


def test_copybooks_are_written_on_between_their_lines():
    kinds = set()
    for seed in range(6):
        sheet = Typesetter(rng(seed), 500, 400, 12, FONTS)
        sheet.copybook()
        page = np.array(sheet.image).min(axis=2) < 250
        assert sheet.fields
        for kind, (x, y, w, _), _ in sheet.fields:
            kinds.add(kind)
            assert page[y, x : x + w].all(), "a line or a square's side runs along it"
    assert kinds == {"notes", "cells"}


def test_pictures_stand_in_a_row_with_room_below_where_a_font_has_any():
    sheet = Typesetter(rng(1), 600, 500, 12, FONTS)
    top = sheet.y
    sheet.pictures()
    dark = np.array(sheet.image).min(axis=2) < 250
    assert dark[top : sheet.y].any() and not dark[:top].any() and not dark[sheet.y :].any()
    bare = Typesetter(rng(1), 600, 500, 12, {role: files for role, files in FONTS.items() if role != "pictures"})
    bare.pictures()
    assert bare.y == top and np.array(bare.image).min() == 255


def test_formulas_are_as_large_as_asked_for_and_never_the_same():
    one, other = (formulas.formula(rng(3), em, "cm", False) for em in (20, 40))
    assert np.allclose(np.array(other.shape) / one.shape, 2, atol=0.15)
    bold = formulas.formula(rng(3), 20, "cm", True)
    assert bold.shape == one.shape and (bold >= one).all() and bold.sum() > 1.1 * one.sum()
    texts = {formulas.equation(rng(seed)) for seed in range(300)}
    assert len(texts) > 290
    for text in texts:  # braces in pairs, as TeX wants them, and some of all it can set
        assert text.count("{") == text.count("}") and text.count("left") == text.count("right")
    assert all(any(rf"\{name}" in text for text in texts) for name in ("frac", "sqrt", "sum", "int", "left", "vec"))


def test_displayed_formulas_stand_below_each_other():
    sheet = Typesetter(rng(4), 600, 500, 12, FONTS)
    top = sheet.y
    sheet.displayed()
    dark = np.array(sheet.image).min(axis=2) < 128
    assert dark[top : sheet.y].any() and not dark[:top].any() and not dark[sheet.y :].any()


@pytest.mark.parametrize("name", EXTRAS)
def test_what_is_printed_on_top_is_print(name):
    page = np.full((600, 500, 3), 255, np.uint8)
    EXTRAS[name](rng(2), page, 14, FONTS)
    assert 0 < (page.min(axis=2) < 250).mean() < 0.7
    made = made_up(1, SOURCES, 12, mix(added=AddedMix(**{name: 1.0}), ink=InkMix(none=1.0)))
    assert not made.mask.any() and np.array_equal(made.image, made.gt)


def test_drawings_are_printed_where_there_is_room(tmp_path):
    drawing = np.zeros((90, 60, 4), np.uint8)  # clear around a red disc with a black outline
    cv2.circle(drawing, (30, 45), 25, (0, 0, 255, 255), -1)
    cv2.circle(drawing, (30, 45), 25, (0, 0, 0, 255), 3)
    (tmp_path / "animals").mkdir()
    cv2.imwrite(str(tmp_path / "animals" / "disc.png"), drawing)
    given = SOURCES._replace(drawings=[page.path for page in find_pages([tmp_path])])
    looks = set()
    for seed in range(20):
        sheet = lined_sheet().page
        printed = sheet.copy()
        sides.illustrate(rng(seed), printed, 16, given.drawings)
        assert (printed != sheet).any() and (printed[sheet.min(axis=2) < 128] == sheet[sheet.min(axis=2) < 128]).all()
        new = printed[(printed != sheet).any(axis=2)].astype(int)
        looks.add("red" if np.ptp(new, axis=1).max() > 200 else "grey" if np.ptp(new) > 50 else "lines")
    assert looks == {"red", "grey", "lines"}
    made = made_up(1, given, 12, mix(added=AddedMix(drawings=1.0), ink=InkMix(none=1.0)))
    plain = made_up(1, SOURCES, 12, mix(added=AddedMix(drawings=1.0), ink=InkMix(none=1.0)))
    assert not made.mask.any() and not np.array_equal(made.gt, plain.gt)


@pytest.mark.parametrize("name", [*steps.PUPIL, *steps.TEACHER])
def test_each_step_of_ink_is_in_the_mask(name):
    step = (steps.PUPIL | steps.TEACHER)[name]
    for seed in range(3):
        sheet = lined_sheet()
        step(rng(seed), sheet, Writer.random(rng(seed), InkBank(), sheet.height, ["blue"]))
        if sheet.mask.any():
            assert_mask_is_where_ink_is(sheet)
            return
    pytest.fail("nothing was written")


@pytest.mark.parametrize("kind", FILLERS)
def test_each_kind_of_field_is_filled_where_it_is(kind):
    sheet = lined_sheet(kind)
    write_on(rng(4), sheet, InkBank(), InkMix(**{kind: 1.0}))
    assert_mask_is_where_ink_is(sheet)
    rows = np.flatnonzero((sheet.mask > 0.25).any(axis=1))
    assert 130 < rows.min() and rows.max() < 250


@pytest.mark.parametrize("kind", PENS)
def test_every_pen_is_in_the_mask_however_faint(kind):
    sheet = lined_sheet()
    steps.marks(rng(5), sheet, Writer.random(rng(5), InkBank(), 16, [kind]))
    assert_mask_is_where_ink_is(sheet)


def test_probabilities_of_0_and_1_do_what_they_say():
    sheet = lined_sheet("ovals")
    write_on(rng(), sheet, InkBank(), InkMix())
    write_on(rng(), sheet, InkBank(), InkMix(none=1.0, marks=1.0, ovals=1.0))
    assert not sheet.mask.any()
    for seed in range(5):
        sheet = lined_sheet("ovals")
        write_on(rng(seed), sheet, InkBank(), InkMix(ovals=1.0))
        assert sheet.mask.any()


def test_the_same_seed_sources_and_mix_give_the_same_page():
    shipped = load_mix()
    for seed in range(4):
        one, two = (made_up(seed, SOURCES, 12, shipped) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(one, two))
    assert not np.array_equal(made_up(9, SOURCES, 12, shipped).image, one.image)


@pytest.mark.parametrize("name", CAMERA)
def test_each_step_of_the_camera_treats_page_and_truth_alike(name):
    page = np.full((200, 160, 3), 0.95, np.float32)
    page[60:120, 50:110] = 0.1
    mask = np.zeros((200, 160), np.float32)
    mask[60:120, 50:110] = 1
    for seed in range(4):
        image, gt, moved = CAMERA[name](rng(seed), Shot(page, page, mask))
        assert image.shape == gt.shape == (*moved.shape, 3) and moved.min() >= 0
        assert np.abs(image - gt).max() == 0
        assert moved.sum() == pytest.approx(3600, rel=0.3)
        assert image[moved > 0.9].mean() < image[moved < 0.1].mean()


def test_without_steps_a_camera_compresses_alone():
    page = np.full((64, 64, 3), 255, np.uint8)
    page[20:40] = 40
    image, gt, mask = photo.photograph(rng(), page, page, np.zeros((64, 64), np.float32), CameraMix())
    assert np.abs(image.astype(int) - page).mean() < 4 and np.array_equal(image, gt) and not mask.any()


def test_ink_that_a_camera_lost_leaves_the_mask():
    gt = np.full((60, 60, 3), 230, np.uint8)
    gt[40:50] = 20
    image, mask = gt.copy(), np.zeros((60, 60), bool)
    mask[5:10, 5:50] = mask[20:25, 5:50] = mask[42:47, 5:50] = True  # seen, lost, and over black print
    image[5:10, 5:50] = 90
    gone = lost(image, gt, mask)
    assert gone[20:25, 5:50].all() and gone.sum() == 5 * 45


def test_a_photo_is_written_on_as_softly_as_it_is():
    printed = Printed(lined_sheet().gt, [], photo=True)
    page = make_page(rng(2), printed, InkBank(), 16, mix(ink=InkMix(over_words=1.0), camera=CameraMix(bend=1.0)))
    assert page.mask.any() and page.image.shape == printed.page.shape


def test_a_window_keeps_the_fields_that_lie_wholly_in_it():
    page = np.zeros((100, 100, 3), np.uint8)
    fields = [Field("cells", Room(x, 40, 10, 10)) for x in (5, 15, 30, 55)]
    part = Printed(page, fields).window(Room(10, 20, 50, 50))
    assert part.page.shape == (50, 50, 3)
    assert [field.room for field in part.fields] == [Room(5, 20, 10, 10), Room(20, 20, 10, 10)]


def test_one_page_is_written_by_one_writer():
    paths = [Path("a/x_writer01_0.png"), Path("a/x_writer02_0.png"), Path("a/y_writer01_1.png"), Path("b/c.png")]
    assert find_writers(paths) == [[paths[0], paths[2]], [paths[1]], [paths[3]]]
    pieces = [[np.full((9, 9), n, np.float32)] * 3 for n in range(2)]
    bank = InkBank(pieces=[*pieces[0], *pieces[1]], writers=pieces)
    chosen = [bank.of_one_writer(rng(seed)).pieces for seed in range(8)]
    assert {each[0][0, 0] for each in chosen} == {0, 1} and all(len(each) == 3 for each in chosen)
    assert len(InkBank(pieces=pieces[0]).of_one_writer(rng()).pieces) == 3


def test_blots_are_no_writing():
    stroke, blot = np.zeros((2, 60, 60), np.float32)
    stroke[20:28] = blot[20:45, 20:45] = 1
    assert sources.is_thin(stroke) and not sources.is_thin(blot)


def test_boxes_of_clean_pages_are_fields(tmp_path):
    page = lined_sheet().gt
    cv2.rectangle(page, (300, 60), (316, 76), (0, 0, 0), 2)
    cv2.imwrite(str(tmp_path / "page.png"), page)
    given = SOURCES._replace(clean=[tmp_path / "page.png"])
    height = sides.clean_height(tmp_path / "page.png")
    printed = sides.printed_page(rng(), height, given, PrintedMix(clean=1.0))
    x, y, w, h = next(field.room for field in printed.fields if field.room.x > 295)
    assert (x, y) == (302, 62) and w == h == 13


def test_missing_fonts_are_told_once_and_their_pages_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "PATTERNS", {"latin": ("*.ttf",)})
    folder = Path(DEJAVU[0]).parent
    with pytest.warns(UserWarning, match="music .fonts-noto-core.") as told:
        found = fonts.system_fonts(folder)
    assert len(told) == 1 and "music" not in found
    given = SOURCES._replace(fonts=found)
    assert set(sides.possible(PrintedMix(**EVERY), given)) == set(KINDS) - {"music", "invitation"}
    with pytest.raises(InputError, match="music"):
        sides.possible(PrintedMix(music=1.0), given)


def test_characters_that_a_font_lacks_are_not_printed_as_boxes():
    assert fonts.legible(open_font(DEJAVU[0], 20), "a汉b") == "ab"


def test_a_clipping_is_print_and_takes_the_place_of_fields():
    for seed in range(4):
        notes = KINDS["loose"].typeset(rng(seed), 12, FONTS)
        stuck = sides.paste(rng(seed), notes, 12, SOURCES, PrintedMix(exam=1.0))
        rows, columns = np.nonzero((stuck.page != notes.page).any(axis=2))
        box = Room(columns.min(), rows.min(), np.ptp(columns), np.ptp(rows))
        assert len(stuck.fields) < len(notes.fields) and set(stuck.fields) < set(notes.fields)
        assert not any(sides._overlap(field.room, box) for field in stuck.fields)
    made = made_up(1, SOURCES, 12, mix(added=AddedMix(pasted=1.0), ink=InkMix(none=1.0)))
    assert not made.mask.any()


def test_stains_and_holes_are_not_ink():
    page = np.ones((300, 200, 3), np.float32)
    for step in (things.holes, things.stains, things.creases):
        shot = step(rng(1), Shot(page, page, np.zeros((300, 200), np.float32)))
        assert (shot.image < 0.95).any() and not shot.mask.any()


def test_the_command_takes_a_mix_and_draws_a_sheet(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "system_fonts", lambda: FONTS)
    (tmp_path / "mix.yml").write_text("printed: {exam: 1}\nink: {marks: 1}")
    given = ["synth", "2", "-o", str(tmp_path / "pages"), "--print-height", "12", "--workers", "1"]
    assert main([*given, "--mix", str(tmp_path / "mix.yml"), "--sheet", str(tmp_path / "sheet.png")]) == 0
    sheet = read_image(tmp_path / "sheet.png").astype(int)
    red = (sheet[..., 0] > 150) & (sheet[..., 1] < 140) & (sheet[..., 2] < 180)
    assert sheet.shape[1] > 2 * 480 and red.sum() > 20
