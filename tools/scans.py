"""How well photos of sheets become pages: `dehw erase --scan` on made-up photos whose truth is known.

python -m tools.scans --count 40
python -m tools.scans --count 4 --megapixels 12 --pictures DIR

A photo shows a made-up sheet on a dark, light or patterned desk, turned by up to 15 degrees, seen from up to 20 degrees
off its upright, curled so that up to 3 % of its width are moved, with shadows, casts, blur, noise and compression. It
depends on its number alone. The sheet is printed: needed are fonts, see `dehw synth`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dehw.commands.main import guarded
from dehw.data.synth.camera import things
from dehw.data.synth.camera.photo import compressed, light, to_bytes
from dehw.data.synth.camera.pose import FINE, Pose, posed
from dehw.data.synth.mix import AddedMix, PageMix, PrintedMix
from dehw.data.synth.printed.sides import finished, printed_page
from dehw.data.synth.sources import Sources, find_sources
from dehw.eraser import Eraser
from dehw.errors import ExitCode
from dehw.files.images import write_image
from dehw.page.layout import LEADING, Reader
from dehw.page.scan.straighten import Straightened, straighten
from dehw.page.scan.whiten import finish

PRINT = 32  # px of the sheet, height of its characters
SMALLEST = 1000  # px; sheets are no smaller
TURN, LEAN, CURL = 15.0, 20.0, 0.03  # degrees, degrees, widths of the sheet, at the most
DESKS = ("dark", "light", "pattern")
MIX = PageMix(
    printed=PrintedMix(exam=3, quiz=1, form=1, reading=1, answer_sheet=1),
    added=AddedMix(headline=0.2, rules=0.2, stamp=0.3, seal=0.3),
)
INNER = 0.02  # of the page; lines are judged within this distance of its edges
PAPER, INK = 250, 200  # grey levels of the sheet's paper, at the least, and of what counts as print, at the most
CLEAR = 9  # px of the page about print that do not count as paper


class Photo(NamedTuple):
    """image: (H, W, 3) uint8 RGB. page: (h, w, 3) uint8, the sheet. pose: where it lies. desk: one of DESKS."""

    image: np.ndarray
    page: np.ndarray
    pose: Pose
    desk: str


class Score(NamedTuple):
    """corner: how far the worst corner is off, by the mean side. lines: how far any place of the page is off its line,
    at the most, in line heights. paper: share of the paper above 245. ink: the print's darkness by that of the sheet's.
    """

    corner: float
    lines: float
    paper: float
    ink: float


def photograph(number: int, sources: Sources, megapixels: float = 3) -> Photo:
    """The photo of a number, 3 by 4 or 4 by 3."""
    rng = np.random.default_rng([number, 24])
    return shot(rng, sheet(rng, sources), DESKS[number % len(DESKS)], megapixels)


def shot(rng: np.random.Generator, page: np.ndarray, name: str, megapixels: float) -> Photo:
    """A photo of a page, (H, W, 3) uint8, on a desk, one of DESKS."""
    short = round((megapixels * 750_000) ** 0.5)
    long, ratio = round(short / 0.75), page.shape[0] / page.shape[1]
    size = (long, short) if ratio > 1 else (short, long)
    turn, lean = rng.uniform(-1, 1, 2) * (TURN, LEAN)
    pose = posed(rng, size, ratio, turn, lean, rng.uniform(0, CURL))
    return Photo(taken(rng, page, pose, desk(rng, name, *size)), page, pose, name)


def sheet(rng: np.random.Generator, sources: Sources) -> np.ndarray:
    """A printed sheet, (H, W, 3) uint8."""
    while True:
        page = finished(rng, printed_page(rng, PRINT, sources, MIX.printed), PRINT, sources, MIX).page
        if min(page.shape[:2]) >= SMALLEST:
            return page


def desk(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """What the sheet lies on, (height, width, 3) float32."""
    if name == "pattern":
        made = [things.wood, things.cloth, things.keyboard][rng.choice(3)]
        return made(rng, height, width).clip(0, 1).astype(np.float32)
    level = rng.uniform(0.03, 0.35) if name == "dark" else rng.uniform(0.7, 0.88)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.5)
    return ((level + rng.normal(0, 0.02, 3)) * (1 + 0.03 * grain)[..., None]).clip(0, 1).astype(np.float32)


def taken(rng: np.random.Generator, page: np.ndarray, pose: Pose, ground: np.ndarray) -> np.ndarray:
    """A photo of a sheet on its ground: its shadow, light over both, blur, noise and compression."""
    height, width = ground.shape[:2]
    where = pixels(pose.maps(height, width), page.shape)
    shown = cv2.remap(page, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) / np.float32(255)
    on = cv2.remap(np.ones(page.shape[:2], np.float32), where, None, cv2.INTER_LINEAR)
    away = np.array([[1, 0, 0], [0, 1, 0]]) + np.outer(rng.normal(0, 0.004, 2) * width, [0, 0, 1])
    shadow = cv2.GaussianBlur(cv2.warpAffine(on, away, (width, height)), (0, 0), width * rng.uniform(0.001, 0.005))
    yellow, fade = rng.uniform(0, 0.04), rng.uniform(0, 0.2)
    paper = rng.uniform(0.9, 0.97) * (1 - yellow * np.array([0, 0.3, 1]))
    shown = shown * np.float32(paper * (1 - fade)) + np.float32(0.9 * fade)
    dark = 1 - np.float32(rng.uniform(0.1, 0.4)) * shadow
    image = shown * on[..., None] + ground * (dark * (1 - on))[..., None]
    image = cv2.GaussianBlur(image * light(rng, height, width, rng.uniform(0.3, 1)), (0, 0), rng.uniform(0.5, 1.1))
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 0.6)
    image += grain[..., None] * np.float32(rng.uniform(0.003, 0.03))
    return compressed(to_bytes(image), int(rng.integers(70, 96)))


def pixels(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Points of a sheet, in widths from its middle, in px of a picture of this shape."""
    return ((points + 0.5 * np.array([1, shape[0] / shape[1]])) * shape[1] - 0.5).astype(np.float32)


