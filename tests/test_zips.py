import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_pairs import write_page

from dehw.data import zips
from dehw.data.zips import unpack
from dehw.errors import InputError


def write_zip(path: Path, names: list[str]) -> Path:
    page = write_page(path.parent / "page.png").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, page)
    return path


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


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


def test_two_processes_unpack_side_by_side(tmp_path, monkeypatch):
    write_zip(tmp_path / "set.zip", ["images/a.jpg", "images/b.jpg", "images/c.jpg"])
    copy, calls = shutil.copyfileobj, []

    def meanwhile(*args):
        calls.append(args)
        if len(calls) == 2:
            if (child := os.fork()) == 0:
                unpack(tmp_path, tmp_path / "out")
                os._exit(0 if len(files_below(tmp_path / "out/set")) == 3 else 1)
            assert os.waitpid(child, 0)[1] == 0
        copy(*args)

    monkeypatch.setattr(shutil, "copyfileobj", meanwhile)
    unpack(tmp_path, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"set/images/a.jpg", "set/images/b.jpg", "set/images/c.jpg"}


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


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_names_the_page_and_leaves_nothing(tmp_path, method):
    """Every decompressor raises errors of its own, some at any byte, some at none: then the checksum tells.

    The page is the same each time: a byte of a bzip2 stream may mean nothing.
    """
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("images/a.jpg", np.random.default_rng(0).bytes(300) + bytes(3000))
        start = archive.infolist()[0].header_offset + 30 + len("images/a.jpg")  # where LZMA has nine bytes of its own
    whole = path.read_bytes()
    for place in range(start + 9, start + 300, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(InputError, match="set.zip cannot be unpacked at images/a.jpg"):
            unpack(tmp_path, tmp_path / "out")
    assert not files_below(tmp_path / "out")


def test_a_name_that_is_no_text_is_told(tmp_path):
    path = write_zip(tmp_path / "set.zip", ["images/试.jpg"])
    path.write_bytes(path.read_bytes().replace("试".encode(), b"\xff\xfe\xfd"))
    with pytest.raises(InputError, match="set.zip cannot be unpacked"):
        unpack(tmp_path, tmp_path / "out")


def test_unpack_asks_for_room_first(tmp_path, monkeypatch):
    write_zip(tmp_path / "set.zip", ["images/a.jpg"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InputError, match="Make room"):
        unpack(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out/set").exists()


def test_the_test_set_is_unpacked_alone_and_b_comes_before_a(tmp_path):
    folder = tmp_path / zips.ZIP_FOLDER
    folder.mkdir()
    write_zip(folder / "dataset1.zip", ["images/a.jpg", "gts/a.png"])
    assert zips.test_pages(tmp_path) == []
    write_page(tmp_path / "dehw_testA_dataset/images/a.jpg")
    assert [page.name for page in zips.test_pages(tmp_path)] == ["a.jpg"]
    write_zip(
        folder / "dehw_testB_dataset.zip",
        ["dehw_testB_dataset/images/b10.jpg", "dehw_testB_dataset/images/b9.jpg"],
    )
    assert [page.name for page in zips.test_pages(tmp_path)] == ["b9.jpg", "b10.jpg"]
    assert not (tmp_path / "dataset1").exists()
    assert zips.contest_datasets(tmp_path) == [tmp_path / "dataset1"]


def test_a_dataset_that_is_named_before_it_is_unpacked_is_unpacked_alone(tmp_path):
    (tmp_path / zips.ZIP_FOLDER).mkdir()
    for name in ("dataset1", "dataset2"):
        write_zip(tmp_path / zips.ZIP_FOLDER / f"{name}.zip", ["images/a.jpg", "gts/a.png"])
    assert zips.contest_datasets(tmp_path / "dataset2") == [tmp_path / "dataset2"]
    assert not (tmp_path / "dataset1").exists()
