from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.data.pairs import Pair, find_pairs, left_out, match, size_problems, split
from dehw.errors import InputError


def write_page(path: Path, height: int = 4, width: int = 6, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(path, **options)
    return path


def numbered(count: int) -> list[Pair]:
    return [Pair(f"p{i:04d}", Path(f"images/p{i:04d}.jpg"), Path(f"gts/p{i:04d}.png")) for i in range(count)]


def test_pairs_are_found_by_stem_with_the_masks_there_are(tmp_path):
    for stem in "ba":
        write_page(tmp_path / f"images/{stem}.jpg")
        write_page(tmp_path / f"gts/{stem}.png")
    mask = write_page(tmp_path / "masks/b.png")
    (tmp_path / "images/notes.txt").write_text("no page")
    found = find_pairs(tmp_path)
    assert [pair.stem for pair in found] == ["a", "b"]
    assert [pair.mask for pair in found] == [None, mask]
    assert found[0].image == tmp_path / "images/a.jpg" and found[0].gt == tmp_path / "gts/a.png"


def test_masks_from_elsewhere_are_for_pages_that_bring_none(tmp_path):
    for stem in "ab":
        for folder in ("data/set/images", "data/set/gts", "masks/set"):
            write_page(tmp_path / folder / f"{stem}.png")
    own = write_page(tmp_path / "data/set/masks/b.png")
    found = find_pairs(tmp_path / "data", tmp_path / "masks")
    assert [pair.mask for pair in found] == [tmp_path / "masks/set/a.png", own]


def test_labels_go_before_masks_and_do_without_ground_truths_for_a_segmenter(tmp_path):
    for name in ("images/a.jpg", "gts/a.png", "masks/a.png"):
        write_page(tmp_path / "dataset2" / name)
    label = write_page(tmp_path / "dataset2/Annotations/a.png")
    bare = write_page(tmp_path / "dataset1/JPEGImages/b.jpg")
    its_label = write_page(tmp_path / "dataset1/Annotations/b.png")
    (pair,) = find_pairs(tmp_path, tmp_path / "elsewhere")
    assert (pair.label, pair.mask) == (label, tmp_path / "dataset2/masks/a.png")
    first, second = find_pairs(tmp_path, labelled=True)
    assert (first.image, first.gt, first.label, second) == (bare, bare, its_label, pair)
    assert left_out(tmp_path) == [tmp_path / "dataset1"] and left_out(tmp_path, labelled=True) == []
    its_label.unlink()
    with pytest.raises(InputError, match=r"b\.jpg: no b\.\* in .*Annotations"):
        find_pairs(tmp_path, labelled=True)


def test_datasets_are_found_below_and_the_samples_passed_over_unless_named(tmp_path):
    for root in ("dehw_train_dataset", "dataset2/inner", "sample", "watermark"):
        folder = "JPEGImages" if "inner" in root else "images"
        write_page(tmp_path / root / folder / "a.jpg")
        write_page(tmp_path / root / "gts/a.png")
    write_page(tmp_path / "dehw_testB_dataset/images/t.jpg")
    places = {str(pair.image.relative_to(tmp_path)) for pair in find_pairs(tmp_path)}
    assert places == {"dehw_train_dataset/images/a.jpg", "dataset2/inner/JPEGImages/a.jpg"}
    assert len(find_pairs(tmp_path / "sample")) == 1
    assert len(find_pairs([tmp_path / "sample", tmp_path / "dataset2"])) == 2


def test_every_pairing_problem_is_listed(tmp_path):
    for name in (
        "images/lonely.jpg",
        "images/double.jpg",
        "images/double.png",
        "gts/double.png",
        "gts/widow.png",
    ):
        write_page(tmp_path / name)
    with pytest.raises(InputError) as error:
        find_pairs(tmp_path)
    for name in ("images/lonely.jpg", "gts/widow.png", "images/double.png"):
        assert name in str(error.value)
    with pytest.raises(InputError, match="holds both images/"):
        find_pairs(tmp_path / "gts")


def test_unreadable_files_and_unequal_sizes_are_listed_together(tmp_path):
    write_page(tmp_path / "images/a.jpg", 4, 6)
    write_page(tmp_path / "gts/a.png", 6, 4)
    write_page(tmp_path / "images/b.jpg")
    (tmp_path / "gts/b.png").write_bytes(b"not an image")
    problems = size_problems(find_pairs(tmp_path))
    assert len(problems) == 2
    assert any("unequal" in line and "6x4" in line and "4x6" in line for line in problems)
    assert any("b.png" in line for line in problems)


def test_sizes_are_those_of_the_upright_page(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    write_page(tmp_path / "images/a.jpg", 4, 6, exif=exif)
    write_page(tmp_path / "gts/a.png", 6, 4)
    assert size_problems(find_pairs(tmp_path)) == []


def test_match_takes_folders_of_any_name(tmp_path):
    write_page(tmp_path / "scans/a.jpg")
    write_page(tmp_path / "clean/a.png")
    found, problems = match(tmp_path / "scans", tmp_path / "clean", tmp_path / "none")
    assert [pair.stem for pair in found] == ["a"] and problems == []
    assert match(tmp_path / "scans", tmp_path / "nowhere")[1]


def test_split_keeps_81_of_the_contests_pages_and_a_tenth_of_fewer():
    train, val = split(numbered(1081))
    assert (len(train), len(val)) == (1000, 81)
    assert not set(train) & set(val)
    assert [len(split(numbered(n))[1]) for n in (2, 9, 20, 809, 820)] == [1, 1, 2, 80, 81]
    with pytest.raises(InputError):
        split(numbered(1))


def test_split_depends_on_the_pages_and_the_seed_alone():
    pages = numbered(50)
    val = split(pages)[1]
    assert set(split(pages[::-1])[1]) == set(val)
    assert set(split(pages, seed=1)[1]) != set(val)


@pytest.mark.parametrize("stem", ["dehw_train_{:05d}_{}_{}", "bg_image_{:05d}_{}{}"])
def test_split_keeps_what_shares_a_page_together(stem):
    stems = [stem.format(page, row, column) for page in range(20) for row in range(3) for column in "01"]
    train, val = split([Pair(s, Path(f"images/{s}.jpg"), Path(f"gts/{s}.png")) for s in stems])
    pages = [{pair.stem.rsplit("_", stem.count("_") - 2)[0] for pair in part} for part in (train, val)]
    assert len(pages[1]) == 2 and len(val) == 12
    assert not pages[0] & pages[1]
