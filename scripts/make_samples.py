"""Makes data/sample: exam pages of our own, written on in handwriting fonts, then scanned or photographed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dehw.data.materials import load_families
from dehw.data.synth import camera
from samples import chinese, english
from samples.exam import Exam


@dataclass(frozen=True)
class Look:
    """How a page comes into the computer.

    tilt: degrees a scanned sheet lies askew. photo: strength of shadows on a photographed sheet, 0 = a scan.
    paper: RGB of blank paper, 1 = white. fade: grey of the blackest ink, 0..1. blur: px. noise: grey levels.
    levels: grey, 0..1, that a scanning app turns to black and to white. seed: of all left to chance here.
    """

    tilt: float = 0.0
    photo: float = 0.0
    paper: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fade: float = 0.04
    blur: float = 0.5
    noise: float = 0.0
    levels: tuple[float, float] = (0.0, 1.0)
    seed: int = 0


PAGES = [
    (chinese.mathematics, Look(tilt=0.35, paper=(0.985, 0.98, 0.955), noise=0.2)),
    (english.english, Look(tilt=-0.25, paper=(0.97, 0.975, 0.98), fade=0.07)),
    (chinese.physics, Look(tilt=0.5, paper=(0.97, 0.96, 0.93), fade=0.08, blur=0.6, noise=0.2)),
    (chinese.arithmetic, Look(tilt=-0.4, paper=(0.99, 0.99, 0.98), fade=0.05)),
    (english.science, Look(tilt=0.2, blur=0.4, fade=0.1)),
    (chinese.programming, Look(tilt=-0.15, paper=(0.955, 0.955, 0.95), noise=0.2)),
    (chinese.language, Look(photo=0.6, paper=(1.0, 0.95, 0.85), fade=0.12, blur=0.65, noise=0.3, seed=2)),
    (english.calculus, Look(photo=0.3, fade=0.08, blur=0.6, levels=(0.14, 0.78), seed=12)),
]


def shoot(look: Look, pages: list[np.ndarray]) -> list[np.ndarray]:
    """Bring all pages (H, W, 3) uint8 into the computer by one and the same camera."""
    rng = np.random.default_rng(look.seed)
    height, width = pages[0].shape[:2]
    if look.photo:
        pages = camera.bend(rng, pages, [255.0] * len(pages))
        shade = camera.light(rng, height, width, look.photo)[..., :1]
    else:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), look.tilt, 1)
        pages = [cv2.warpAffine(p, turn, (width, height), flags=cv2.INTER_CUBIC, borderValue=(255,) * 3) for p in pages]
        shade = np.ones((height, width, 1), np.float32)
    noise = rng.normal(0, look.noise / 255, (height, width, 1)).astype(np.float32)
    return [develop(look, page, shade, noise) for page in pages]


def develop(look: Look, page: np.ndarray, shade: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Light, blur, noise and levels of one page: (H, W, 3) uint8."""
    values = page.astype(np.float32) / 255 * (1 - look.fade) + look.fade
    values = cv2.GaussianBlur(values * shade, (0, 0), look.blur) + noise
    low, high = look.levels
    values = ((values - low) / (high - low)).clip(0, 1)
    # rounded before the paper's colour comes in: a page printed in black then has few colours, see save
    return (np.round(values * 255) * np.float32(look.paper)).round().astype(np.uint8)


def save(folder: Path, name: str, image: np.ndarray, gt: np.ndarray) -> None:
    """Write one pair in the contest's layout: images/NAME.jpg and gts/NAME.png."""
    for kind in ("images", "gts"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / "images" / f"{name}.jpg", quality=90, subsampling=0, optimize=True)
    picture = Image.fromarray(gt)
    if picture.getcolors(256):  # lossless with a palette, at a third of the size
        picture = picture.quantize(256, dither=Image.Dither.NONE)
        assert np.array_equal(np.array(picture.convert("RGB")), gt)
    picture.save(folder / "gts" / f"{name}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--handwriting",
        type=Path,
        required=True,
        help="folder of handwriting fonts (see data/sample/README.md)",
    )
    parser.add_argument("--print-fonts", type=Path, default=Path("/usr/share/fonts"), help="folder of printing fonts")
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("-o", "--output", type=Path, default=Path("data/sample"))
    args = parser.parse_args()
    families = {family.name: family for family in load_families(args.handwriting)}
    for number, (compose, look) in enumerate(PAGES, 1):
        exam = Exam(np.random.default_rng([args.seed, number]), args.print_fonts, families)
        compose(exam)
        image, gt = shoot(look, list(exam.finish()))
        save(args.output, f"dehw_sample_{number:02d}", image, gt)
        print(f"dehw_sample_{number:02d}: {compose.__name__}, {gt.shape[1]} x {gt.shape[0]}")


if __name__ == "__main__":
    main()
