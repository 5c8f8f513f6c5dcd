"""Handwriting masks from page pairs: how far each pixel of a page is from its ground truth.

    python compute_mask.py data/dehw_train_dataset                    -> masks/*.png beside images/ and gts/
    python compute_mask.py data/dehw_train_dataset --clean-gt 10      -> gts_clean/*.png too
    python compute_mask.py --images A --gts B -o C --hard 25 --dilate 3
    python compute_mask.py --figure data/dehw_train_dataset/images/dehw_train_00006.jpg
                                                                     -> what thresholds of 1 to 25 take for handwriting

Without --hard the mask is soft, min(difference / 20, 1). All pairs are checked before anything is written.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "work"))  # runs from a bare clone too

from dehw.commands.main import guarded  # noqa: E402
from dehw.data import mask_files  # noqa: E402
from dehw.data.figures import threshold_panel  # noqa: E402
from dehw.data.mask_files import MaskTask  # noqa: E402
from dehw.data.pairs import GT_FOLDER, IMAGE_FOLDERS, MASK_FOLDER, datasets, left_out, match  # noqa: E402
from dehw.errors import ExitCode, InputError, tell  # noqa: E402
from dehw.files.images import read_image, write_image  # noqa: E402  (found through the line above)

CLEAN_FOLDER = "gts_clean"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the masks of all pairs and return the exit code (dehw.errors.ExitCode)."""
    parser = _parser()
    args = parser.parse_args(argv)
    if mistake := _mistake(args):
        parser.error(mistake)
    return guarded(lambda: figure(args) if args.figure else compute(args))


def figure(args: argparse.Namespace) -> int:
    """Write one picture of a page, its ground truth, and what each threshold takes for handwriting."""
    images = args.figure.parent
    pairs, _ = match(images, args.gts or images.parent / GT_FOLDER)
    pair = next((pair for pair in pairs if pair.image.name == args.figure.name), None)
    if pair is None:
        raise InputError(
            f"{args.figure}: no such page, or no ground truth of its stem in {args.gts or images.parent / GT_FOLDER}; "
            "name the folder by --gts."
        )
    if problem := mask_files.problem(MaskTask(pair.image, pair.gt, Path())):
        raise InputError(f"{problem}\nReplace one of the two.")
    target = args.output or Path(f"{pair.stem}_thresholds.png")
    if target.resolve() in (pair.image.resolve(), pair.gt.resolve()):
        raise InputError(f"{target} is an input; choose another file with -o.")
    write_image(target, threshold_panel(read_image(pair.image), read_image(pair.gt)))
    print(f"figure in {target}")
    return ExitCode.OK


def compute(args: argparse.Namespace) -> int:
    """Check every pair, then write every mask.

    Raises InputError that lists everything wrong with the input; nothing is written then. A page that cannot
    be written is named, the others are done.
    """
    tasks, problems = _plan(args)
    mask_files.check(tasks, problems, args.workers)
    if not tasks:
        raise InputError("no page pairs found; name a folder that holds images/ and gts/.")
    written = mask_files.write(tasks, args.hard, args.dilate, args.clean_gt, args.workers)
    failures = [failure for failure in written if failure]
    for failure in failures:
        tell(failure)
    print(f"{len(tasks) - len(failures)} masks in {', '.join(sorted({str(task.mask.parent) for task in tasks}))}")
    return ExitCode.FAILED if failures else ExitCode.OK


def _plan(args: argparse.Namespace) -> tuple[list[MaskTask], list[str]]:
    """Pair the files and name the outputs: the tasks, and what is wrong, one line each."""
    tasks, problems = [], []
    for images, gts, home in _folders(args):
        output = args.output or home / MASK_FOLDER
        clean = (args.clean_output or home / CLEAN_FOLDER) if args.clean_gt is not None else None
        pairs, wrong = match(images, gts)
        problems += wrong
        for pair in pairs:
            name = f"{pair.stem}.png"
            tasks.append(MaskTask(pair.image, pair.gt, output / name, clean / name if clean else None))
    return tasks, problems + _clashes(tasks)


def _folders(args: argparse.Namespace) -> list[tuple[Path, Path, Path]]:
    """List the folders to pair: images, ground truths, and the dataset that outputs go to by default."""
    if args.images:
        return [(args.images, args.gts, args.images.parent)]
    found = datasets(args.data)
    if not found:
        raise InputError(f"{args.data}: no folder in it holds both images/ (or JPEGImages/) and gts/.")
    for folder in left_out(args.data):
        tell(f"{folder} is left out: it holds no {GT_FOLDER}/")
    inner = [next(home / name for name in IMAGE_FOLDERS if (home / name).is_dir()) for home in found]
    return [(images, home / GT_FOLDER, home) for images, home in zip(inner, found, strict=True)]


def _clashes(tasks: Iterable[MaskTask]) -> list[str]:
    """Outputs that would take the place of an input or of another output, one line each."""
    inputs, writers = set(), defaultdict(list)
    for task in tasks:
        inputs.update({task.image.resolve(), task.gt.resolve()})
        for target in filter(None, (task.mask, task.clean)):
            writers[target.resolve()].append(task.image)
    replaced = sorted(inputs & writers.keys())
    overwritten = [f"{target}: an input, and an output would take its place" for target in replaced]
    doubles = [
        f"{target}: {', '.join(map(str, images))} would all be written here"
        for target, images in writers.items()
        if len(images) > 1
    ]
    return overwritten + doubles


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add(
        "data",
        nargs="?",
        type=Path,
        help="folder with images/ (or JPEGImages/) and gts/, or one that holds such",
    )
    add("--images", type=Path, help="folder of pages, instead of DATA")
    add("--gts", type=Path, help="folder of their ground truths")
    add("-o", "--output", type=Path, help="folder for the masks (default: masks/ beside images/), or --figure's PNG")
    add("--hard", type=float, metavar="T", help="0/255 mask of pixels that differ by more than T grey levels")
    add("--dilate", type=int, default=0, metavar="K", help="grow the mask by a KxK rectangle")
    add(
        "--clean-gt",
        type=float,
        metavar="T",
        help="also write ground truths that are identical to the page where the two differ by T or less",
    )
    add("--clean-output", type=Path, metavar="DIR", help=f"folder for these (default: {CLEAN_FOLDER}/)")
    add(
        "--figure",
        type=Path,
        metavar="PAGE",
        help="write no masks, but one PNG of this page, its ground truth and thresholds 1, 5, 10, 15 and 25",
    )
    add(
        "--workers",
        type=int,
        default=mask_files.workers(),
        help="pages at a time (default: %(default)s)",
    )
    return parser


def _mistake(args: argparse.Namespace) -> str | None:
    """Say what is wrong with the arguments' combination or values."""
    if args.figure:
        return "--figure needs nothing but --gts and -o" if args.data or args.images else None
    if bool(args.images) != bool(args.gts) or bool(args.images) == bool(args.data):
        return "name either DATA, or --images and --gts"
    if args.clean_output and args.clean_gt is None:
        return "--clean-output needs --clean-gt T"
    if args.workers < 1 or args.dilate < 0:
        return "--workers must be 1 or more, --dilate 0 or more"
    if any(level is not None and not 0 <= level < 255 for level in (args.hard, args.clean_gt)):
        return "--hard and --clean-gt are grey levels from 0 to 254"
    return None


if __name__ == "__main__":
    sys.exit(main())
