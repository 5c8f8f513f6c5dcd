"""Side files of `dehw erase`: --save-mask, --compare, --save-ink; and what narrows the erasing."""

from pathlib import Path

import numpy as np
import pytest
from files import INK, damage_page, files, page, report, run, save_pdf, save_tiff, whitened
from PIL import Image

from dehw.commands import erase
from dehw.commands.erase import sidefiles
from dehw.errors import ExitCode
from dehw.files.images import read_image, write_image
from dehw.page import ink

ALL = ["--save-mask", "--compare", "--save-ink"]
NAMES = ["a.clean.png", "a.compare.png", "a.ink.png", "a.mask.png", "a.png"]


def test_the_command_line_knows_every_side_file():
    assert erase.SIDES == tuple(sidefiles.MAKERS)


def test_side_files_stand_beside_the_clean_page(eraser):
    Image.fromarray(page()).save("a.png", dpi=(300, 300))
    assert run("a.png", *ALL, "--report", "report.json") == ExitCode.OK
    assert files() == [*NAMES, "report.json"]
    assert sorted(report()["pages"][0]["side_files"]) == ["a.compare.png", "a.ink.png", "a.mask.png"]
    shown = read_image("a.mask.png")
    changed = (shown != page()).any(2)
    assert changed[INK].all() and changed.sum() == changed[INK].size
    compared = read_image("a.compare.png")
    np.testing.assert_array_equal(compared[:, :80], page())
    np.testing.assert_array_equal(compared[:, -80:], whitened(page()))
    with Image.open("a.ink.png") as layer:
        assert layer.mode == "RGBA" and layer.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        back = ink.lay(read_image("a.clean.png"), np.array(layer))
    assert np.abs(back.astype(int) - page()).max() <= 1


def test_a_page_without_handwriting_has_side_files_too(eraser):
    write_image("a.png", page(ink=False))
    assert run("a.png", *ALL) == ExitCode.OK
    assert files() == NAMES
    assert not np.array(Image.open("a.ink.png")).any()
    np.testing.assert_array_equal(read_image("a.mask.png"), page(ink=False))


def test_under_an_output_folder_the_tree_is_kept(eraser):
    for name in ("in/a/1.png", "in/b/1.png"):
        write_image(name, page())
    assert run("in", "-o", "out", "--save-ink") == ExitCode.OK
    assert files("out") == ["a/1.ink.png", "a/1.png", "b/1.ink.png", "b/1.png"]


def test_side_files_of_many_pages_are_numbered(eraser):
    save_tiff("in.tif", *[page()] * 2, page(ink=False))
    save_pdf("doc.pdf", *[page()] * 11)
    assert run("in.tif", "doc.pdf", "-o", "out", "--compare", "--save-ink") == ExitCode.OK
    names = [f"in.{number}.{side}.png" for number in (1, 2, 3) for side in ("compare", "ink")]
    names += [f"doc.{number:02}.{side}" for number in range(1, 12) for side in ("compare.jpg", "ink.png")]
    assert files("out") == sorted([*names, "in.tif", "doc.pdf"])
    assert read_image("out/doc.01.compare.jpg").shape == (60, 172, 3)


def test_a_page_that_fails_has_no_side_files(eraser):
    save_tiff("in.tif", page(), page())
    damage_page("in.tif", 1)
    assert run("in.tif", "-o", "out", "--save-mask", "--report", "report.json") == ExitCode.FAILED
    assert files("out") == ["in.1.mask.png", "in.tif"]
    assert [each["side_files"] for each in report()["pages"]] == [["out/in.1.mask.png"], []]


@pytest.mark.parametrize("place", [[], ["-o", "out"], ["--in-place"]])
def test_side_files_are_overwritten_only_when_asked(eraser, capsys, place):
    write_image("a.png", page())
    precious = Path("out/a.mask.png" if "-o" in place else "a.mask.png")
    precious.parent.mkdir(exist_ok=True)
    precious.write_bytes(b"precious")
    before = files()
    assert run("a.png", "--save-mask", *place) == ExitCode.USAGE
    assert files() == before and precious.read_bytes() == b"precious"
    np.testing.assert_array_equal(read_image("a.png"), page())
    message = capsys.readouterr().err
    assert f"{precious} is there already" in message and ("--resume" in message) == ("--in-place" not in place)
    assert run("a.png", *place) == ExitCode.OK  # nothing to say against it where no mask is asked for
    assert precious.read_bytes() == b"precious"
    write_image("a.png", page())
    assert run("a.png", "--save-mask", "--overwrite", *place) == ExitCode.OK
    assert read_image(precious).shape == (60, 80, 3)


def test_resume_passes_over_pages_with_their_side_files_and_takes_up_what_was_cut(eraser):
    for name in ("a.png", "b.png"):
        write_image(f"in/{name}", page())
    assert run("in/a.png", "-o", "out", "--save-ink") == ExitCode.OK
    Path("out/a.ink.png").write_bytes(b"done before")
    Path("out/b.ink.png").write_bytes(b"from a run that was cut before out/b.png")
    assert run("in", "-o", "out", "--save-ink", "--resume") == ExitCode.OK
    assert Path("out/a.ink.png").read_bytes() == b"done before"
    assert Image.open("out/b.ink.png").mode == "RGBA"


def test_an_original_is_never_replaced_by_a_side_file(eraser, capsys):
    write_image("a.png", page())
    write_image("a.mask.png", page())
    before = Path("a.mask.png").read_bytes()
    assert run("a.png", "a.mask.png", "--save-mask", "--overwrite") == ExitCode.USAGE
    assert Path("a.mask.png").read_bytes() == before
    assert "would replace an original" in capsys.readouterr().err