def judge(photo: Photo, found: Straightened, result: np.ndarray) -> Score:
    """Compare what was found in a photo, and the page that was made of it, with the truth."""
    outline = found.outline
    true = photo.pose.corners
    corners = outline.corners if outline else np.full((4, 2), np.inf)
    side = np.linalg.norm(true - np.roll(true, 1, axis=0), axis=1).mean()
    height, width = found.warp.size
    y, x = np.mgrid[INNER : 1 - INNER : 60j, INNER : 1 - INNER : 60j] * np.array([height, width])[:, None, None]
    rows = photo.pose.shown(found.warp.place(np.stack([x, y], 2)))[..., 1]
    off = np.abs(rows - np.median(rows, axis=1, keepdims=True)).max()
    true_page = true_look(photo, found)
    grey, ink = result.min(2), true_page.min(2) < INK
    paper = cv2.erode((true_page.min(2) >= PAPER).astype(np.uint8), np.ones((CLEAR, CLEAR)), borderValue=0) > 0
    near = cv2.dilate(ink.astype(np.uint8), np.ones((5, 5))) > 0
    darkness = [(255.0 - page[near]).sum() for page in (result, true_page)]
    line = LEADING * PRINT / photo.page.shape[1]
    return Score(
        float(np.linalg.norm(corners - true, axis=1).max() / side),
        float(off / line),
        float((grey[paper] > 245).mean()),
        float(darkness[0] / darkness[1]),
    )


def true_look(photo: Photo, found: Straightened) -> np.ndarray:
    """The sheet itself, (H, W, 3) uint8, laid as the page that was found."""
    height, width = found.warp.size
    y, x = np.mgrid[0 : height + FINE : FINE, 0 : width + FINE : FINE]
    nodes = pixels(photo.pose.shown(found.warp.place(np.stack([x, y], 2).astype(float))), photo.page.shape)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    where = cv2.warpAffine(nodes, np.array([[1 / FINE, 0, 0], [0, 1 / FINE, 0]]), (width, height), flags=flags)
    return cv2.remap(photo.page, where, None, cv2.INTER_AREA, borderValue=(255, 255, 255))


def scores(numbers: Sequence[int], reader: Reader | None, megapixels: float, pictures: Path | None) -> list[Score]:
    """Judge the photos of these numbers; prints a line for each."""
    sources = find_sources([], [], None)
    found = []
    for number in numbers:
        photo = photograph(number, sources, megapixels)
        start = time.perf_counter()
        page = straighten(photo.image, reader)
        result = page.page.copy()
        finish(result)
        seconds = time.perf_counter() - start
        score = judge(photo, page, result)
        found.append(score)
        print(
            f"{number:4} {photo.desk:8} corner {100 * score.corner:6.2f} %  lines {score.lines:5.2f}  "
            f"paper {100 * score.paper:5.1f} %  ink {score.ink:4.2f}  {seconds:.2f} s",
            flush=True,
        )
        if pictures:
            write_image(pictures / f"{number:03}.photo.jpg", photo.image)
            write_image(pictures / f"{number:03}.page.png", result)
    return found


def table(desks: Sequence[str], found: Sequence[Score]) -> str:
    """The figures of each kind of desk, as Markdown."""
    rows = [
        "| desk | photos | corner, median | corner, worst | within 1 % | lines, worst | paper > 245 | ink |",
        "|" + "---|" * 8,
    ]
    for name in (*DESKS, "all"):
        part = [score for each, score in zip(desks, found) if name in (each, "all")]
        if not part:
            continue
        corner, lines, paper, ink = np.array(part).T
        worst = f"{100 * corner.max():.2f} %" if np.isfinite(corner.max()) else "not found"
        rows.append(
            f"| {name} | {len(part)} | {100 * np.median(corner):.2f} % | {worst} | {(corner < 0.01).sum()} | "
            f"{lines[np.isfinite(corner)].max():.2f} | {100 * paper.mean():.1f} % | {ink.mean():.2f} |"
        )
    return "\n".join(rows)


def run(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.scans", description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=40, help="how many photos; default: 40")
    parser.add_argument("--start", type=int, default=0, help="number of the first one; default: 0")
    parser.add_argument("--megapixels", type=float, default=3, help="of each photo; default: 3")
    parser.add_argument("--pictures", type=Path, help="write each photo and its page there")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # of fonts that are not installed
    numbers = range(args.start, args.start + args.count)
    found = scores(numbers, Eraser.load(parts=()).reader, args.megapixels, args.pictures)
    print(table([DESKS[number % len(DESKS)] for number in numbers], found))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
