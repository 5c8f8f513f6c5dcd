import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.data import pairs
from dehw.data.pairs import Pair, find_pairs, match, pairs_problems, split, unpack
from dehw.errors import InputError


def write_page(path: Path, height: int = 4, width: int = 6, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(path, **options)
    return path


def write_zip(path: Path, names: list[str]) -> Path:
    page = write_page(path.parent / "page.png").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, page)
    return path


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


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
    problems = pairs_problems(tmp_path)
    assert len(problems) == 2
    assert any("unequal" in line and "6x4" in line and "4x6" in line for line in problems)
    assert any("b.png" in line for line in problems)


def test_sizes_are_those_of_the_upright_page(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    write_page(tmp_path / "images/a.jpg", 4, 6, exif=exif)
    write_page(tmp_path / "gts/a.png", 6, 4)
    assert pairs_problems(tmp_path) == []


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


def test_unpack_writes_images_without_the_wrapping_folder(tmp_path):
    names = ["set/images/a.jpg", "set/gts/a.png", "set/read.me", "__MACOSX/set/images/._a.jpg", "set/.x.png"]
    write_zip(tmp_path / "dataset1.zip", names)
    write_zip(tmp_path / "dataset2.zip", ["JPEGImages/b.jpg"])
    assert unpack(tmp_path, tmp_path / "out") == [tmp_path / "out/dataset1", tmp_path / "out/dataset2"]
    expected = {"dataset1/images/a.jpg", "dataset1/gts/a.png", "dataset2/JPEGImages/b.jpg"}
    assert files_below(tmp_path / "out") == expected


def test_unpack_happens_once_and_leaves_a_folder_unpacked_by_hand_alone(tmp_path):
    write_zip(tmp_path / "set.zip", ["images/a.jpg"])
    (tmp_path / "out/set").mkdir(parents=True)
    unpack(tmp_path, tmp_path / "out")
    assert files_below(tmp_path / "out") == set()
    shutil.rmtree(tmp_path / "out")
    unpack(tmp_path, tmp_path / "out")
    (tmp_path / "out/set/images/a.jpg").unlink()
    unpack(tmp_path, tmp_path / "out")
    assert files_below(tmp_path / "out") == set()


def test_a_cut_unpack_is_redone(tmp_path, monkeypatch):
    write_zip(tmp_path / "set.zip", ["images/a.jpg", "images/b.jpg"])
    copy, calls = shutil.copyfileobj, []

    def cut(*args):
        calls.append(args)
        if len(calls) == 2:
            os._exit(0)  # as SIGKILL: nothing is cleaned up
        copy(*args)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(shutil, "copyfileobj", cut)
        unpack(tmp_path, tmp_path / "out")
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not (tmp_path / "out/set").exists()
    unpack(tmp_path, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"set/images/a.jpg", "set/images/b.jpg"}


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "C:/evil.jpg", "..\\evil.jpg"])
def test_a_zip_that_reaches_outside_its_folder_is_refused_whole(tmp_path, name):
    write_zip(tmp_path / "set.zip", ["images/a.jpg", name])
    with pytest.raises(InputError, match="outside"):
        unpack(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists() or not files_below(tmp_path / "out")
    assert not (tmp_path / "evil.jpg").exists()


def test_links_in_a_zip_are_left_out(tmp_path):
    write_zip(tmp_path / "set.zip", ["images/a.jpg"])
    link = zipfile.ZipInfo("images/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    unpack(tmp_path, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"set/images/a.jpg"}


def test_a_damaged_or_empty_zip_is_named_and_leaves_nothing(tmp_path):
    whole = write_zip(tmp_path / "set.zip", ["images/a.jpg", "images/b.jpg"]).read_bytes()
    (tmp_path / "set.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="set.zip"):
        unpack(tmp_path, tmp_path / "out")
    write_zip(tmp_path / "set.zip", ["notes.txt"])
    with pytest.raises(InputError, match="no images"):
        unpack(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out/set").exists()


def test_unpack_asks_for_room_first(tmp_path, monkeypatch):
    write_zip(tmp_path / "set.zip", ["images/a.jpg"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InputError, match="Make room"):
        unpack(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out/set").exists()


def test_the_test_set_is_unpacked_alone_and_b_comes_before_a(tmp_path):
    zips = tmp_path / pairs.ZIP_FOLDER
    zips.mkdir()
    write_zip(zips / "dataset1.zip", ["images/a.jpg", "gts/a.png"])
    assert pairs.test_pages(tmp_path) == []
    write_page(tmp_path / "dehw_testA_dataset/images/a.jpg")
    assert [page.name for page in pairs.test_pages(tmp_path)] == ["a.jpg"]
    write_zip(
        zips / "dehw_testB_dataset.zip",
        ["dehw_testB_dataset/images/b10.jpg", "dehw_testB_dataset/images/b9.jpg"],
    )
    assert [page.name for page in pairs.test_pages(tmp_path)] == ["b9.jpg", "b10.jpg"]
    assert not (tmp_path / "dataset1").exists()
    assert pairs.contest_datasets(tmp_path) == [tmp_path / "dataset1"]
