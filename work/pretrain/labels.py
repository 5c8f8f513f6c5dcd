"""Real pages to learn from, labelled by the networks themselves and corrected by eye.

    python work/pretrain/labels.py propose PAGES FOLDER [--only NAME ...]
    python work/pretrain/labels.py settle FOLDER TARGET
    python work/pretrain/labels.py mend LABELS BOXES TARGET --pages PAGES
    python work/pretrain/labels.py judge PAGES [--weights FOLDER]

`propose` writes sheets: the page at one line height, red where the present networks see handwriting, with a grid that
tells places. Whoever looks at them writes FOLDER/NAME.json, boxes [x0, y0, x1, y1] in the grid's pixels, each list
optional: {"ink": [...], "print": [...], "ignore": [...]}, what is handwriting, what is print, and what cannot be told.
`settle` makes of each page that has one a .npy as `pages.py` reads it; what no box speaks of, and the networks doubt,
is not learnt from. Its gt is the page itself: it teaches to find handwriting, not what lies under it. `mend` corrects
labels that are pictures already (255 = handwriting, 128 = unknown, 0 = print and paper) by boxes or polygons
[[x, y], ...] in BOXES/NAME.json, as work/pretrain/corrections/ holds them. `judge` tells what networks make of such
pages that were kept aside.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.eraser import Eraser, turn  # noqa: E402
from dehw.files.find import find_pages  # noqa: E402
from dehw.files.images import read_image, read_mask, write_image  # noqa: E402
from dehw.page import layout, masks, printed  # noqa: E402
from pretrain.corpus import LINE_HEIGHT, save  # noqa: E402

HEIGHTS = (34, 44)  # px; the network sees lines this high, about lite's line_height, and the mean counts
SHEET, OVERLAP, GRID = (1000, 1250), 40, 100  # px: height and width of a sheet, what neighbours share, its grid
NO, YES = 0.2, 0.75  # probabilities: below the first it is no handwriting, above the second it is
INSIDE = 0.7  # share of a component that lies in a box it belongs to; of others only the part within counts
PAPER = 51  # px; window whose median is taken for the paper's grey
FAINT = 12  # grey levels darker than its box that a faint stroke is: not learnt from, where no stroke was seen


def look(page: np.ndarray, eraser: Eraser) -> tuple[np.ndarray, np.ndarray]:
    """A page (H, W, 3) uint8 at LINE_HEIGHT, and the probability of handwriting there, float32 in [0, 1]."""

    def at(height: float) -> Eraser:
        pipeline = replace(eraser.pipeline, line_height=height)
        return Eraser(pipeline, eraser.segmenter, [], eraser.device, reader=eraser.reader)

    prepared = at(LINE_HEIGHT).prepare(page)
    scaled, probs = turn(prepared.scaled, -prepared.turns), []
    for seen in map(at, HEIGHTS):
        prob = turn(seen.segment(seen.prepare(page)), -prepared.turns)
        probs.append(cv2.resize(prob, scaled.shape[1::-1], interpolation=cv2.INTER_AREA))
    return scaled, np.mean(probs, axis=0)


def sheets(page: np.ndarray, prob: np.ndarray) -> Iterator[np.ndarray]:
    """The page in overlapping strips: red where prob is YES, orange where it may be."""
    tinted = page.astype(np.float32)
    for where, colour in ((prob > YES, (255, 0, 0)), ((prob > NO) & (prob <= YES), (255, 150, 0))):
        tinted[where] = 0.45 * tinted[where] + 0.55 * np.array(colour, np.float32)
    shrink = min(1.0, SHEET[1] / page.shape[1])
    tinted = cv2.resize(tinted.astype(np.uint8), None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    tinted = cv2.copyMakeBorder(tinted, 18, 0, 40, 0, cv2.BORDER_CONSTANT, value=(225,) * 3)
    for at in range(0, max(page.shape[:2]), GRID):
        place = round(at * shrink)
        for line in (tinted[place + 18 : place + 19], tinted[:, place + 40 : place + 41]):
            line //= 2
            line += 60
        cv2.putText(tinted, str(at), (2, place + 23), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 120), 1)
    count = -(-tinted.shape[0] // SHEET[0])
    for top in (round(i * tinted.shape[0] / count) for i in range(count)):
        strip = tinted[top : top + tinted.shape[0] // count + OVERLAP].copy()
        for at in range(0, page.shape[1], GRID):
            cv2.putText(strip, str(at), (round(at * shrink) + 32, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 120), 1)
        yield strip


def propose(args: argparse.Namespace) -> None:
    """Write FOLDER/NAME.npy, (H, W, 4) uint8 of RGB and probability, and the sheets of each page that has none yet."""
    args.folder.mkdir(parents=True, exist_ok=True)
    eraser = Eraser.load(parts=("segment",))
    for found in find_pages([args.pages]):
        name = found.path.stem
        if (args.only and name not in args.only) or (args.folder / f"{name}.npy").exists():
            continue
        page, prob = look(read_image(found.path), eraser)
        for number, strip in enumerate(sheets(page, prob), 1):
            write_image(args.folder / f"{name}.{number}.png", strip)
        save(args.folder / f"{name}.npy", np.dstack([page, np.rint(prob * 255).astype(np.uint8)]))
        print(name, page.shape[:2], flush=True)


def rules(dark: np.ndarray) -> np.ndarray:
    """Level and upright rules, (H, W) bool: lines that answers stand on, and hand-drawn bars, which look no other."""
    found = np.zeros(dark.shape, bool)
    least, most = round(printed.LENGTH * LINE_HEIGHT), printed.THICKNESS * LINE_HEIGHT
    for ink, to in ((dark, found), (np.ascontiguousarray(dark.T), found.T)):
        for place, rule in printed.level_rules(ink, least, most):
            to[place] |= rule
    return masks.dilate(found, 3) & (dark > 0)  # to their very ends


def place(box: list) -> tuple[slice, slice]:
    """The rows and columns of a box. Raises ValueError for what is no box."""
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"{box} is no box")
    return slice(max(0, int(y0)), int(y1)), slice(max(0, int(x0)), int(x1))


def covered(boxes: list, shape: tuple[int, ...]) -> np.ndarray:
    """Where boxes lie, (H, W) bool."""
    within = np.zeros(shape, bool)
    for box in boxes:
        within[place(box)] = True
    return within


def label(page: np.ndarray, prob: np.ndarray, boxes: dict[str, list]) -> tuple[np.ndarray, np.ndarray]:
    """Handwriting, and what may be learnt: two (H, W) bool; rules within ink boxes may where the networks are sure.

    page: (H, W, 3) uint8 at LINE_HEIGHT; prob: (H, W) float32 in [0, 1]; boxes: what `propose` asks for, in px.
    Raises ValueError for a box or a list it cannot take.
    """
    if unknown := set(boxes) - {"ink", "print", "ignore"}:
        raise ValueError(f"{sorted(unknown)} is no kind of box; there are ink, print and ignore")
    printing, writing, unclear = (covered(boxes.get(kind, []), prob.shape) for kind in ("print", "ink", "ignore"))
    dark = layout.dark_pixels(page)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)

    def components(within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The dark pixels of what belongs to boxes, and what lies within them of the rest."""
        held = np.bincount(labels[within], minlength=len(facts)) >= INSIDE * facts[:, cv2.CC_STAT_AREA]
        held = held[labels] & (dark > 0)
        return held, within & (dark > 0) & ~held

    ink = (prob > 0.5) & masks.dilate(dark > 0, 3)
    valid = (prob < NO) | (prob > YES)
    held, cut = components(printing)
    near = masks.dilate(cut, 3)
    ink &= ~held & (near | ~printing)
    valid = np.where(printing & near, prob < 0.5, valid | held | printing)
    held, cut = components(writing)
    ruled = rules(dark) & ~(held & (prob > YES))
    held, cut = held & ~ruled, cut & ~ruled
    ink |= held | cut & (prob > 0.5)
    pale = faint(page, boxes.get("ink", [])) & (dark == 0) & ~ink
    valid = np.where(cut, prob > 0.5, valid | held) & ~(ruled & writing) & ~pale
    return ink, valid & ~unclear & ~(masks.dilate(ink, 3) & ~ink)


