"""Page pairs in the contest's layout. See zips.py for the contest's zips.

A dataset is a folder that holds images/ (or JPEGImages/) and gts/, paired by stem, and perhaps masks/:

    data/dehw_train_dataset/images/dehw_train_00000.jpg
    data/dehw_train_dataset/gts/dehw_train_00000.png
    data/dehw_train_dataset/masks/dehw_train_00000.png     255 = handwriting, from compute_mask.py
"""

import os
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dehw.errors import InputError, PageError
from dehw.files.images import IMAGE_SUFFIXES, image_size

IMAGE_FOLDERS = ("images", "JPEGImages")
GT_FOLDER = "gts"
MASK_FOLDER = "masks"
ELSEWHERE = {"sample", "watermark"}  # hold pairs that no training on handwriting takes unless they are named
MAX_DEPTH = 3  # folders between what the user names and images/

# What shares one ground truth: seed 000's zips hold tiles cut from pages, PAGE_ROW_COLUMN; the watermark contest's hold
# several watermarked copies of one picture, PICTURE_NUMBER.
TILE_STEM = re.compile(r"(?P<page>dehw_train_\d+)_\d+_\d+|(?P<picture>bg_image_\d+)_\d+")


@dataclass(frozen=True)
class Pair:
    """A page with handwriting, the same page without, and its handwriting mask if there is one.

    factor: what they are resized by where they are decoded, see Layout.factor.
    """

    stem: str
    image: Path
    gt: Path
    mask: Path | None = None
    factor: float = 1.0


def find_pairs(roots: str | Path | Sequence[str | Path], masks: str | Path | None = None) -> list[Pair]:
    """List the pairs of every dataset at or below the folders `roots`, in order of path.

    masks: where to look for masks that a dataset does not bring itself, see mask_homes. Raises InputError that lists
    all problems: no dataset, files without partner, two files of one stem.
    """
    pairs, problems = _scan(roots, Path(masks) if masks else None)
    if problems:
        raise _pairing_error(problems)
    return pairs


def pairs_problems(roots: str | Path | Sequence[str | Path]) -> list[str]:
    """Everything wrong with the pairs at or below `roots`, a line each: pairing, unreadable files, sizes."""
    pairs, problems = _scan(roots)
    return problems + size_problems(pairs)


def match(images: str | Path, gts: str | Path, masks: str | Path | None = None) -> tuple[list[Pair], list[str]]:
    """Pair the files of two folders by stem: the pairs in order, and what is wrong, one line each.

    masks: folder whose file of the same stem becomes the pair's mask; a missing one is no problem.
    """
    images, gts = Path(images), Path(gts)
    image_files, problems = _by_stem(images)
    gt_files, gt_problems = _by_stem(gts)
    mask_files, mask_problems = _by_stem(Path(masks)) if masks and Path(masks).is_dir() else ({}, [])
    problems += gt_problems + mask_problems
    problems += [f"{image_files[s]}: no {s}.* in {gts}" for s in sorted(image_files.keys() - gt_files.keys())]
    problems += [f"{gt_files[s]}: no {s}.* in {images}" for s in sorted(gt_files.keys() - image_files.keys())]
    stems = sorted(image_files.keys() & gt_files.keys())
    return [Pair(s, image_files[s], gt_files[s], mask_files.get(s)) for s in stems], problems


def dataset_pairs(folder: Path) -> tuple[list[Pair], list[str]]:
    """The pairs of one dataset with the masks that it brings, and what is wrong, one line each."""
    return match(_image_folder(folder), folder / GT_FOLDER, folder / MASK_FOLDER)


def mask_homes(folders: Sequence[Path], home: Path) -> dict[Path, Path]:
    """Where below `home` masks of these datasets lie: a folder of each one's name, numbered where two share one."""
    homes: dict[Path, Path] = {}
    for folder in folders:
        target, number = home / folder.resolve().name, 2
        while target in homes.values():
            target, number = home / f"{folder.resolve().name}.{number}", number + 1
        homes[folder] = target
    return homes


