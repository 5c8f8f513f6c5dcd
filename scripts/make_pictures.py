"""Makes docs/before-after.jpg: crops of the sample pages, before and after, erased by the weights that ship."""

from __future__ import annotations

import argparse
from pathlib import Path

from dehw import report
from dehw.eraser import Eraser
from dehw.pages import read_image, write_image

SAMPLES = Path("data/sample/images")
PARTS = {  # page and the rows of it to show, as shares of its height
    "dehw_sample_06": (0.03, 0.42),
    "dehw_sample_08": (0.04, 0.47),
}
WIDTH = 1400  # px of the whole picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of weights, in place of the ones that ship")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/before-after.jpg"))
    args = parser.parse_args()
    eraser = Eraser.load("lite", weights=args.weights)
    pictures = []
    for name, (top, bottom) in PARTS.items():
        page = read_image(SAMPLES / f"{name}.jpg")
        rows = slice(round(top * len(page)), round(bottom * len(page)))
        pictures.append(report.side_by_side(page[rows], eraser(page).page[rows]))
    write_image(args.output, report.contact_sheet(pictures, width=WIDTH), jpeg_quality=85)


if __name__ == "__main__":
    main()