def faint(page: np.ndarray, boxes: list) -> np.ndarray:
    """What is a little darker than most of the box it lies in, (H, W) bool."""
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    found = np.zeros(grey.shape, bool)
    for box in boxes:
        there = grey[place(box)]
        found[place(box)] |= there < np.median(there) - FAINT
    return found


def outlined(regions: list, shape: tuple[int, ...]) -> np.ndarray:
    """Where boxes [x0, y0, x1, y1] and polygons [[x, y], ...] with their edges lie, (H, W) bool. Raises ValueError."""
    polygons = [np.array(region) for region in regions if np.ndim(region) == 2]
    within = covered([region for region in regions if np.ndim(region) != 2], shape)
    if any(len(polygon) < 3 or polygon.shape[1] != 2 for polygon in polygons):
        raise ValueError("a polygon has three corners [x, y] or more")
    drawn = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, [polygon.astype(np.int32)], 1)
    return within | (drawn > 0)


def mended(label: np.ndarray, page: np.ndarray, boxes: dict[str, list]) -> np.ndarray:
    """A label (H, W) uint8 of 0, 128 and 255, corrected: print, then ink upon it, then what cannot be told (128).

    In ink, what is dark becomes 255; its pale edge and other faint traces become 128, the paper 0.
    page: (H, W, 3) uint8 of the same size. Raises ValueError for a box or a list it cannot take.
    """
    if unknown := set(boxes) - {"ink", "print", "ignore"}:
        raise ValueError(f"{sorted(unknown)} is no kind of box; there are ink, print and ignore")
    printing, writing, unclear = (outlined(boxes.get(kind, []), label.shape) for kind in ("print", "ink", "ignore"))
    dark = layout.dark_pixels(page) > 0
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    pale = grey < cv2.medianBlur(grey, PAPER).astype(int) - FAINT
    ink = dark & writing | (label == 255) & (writing | ~printing)
    result = np.where(printing, 0, label)
    result[writing] = np.where(pale | masks.dilate(ink, 3), 128, 0)[writing]
    result[ink] = 255
    result[unclear] = 128
    return result.astype(np.uint8)


