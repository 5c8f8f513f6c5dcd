"""Page pairs in the contest's layout. See zips.py for the contest's zips.

A dataset is a folder that holds images/ (or JPEGImages/) and gts/, paired by stem, and perhaps Annotations/ or masks/:

    data/dehw_train_dataset/images/dehw_train_00000.jpg
    data/dehw_train_dataset/gts/dehw_train_00000.png
    data/dehw_train_dataset/Annotations/dehw_train_00000.png     PaddleSeg's labels, 1 = handwriting
    data/dehw_train_dataset/masks/dehw_train_00000.png           255 = handwriting, from compute_mask.py

Annotations/ go before masks/. A segmenter that has them needs no gts/.
"""

import os
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dehw.errors import InputError, PageError
from dehw.files.images import IMAGE_SUFFIXES, image_size

IMAGE_FOLDERS = ("images", "JPEGImages")
GT_FOLDER = "gts"
MASK_FOLDER = "masks"
LABEL_FOLDER = "Annotations"
ELSEWHERE = {"sample", "watermark"}  # hold pairs that no training on handwriting takes unless they are named
# The contest's pages to erase, which have no ground truths; B, the later one, first.
TEST_SETS = ("dehw_testB_dataset", "dehw_testB", "dehw_testA_dataset", "dehw_testA")
MAX_DEPTH = 3  # folders between what the user names and images/

# What shares one ground truth: seed 000's zips hold tiles cut from pages, PAGE_ROW_COLUMN; the watermark contest's hold
# several watermarked copies of one picture, PICTURE_NUMBER.
TILE_STEM = re.compile(r"(?P<page>dehw_train_\d+)_\d+_\d+|(?P<picture>bg_image_\d+)_\d+")


@dataclass(frozen=True)
class Pair:
    """A page with handwriting, the same page without, and its handwriting mask or its label if there is one.

    gt is the page itself in a dataset without gts/, from which only a segmenter learns. factor: what they are resized
    by where they are decoded, see Layout.factor.
    """

    stem: str
    image: Path
    gt: Path
    mask: Path | None = None
    factor: float = 1.0
    label: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Those that are there, each once."""
        return list(dict.fromkeys(filter(None, (self.image, self.gt, self.mask, self.label))))


def find_pairs(
    roots: str | Path | Sequence[str | Path], masks: str | Path | None = None, labelled: bool = False
) -> list[Pair]:
    """List the pairs of every dataset at or below the folders `roots`, in order of path.

    masks: where to look for masks that a dataset does not bring itself, see mask_homes. labelled: see datasets. Raises
    InputError that lists all problems: no dataset, files without partner, two files of one stem.
    """
    pairs, problems = _scan(roots, Path(masks) if masks else None, labelled)
    if problems:
        raise _pairing_error(problems)
    return pairs


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
    """The pairs of one dataset with the masks and labels that it brings, and what is wrong, one line each."""
    images, gts, labels = _image_folder(folder), folder / GT_FOLDER, folder / LABEL_FOLDER
    bare = not gts.is_dir()
    pairs, problems = match(images, images if bare else gts, folder / MASK_FOLDER)
    label_files, label_problems = _by_stem(labels) if labels.is_dir() else ({}, [])
    if bare:
        problems += [f"{pair.image}: no {pair.stem}.* in {labels}" for pair in pairs if pair.stem not in label_files]
    return [replace(pair, label=label_files.get(pair.stem)) for pair in pairs], problems + label_problems


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
        for path in pair.files:
            try:
                sizes[path] = image_size(path)
            except PageError as error:
                problems.append(str(error))
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{path} {width}x{height}" for path, (height, width) in sizes.items())
            problems.append(f"unequal sizes (width x height): {listed}")
    return problems


def datasets(roots: str | Path | Sequence[str | Path], labelled: bool = False) -> list[Path]:
    """The folders at or below `roots` that hold both images/ (or JPEGImages/) and gts/.

    labelled: whether Annotations/ do in place of gts/, as for a segmenter. The project's own samples and the
    watermarked pages are passed over unless they are named.
    """
    return _found_below(roots, lambda folder: _is_dataset(folder, labelled))


def left_out(roots: str | Path | Sequence[str | Path], labelled: bool = False) -> list[Path]:
    """The folders at or below `roots` that hold pages, but not what makes a dataset of them, see datasets.

    The contest's test sets are none.
    """
    found = _found_below(roots, lambda folder: _image_folder(folder).is_dir() and not _is_dataset(folder, labelled))
    return [folder for folder in found if folder.name not in TEST_SETS]


def split(pairs: Sequence[Pair], count: int = 81, seed: int = 2022) -> tuple[list[Pair], list[Pair]]:
    """Divide pairs into (train, val) by a fixed seed, each in the order given.

    `count` pages go to val (81 of the contest's 1081, seed 001), from fewer than ten times as many a tenth,
    at least one; none where `count` is 0. Tiles of one page, and watermarked copies of one picture, stay together.
    Raises InputError where fewer than two pages are to be divided.
    """
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        tile = TILE_STEM.fullmatch(pair.stem)
        groups[tile["page"] or tile["picture"] if tile else str(pair.image)].append(pair)
    if count and len(groups) < 2:
        raise InputError(
            f"pairs of {len(groups)} page(s) cannot be divided into training and validation, which takes two. "
            "Name a folder with more pairs."
        )
    number = min(count, max(1, len(groups) // 10))
    chosen = set(random.Random(seed).sample(sorted(groups), number))
    val = {id(pair) for name in chosen for pair in groups[name]}
    return [p for p in pairs if id(p) not in val], [p for p in pairs if id(p) in val]


def _listed(roots: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(roots)] if isinstance(roots, str | os.PathLike) else [Path(root) for root in roots]


def _found_below(roots: str | Path | Sequence[str | Path], wanted: Callable[[Path], bool]) -> list[Path]:
    """The folders at or below `roots` that are wanted; none is looked for inside of one."""

    def below(folder: Path, depth: int) -> list[Path]:
        if not folder.is_dir():
            return []
        if wanted(folder):
            return [folder]
        if depth == 0:
            return []
        inner = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in ELSEWHERE)
        return [found for path in inner for found in below(path, depth - 1)]

    return list(dict.fromkeys(found for root in _listed(roots) for found in below(root, MAX_DEPTH)))


def _is_dataset(folder: Path, labelled: bool) -> bool:
    truths = (GT_FOLDER, LABEL_FOLDER) if labelled else (GT_FOLDER,)
    return _image_folder(folder).is_dir() and any((folder / name).is_dir() for name in truths)


def _image_folder(folder: Path) -> Path:
    """The one of IMAGE_FOLDERS that is there, else the first."""
    return next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), folder / IMAGE_FOLDERS[0])


def _scan(
    roots: str | Path | Sequence[str | Path], masks: Path | None = None, labelled: bool = False
) -> tuple[list[Pair], list[str]]:
    found = {root: datasets(root, labelled) for root in _listed(roots)}
    truth = f"{GT_FOLDER}/ or {LABEL_FOLDER}/" if labelled else f"{GT_FOLDER}/"
    problems = [
        f"{root}: no folder in it holds both images/ (or JPEGImages/) and {truth}" for root in found if not found[root]
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
    """The pair with the mask from `home`, if it has neither mask nor label and there is one."""
    path = home / f"{pair.stem}.png"
    return replace(pair, mask=path) if not (pair.mask or pair.label) and path.is_file() else pair


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
