"""compute_mask.py writes the masks that dehw.page.masks defines, and nothing at all while anything is wrong."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "compute_mask.py"


@pytest.fixture(scope="module")
def compute_mask():
    spec = importlib.util.spec_from_file_location("compute_mask", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["compute_mask"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["compute_mask"]


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def load(path):
    return np.array(Image.open(path))


@pytest.fixture
def data(tmp_path):
    """Three lossless pairs: levels 0, 10, 20 and 60 darker than their ground truth in four stripes."""
    folder = tmp_path / "set"
    for number in range(3):
        gt = np.full((8 + number, 20, 3), 200, np.uint8)
        image = gt - np.repeat(np.array([0, 10, 20, 60], np.uint8), 5)[None, :, None]
        save(folder / "images" / f"p{number}.png", image)
        save(folder / "gts" / f"p{number}.png", gt)
    return folder


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_soft_masks_stand_beside_the_images(compute_mask, data):
    assert compute_mask.main([str(data)]) == 0
    for number in range(3):
        mask = load(data / "masks" / f"p{number}.png")
        assert mask.shape == (8 + number, 20) and mask.dtype == np.uint8
        np.testing.assert_array_equal(mask[0], np.repeat([0, 128, 255, 255], 5))  # 10 / 20 of 255, rounded
    assert sorted(path.name for path in data.iterdir()) == ["gts", "images", "masks"]


def test_hard_masks_dilated_and_folders_named(compute_mask, data, tmp_path):
    out = tmp_path / "deep" / "out"
    options = ["--hard", "20", "--dilate", "3", "--workers", "1"]
    folders = ["--images", str(data / "images"), "--gts", str(data / "gts"), "-o", str(out)]
    assert compute_mask.main(folders + options) == 0
    row = load(out / "p0.png")[4]
    np.testing.assert_array_equal(row, [0] * 14 + [255] * 6)  # the stripe of 60, and one pixel to its left
    assert not (data / "masks").exists()


def test_cleaned_ground_truth_is_the_page_outside_the_strokes(compute_mask, data):
    assert compute_mask.main([str(data), "--clean-gt", "15"]) == 0
    image, gt = load(data / "images" / "p1.png"), load(data / "gts" / "p1.png")
    cleaned = load(data / "gts_clean" / "p1.png")
    np.testing.assert_array_equal(cleaned[:, :9], image[:, :9])
    np.testing.assert_array_equal(cleaned[:, 9:], gt[:, 9:])
    assert (data / "masks" / "p1.png").exists()


def test_a_cleaned_ground_truth_keeps_a_rim_of_one_pixel_around_each_stroke(compute_mask, tmp_path):
    gt = np.full((12, 12, 3), 200, np.uint8)
    image = gt - np.uint8(7)
    image[5, 5] = 20
    save(tmp_path / "images" / "p.png", image)
    save(tmp_path / "gts" / "p.png", gt)
    assert compute_mask.main([str(tmp_path), "--clean-gt", "10", "--clean-output", str(tmp_path / "out")]) == 0
    expected = image.copy()
    expected[4:7, 4:7] = 200
    np.testing.assert_array_equal(load(tmp_path / "out" / "p.png"), expected)


def test_the_figure_of_a_page_is_one_png_and_no_mask(compute_mask, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compute_mask.main(["--figure", str(data / "images" / "p1.png")]) == 0
    panel = load(tmp_path / "p1_thresholds.png")
    image, gt = load(data / "images" / "p1.png"), load(data / "gts" / "p1.png")
    np.testing.assert_array_equal(panel[40:49, :20], image)
    np.testing.assert_array_equal(panel[40:49, 32:52], gt)
    last = panel[49 + 12 + 40 :, 64:84]  # threshold 25: the stripe of 60 alone
    assert (last[:, :15] == 0).all() and (last[:, 15:] == 255).all()
    assert not (data / "masks").exists()
    data.joinpath("gts").rename(tmp_path / "true")
    options = ["--gts", str(tmp_path / "true"), "-o", str(tmp_path / "f" / "figure.png")]
    assert compute_mask.main(["--figure", str(data / "images" / "p1.png"), *options]) == 0
    np.testing.assert_array_equal(load(tmp_path / "f" / "figure.png"), panel)


def test_a_figure_without_partner_or_over_an_input_is_refused(compute_mask, data, capsys):
    before = snapshot(data)
    page = data / "images" / "p1.png"
    assert compute_mask.main(["--figure", str(page), "-o", str(data / "gts" / "p1.png")]) == 2
    assert "is an input" in capsys.readouterr().err
    assert compute_mask.main(["--figure", str(data / "images" / "p7.png")]) == 2
    assert "name the folder by --gts" in capsys.readouterr().err
    assert snapshot(data) == before
    save(data / "gts" / "p1.png", np.zeros((5, 20, 3), np.uint8))
    assert compute_mask.main(["--figure", str(page), "-o", str(data / "f.png")]) == 2
    assert "p1.png 20x5" in capsys.readouterr().err and not (data / "f.png").exists()


def test_jpegimages_and_several_datasets_keep_their_own_masks(compute_mask, data, tmp_path):
    other = tmp_path / "other"
    data.joinpath("images").rename(data / "JPEGImages")
    for kind in ("images", "gts"):
        save(other / kind / "p0.png", np.full((4, 6, 3), 9, np.uint8))
    assert compute_mask.main([str(tmp_path)]) == 0
    assert load(data / "masks" / "p0.png").shape == (8, 20)
    assert load(other / "masks" / "p0.png").shape == (4, 6)


def test_pages_without_ground_truths_are_named_and_the_test_sets_are_not(compute_mask, data, tmp_path, capsys):
    for name in ("dataset1", "dehw_testB_dataset"):
        save(tmp_path / name / "images/a.png", load(data / "images/p0.png"))
    assert compute_mask.main([str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert f"{tmp_path / 'dataset1'} is left out: it holds no gts/" in told and "testB" not in told


def test_all_problems_are_listed_and_nothing_is_written(compute_mask, data, capsys):
    save(data / "images" / "alone.png", np.zeros((4, 4, 3), np.uint8))
    save(data / "gts" / "lonely.png", np.zeros((4, 4, 3), np.uint8))
    save(data / "gts" / "p1.png", np.zeros((5, 20, 3), np.uint8))
    cut = data / "gts" / "p2.png"
    cut.write_bytes(cut.read_bytes()[:-30])  # its header is intact, its pixels are not
    (data / "images" / "p0.png").write_text("no image")
    before = snapshot(data)
    assert compute_mask.main([str(data), "--clean-gt", "10"]) == 2
    message = capsys.readouterr().err
    for name in ("alone", "lonely", "p1.png 20x5", "p2.png", "p0.png"):
        assert name in message, name
    assert "5 problem(s)" in message
    assert snapshot(data) == before


@pytest.mark.parametrize("kind", ["images", "gts"])
def test_inputs_are_never_overwritten(compute_mask, data, capsys, kind):
    before = snapshot(data)
    assert compute_mask.main([str(data), "-o", str(data / kind)]) == 2
    assert "take its place" in capsys.readouterr().err
    assert snapshot(data) == before


def test_two_pages_with_one_mask_are_refused(compute_mask, data, tmp_path, capsys):
    for kind in ("images", "gts"):
        save(tmp_path / "other" / kind / "p0.png", np.full((4, 6, 3), 9, np.uint8))
    assert compute_mask.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "would all be written here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_empty_and_missing_folders_are_errors(compute_mask, tmp_path):
    assert compute_mask.main([str(tmp_path)]) == 2
    assert compute_mask.main([str(tmp_path / "nowhere")]) == 2
    for kind in ("images", "gts"):
        (tmp_path / kind).mkdir()
    assert compute_mask.main([str(tmp_path)]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["data", "--images", "a", "--gts", "b"],
        ["--images", "a"],
        ["data", "--clean-output", "c"],
        ["data", "--hard", "255"],
        ["data", "--dilate", "-1"],
        ["data", "--workers", "0"],
        ["data", "--figure", "page.png"],
    ],
)
def test_contradictory_arguments_are_refused(compute_mask, arguments):
    with pytest.raises(SystemExit) as stopped:
        compute_mask.main(arguments)
    assert stopped.value.code == 2


def test_a_page_that_cannot_be_written_is_named_and_the_others_are_done(compute_mask, data, capsys):
    (data / "masks" / "p1.png").mkdir(parents=True)  # a folder stands where the mask goes
    assert compute_mask.main([str(data)]) == 1
    assert "p1.png" in capsys.readouterr().err
    assert {path.name for path in (data / "masks").iterdir()} == {"p0.png", "p1.png", "p2.png"}
    assert load(data / "masks" / "p2.png").shape == (10, 20)


def test_runs_from_a_bare_clone_with_a_bar(data):
    command = [sys.executable, "-I", str(SCRIPT), str(data)]  # isolated: neither PYTHONPATH nor this folder
    done = subprocess.run(command, capture_output=True, text=True, cwd=data, check=False)
    assert done.returncode == 0, done.stderr
    assert "3/3" in done.stderr and "3 masks in" in done.stdout