def mend(args: argparse.Namespace) -> None:
    """Write all labels to the target, corrected where there are boxes for them."""
    args.target.mkdir(parents=True, exist_ok=True)
    pages = {found.path.stem: found.path for found in find_pages([args.pages])}
    for source in sorted(args.labels.glob("*.png")):
        label, boxes = np.rint(read_mask(source) * 255).astype(np.uint8), args.boxes / f"{source.stem}.json"
        if boxes.exists():
            page = read_image(pages[source.stem])
            shrinks = page.shape[1] > label.shape[1]
            page = cv2.resize(page, label.shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
            try:
                label = mended(label, page, json.loads(boxes.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                sys.exit(f"{boxes}: {error}; mend it, then run this again")
        write_image(args.target / source.name, label)


def settle(args: argparse.Namespace) -> None:
    """Write TARGET/NAME.npy, (H, W, 8) uint8 as pages.py reads it, of each page that has boxes."""
    args.target.mkdir(parents=True, exist_ok=True)
    reader = Eraser.load(parts=()).reader
    assert reader  # lite brings pages to a line height, so it has one
    for source in sorted(args.folder.glob("*.json")):
        page = np.load(source.with_suffix(".npy"))
        image, prob = np.ascontiguousarray(page[..., :3]), page[..., 3].astype(np.float32) / 255
        try:
            ink, valid = label(image, prob, json.loads(source.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            sys.exit(f"{source}: {error}; mend it, then run this again")
        labelled = np.dstack([image, image, masks.to_file(ink), masks.to_file(valid)])
        # the networks are shown lines that stand upright, see Eraser.prepare
        save(args.target / f"{source.stem}.npy", np.rot90(labelled, layout.measure(image, reader).turns))


def mistakes(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of a settled page (H, W, 8) and a mask (H, W) bool: px of print taken, of print, of ink missed, of ink."""
    ink, valid = page[..., 6] > 127, page[..., 7] > 127
    dark = (layout.dark_pixels(np.ascontiguousarray(page[..., :3])) > 0) & valid
    printing, written = dark & ~ink, dark & ink
    return np.array([np.count_nonzero(part) for part in (printing & mask, printing, written & ~mask, written)])


def judge(args: argparse.Namespace) -> None:
    """Print the shares of print taken and ink missed: of each settled page, of all pixels, of the mean page."""
    eraser = Eraser.load(weights=args.weights, parts=("segment",))
    total, each = np.zeros(4, int), []
    for source in sorted(args.pages.glob("*.npy")):
        page = np.load(source)
        image = np.ascontiguousarray(page[..., :3])
        prepared = eraser.prepare(image)
        counts = mistakes(page, eraser.mask(eraser.segment(prepared), prepared))
        total += counts
        each.append(shares(counts))
        print(told(source.stem, each[-1]), flush=True)
    if not each:
        sys.exit(f"{args.pages}: no .npy pages; name a folder that `settle` filled")
    print(told("all pixels", shares(total)))
    print(told("mean page", np.mean(each, axis=0)))


def shares(counts: np.ndarray) -> np.ndarray:
    """Of the counts of mistakes(): the share of print taken and that of ink missed, in [0, 1]."""
    return counts[::2] / np.maximum(counts[1::2], 1)


def told(name: str, both: np.ndarray) -> str:
    return f"{name:12} print taken {both[0]:.4f}  ink missed {both[1]:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("propose")
    first.add_argument("pages", type=Path, help="folder of real pages")
    first.add_argument("folder", type=Path, help="where the sheets go")
    first.add_argument("--only", nargs="+", help="names, without their suffix; default: all")
    first.set_defaults(run=propose)
    second = steps.add_parser("settle")
    second.add_argument("folder", type=Path, help="folder of `propose`, with boxes beside the pages")
    second.add_argument("target", type=Path, help="folder of .npy pages to train with")
    second.set_defaults(run=settle)
    mender = steps.add_parser("mend")
    mender.add_argument("labels", type=Path, help="folder of labels, .png")
    mender.add_argument("boxes", type=Path, help="folder of .json, such as work/pretrain/corrections/pages")
    mender.add_argument("target", type=Path, help="folder of all the labels, corrected")
    mender.add_argument("--pages", type=Path, required=True, help="folder of the pages that the labels are of")
    mender.set_defaults(run=mend)
    third = steps.add_parser("judge")
    third.add_argument("pages", type=Path, help="folder of `settle`")
    third.add_argument("--weights", type=Path, help="folder of weights to judge; default: those that ship")
    third.set_defaults(run=judge)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