def size_problems(pairs: Iterable[Pair]) -> list[str]:
    """Files that are no images and pairs of unequal size, one line each. Only the files' headers are read."""
    problems = []
    for pair in pairs:
        sizes = {}
        for path in filter(None, (pair.image, pair.gt, pair.mask)):
            try:
                sizes[path] = image_size(path)
            except PageError as error:
                problems.append(str(error))
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{path} {width}x{height}" for path, (height, width) in sizes.items())
            problems.append(f"unequal sizes (width x height): {listed}")
    return problems


def datasets(roots: str | Path | Sequence[str | Path]) -> list[Path]:
    """The folders at or below `roots` that hold both images/ (or JPEGImages/) and gts/.

    The project's own samples and the watermarked pages are passed over unless they are named.
    """
    found: list[Path] = []
    for root in _listed(roots):
        found += _datasets_below(root, MAX_DEPTH)
    return list(dict.fromkeys(found))


def split(pairs: Sequence[Pair], count: int = 81, seed: int = 2022) -> tuple[list[Pair], list[Pair]]:
    """Divide pairs into (train, val) by a fixed seed, each in the order given.

    `count` pages go to val (81 of the contest's 1081, seed 001), from fewer than ten times as many a tenth,
    at least one. Tiles of one page, and watermarked copies of one picture, stay together. Raises
    InputError for fewer than two pages.
    """
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        tile = TILE_STEM.fullmatch(pair.stem)
        groups[tile["page"] or tile["picture"] if tile else str(pair.image)].append(pair)
    if len(groups) < 2:
        raise InputError(
            f"{len(groups)} page pair(s) cannot be divided into training and validation; two are needed. "
            "Name a folder with more pairs by --data."
        )
    number = min(count, max(1, len(groups) // 10))
    chosen = set(random.Random(seed).sample(sorted(groups), number))
    val = {id(pair) for name in chosen for pair in groups[name]}
    return [p for p in pairs if id(p) not in val], [p for p in pairs if id(p) in val]


def _listed(roots: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(roots)] if isinstance(roots, str | os.PathLike) else [Path(root) for root in roots]


def _datasets_below(folder: Path, depth: int) -> list[Path]:
    if not folder.is_dir():
        return []
    if _image_folder(folder).is_dir() and (folder / GT_FOLDER).is_dir():
        return [folder]
    if depth == 0:
        return []
    below = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in ELSEWHERE)
    return [found for path in below for found in _datasets_below(path, depth - 1)]


def _image_folder(folder: Path) -> Path:
    """The one of IMAGE_FOLDERS that is there, else the first."""
    return next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), folder / IMAGE_FOLDERS[0])


def _scan(roots: str | Path | Sequence[str | Path], masks: Path | None = None) -> tuple[list[Pair], list[str]]:
    found = {root: datasets(root) for root in _listed(roots)}
    problems = [
        f"{root}: no folder in it holds both images/ (or JPEGImages/) and gts/" for root in found if not found[root]
    ]
    folders = list(dict.fromkeys(folder for below in found.values() for folder in below))
    homes = mask_homes(folders, masks) if masks else {}
    pairs: list[Pair] = []
    for folder in folders:
        new, wrong = dataset_pairs(folder)
        pairs += [_with_mask(pair, homes[folder]) for pair in new] if homes else new
        problems += wrong or ([] if new else [f"{folder}: it holds no pages"])
    return pairs, problems


def _with_mask(pair: Pair, home: Path) -> Pair:
    """The pair with the mask from `home`, if it has none and there is one."""
    path = home / f"{pair.stem}.png"
    return replace(pair, mask=path) if pair.mask is None and path.is_file() else pair


def _pairing_error(problems: Sequence[str]) -> InputError:
    listed = "\n  ".join(problems)
    return InputError(
        f"{len(problems)} problem(s) with the page pairs:\n  {listed}\n"
        "Every page needs one file in images/ and one of the same stem in gts/: add or remove these."
    )


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The image files of a folder by stem, and a line for each stem that two files share."""
    if not folder.is_dir():
        return {}, [f"{folder}: no such folder"]
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            files[path.stem].append(path)
    doubles = [f"{', '.join(map(str, paths))}: one stem" for paths in files.values() if len(paths) > 1]
    return {stem: paths[0] for stem, paths in files.items()}, doubles
