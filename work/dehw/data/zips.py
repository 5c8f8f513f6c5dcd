"""The contest's zips, unpacked once into the layout that pairs.py tells of."""

import shutil
import stat
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dehw.data.pairs import GT_FOLDER, IMAGE_FOLDERS, LABEL_FOLDER, MASK_FOLDER, TEST_SETS, datasets
from dehw.errors import InputError
from dehw.files import atomic
from dehw.files.find import find_pages, has_suffix
from dehw.files.images import IMAGE_SUFFIXES

ZIP_FOLDER = "data126591"  # the name AI Studio mounts the contest's zips under


def contest_datasets(root: str | Path = "data", labelled: bool = False) -> list[Path]:
    """The datasets at or below `root`, the contest's zips unpacked first if need be; [] if there are none.

    root: a folder above ZIP_FOLDER, or what one of the zips there unpacks to. labelled: see pairs.datasets.
    """
    root = Path(root)
    unpack(root.parent / ZIP_FOLDER, root.parent, only=[root.name])
    unpack(root / ZIP_FOLDER, root)
    return datasets(root, labelled)


def test_pages(root: str | Path = "data") -> list[Path]:
    """Pages of the contest's test set below `root`, unpacked if need be; B before A; [] if there is none."""
    root = Path(root)
    unpack(root / ZIP_FOLDER, root, only=TEST_SETS)
    for name in TEST_SETS:
        for folder in [root / name / inner for inner in IMAGE_FOLDERS] + [root / name]:
            if folder.is_dir() and any(map(has_suffix, folder.rglob("*"))):
                return [page.path for page in find_pages([folder])]
    return []


def unpack(folder: str | Path, destination: str | Path, only: Sequence[str] | None = None) -> list[Path]:
    """Unpack each zip of `folder` once to destination/STEM, and return those folders in order of name.

    only: the stems to unpack, all if None. A zip whose one top folder wraps everything loses that folder.
    Only images are written; links, hidden files and other kinds are left out. The folder appears when
    complete, so a cut run is redone and an existing folder, unpacked by hand too, is left alone. Raises
    InputError for a damaged zip, a name that would leave the folder, or too little room on the disk.
    """
    zips = sorted(Path(folder).glob("*.zip")) if Path(folder).is_dir() else []
    unpacked = []
    for path in zips:
        if only is not None and path.stem not in only:
            continue
        target = Path(destination) / path.stem
        if not target.exists():
            _unpack_one(path, target)
        unpacked.append(target)
    return unpacked


def _unpack_one(path: Path, target: Path) -> None:
    """Unpack a zip beside `target` and rename it into place, unless another process was first."""
    atomic.sweep(target.parent)  # what a cut run left
    temporary = target.with_name(f"{atomic.temporary_prefix()}{uuid.uuid4().hex[:12]}")
    at = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _image_members(path, archive)
            _check_room(path, target, sum(info.file_size for info in members.values()))
            for name, info in members.items():
                at = f" at {name}"
                file = temporary / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, open(file, "xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
        if not target.exists():
            temporary.rename(target)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damage inside makes decompressors raise nearly anything
        raise InputError(
            f"{path} cannot be unpacked{at}: {error}. Fetch it again, or unpack it by hand to {target}."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _image_members(path: Path, archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """What to write, by its place below the target folder."""
    members = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in info.filename:
            raise InputError(f"{path} names '{info.filename}', outside its folder; do not trust it.")
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
        if not info.is_dir() and not _is_link(info) and not hidden and name.suffix.lower() in IMAGE_SUFFIXES:
            members[name] = info
    if not members:
        raise InputError(f"{path} holds no images.")
    wrappers = {name.parts[0] if len(name.parts) > 1 else "" for name in members}
    if len(wrappers) == 1 and not wrappers & {"", *IMAGE_FOLDERS, GT_FOLDER, LABEL_FOLDER, MASK_FOLDER}:
        return {PurePosixPath(*name.parts[1:]): info for name, info in members.items()}
    return members


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)  # the upper half holds Unix's mode


def _check_room(path: Path, target: Path, needed: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise InputError(
            f"{path} unpacks to {needed / 2**30:.1f} GiB, and {target.parent} has {free / 2**30:.1f} GiB "
            "left. Make room there."
        )