def test_two_pages_that_share_a_side_file_end_before_work(eraser, capsys):
    for name in ("in/a.png", "in/a.bmp"):
        write_image(name, page())
    assert run("in", "-o", "out", "--save-mask") == ExitCode.USAGE
    assert not Path("out").exists() and "another page would end in out/a.mask.png" in capsys.readouterr().err
    assert run("in", "-o", "out") == ExitCode.OK


def test_the_report_is_no_side_file(eraser):
    write_image("a.png", page())
    assert run("a.png", "--save-mask", "--report", "a.mask.png") == ExitCode.USAGE


def test_a_second_run_takes_no_side_file_for_a_page(eraser):
    for name in ("in/a.png", "in/note.mask.png", "in/n.2.ink.png"):  # the latter are pages: of no other's name
        write_image(name, page())
    save_tiff("in/b.tif", page(), page())
    for _ in range(2):
        assert run("in", *ALL, "--overwrite") == ExitCode.OK
    pages = {name: sum(each.endswith(f".{name}") for each in files("in")) for name in ("clean.png", "clean.tif")}
    assert pages == {"clean.png": 3, "clean.tif": 1}
    ink_files = [name for name in files("in") if name.endswith(".ink.png")]
    assert ink_files == [
        "a.ink.png",
        "b.1.ink.png",
        "b.2.ink.png",
        "n.2.ink.ink.png",
        "n.2.ink.png",
        "note.mask.ink.png",
    ]


def test_a_side_file_that_cannot_be_written_fails_its_page(eraser, capsys):
    write_image("a.png", page())
    Path("a.mask.png").mkdir()
    assert run("a.png", "--save-mask", "--overwrite") == ExitCode.FAILED
    assert files() == ["a.png"] and "a.mask.png cannot be written" in capsys.readouterr().err


# -- what narrows the erasing --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--keep", "0,0,20,60"], ["--only", "20,0,80,60"]])
def test_boxes_keep_what_lies_there(eraser, options):
    write_image("a.png", page())
    assert run("a.png", *options) == ExitCode.OK
    expected = whitened(page())
    expected[:, :20] = page()[:, :20]
    np.testing.assert_array_equal(read_image("a.clean.png"), expected)


def test_boxes_may_be_given_again(eraser):
    write_image("a.png", page())
    only = ["--only", "0,0,10,60", "--only", "20,0,80,60", "--keep", "25,0,26,60", "--keep", "26,0,28,60"]
    assert run("a.png", *only) == ExitCode.OK
    left = (read_image("a.clean.png") < 128).all(2)[10]
    assert np.flatnonzero(left).tolist() == [*range(10, 20), 25, 26, 27]


@pytest.mark.parametrize("option", ["--keep", "--only"])
def test_a_box_is_clipped_to_each_page_and_one_beside_it_is_told(eraser, capsys, option):
    write_image("in/a.png", page())
    write_image("in/b.png", page(size=(60, 90)))
    write_image("in/small.png", page(size=(60, 20)))
    assert run("in", "-o", "out", option, "20,0,85,200", "--report", "report.json") == ExitCode.OK
    for name in ("a.png", "b.png", "small.png"):
        image = read_image(f"in/{name}")
        expected, inside = whitened(image), np.s_[:, 20:85]
        if option == "--only":
            expected, inside = image, np.s_[:, :20]
            expected = np.where(np.arange(image.shape[1])[:, None] < 20, image, whitened(image))
        else:
            expected[inside] = image[inside]
        np.testing.assert_array_equal(read_image(f"out/{name}"), expected)
    beside = "the box 20,0,85,200 lies beside the page, which is 20 px wide and 60 px high"
    assert capsys.readouterr().err.count("lies beside") == 1
    assert [each["warnings"] for each in report()["pages"]] == [[], [], [beside]]


@pytest.mark.parametrize("box", ["0%,0%,25%,100%", "0,0,25%,60", "0%,0,20,99999", "0,0%,24.9%,100%"])
def test_boxes_may_be_in_percent(eraser, box):
    write_image("a.png", page())
    assert run("a.png", "--keep", box) == ExitCode.OK
    expected = whitened(page())
    expected[:, :20] = page()[:, :20]
    np.testing.assert_array_equal(read_image("a.clean.png"), expected)


WRONG = ["1,2,3", "a,b,c,d", "5,5,5,9", "9,0,3,4", "-1,0,3,4", "1.5,0,3,4", "", "0,0,1," + "9" * 5000]
WRONG += ["0%,0%,101%,9%", "9%,0%,3%,4%", "nan%,0,1,1", "%,0,1,1", "1e9%,0,1,1"]


@pytest.mark.parametrize("box", WRONG)
def test_what_is_no_box_is_refused_at_once(eraser, capsys, box):
    with pytest.raises(SystemExit) as end:
        run("a.png", f"--keep={box}")
    assert end.value.code == ExitCode.USAGE and "x0,y0,x1,y1" in capsys.readouterr().err


def test_sensitivity_reaches_the_eraser(eraser):
    eraser.segmenter = lambda tiles: (1 - tiles.mean(1, keepdims=True)).astype(np.float32)  # dark is likely ink
    shades = page()
    shades[INK] = 140  # a probability of 0.45
    write_image("a.png", shades)
    for sensitivity, erased in (("0.4", False), ("0.5", False), ("0.6", True)):
        assert run("a.png", "--sensitivity", sensitivity, "--overwrite") == ExitCode.OK
        assert (read_image("a.clean.png")[INK].min() == 255) == erased


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "high"])
def test_a_sensitivity_beyond_its_ends_is_refused(eraser, value):
    with pytest.raises(SystemExit) as end:
        run("a.png", f"--sensitivity={value}")
    assert end.value.code == ExitCode.USAGE
