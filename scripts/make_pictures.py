"""Makes docs/before-after.jpg and docs/failures.jpg: parts of the sample pages, erased by the weights that ship."""

from __future__ import annotations

import argparse
from pathlib import Path

from dehw.eraser import Eraser
from dehw.files import panels
from dehw.files.images import read_image, write_image

SAMPLES = Path("data/sample/images")
PICTURES = {  # of each, the pages and the rows of them to show, as shares of their height
    "before-after.jpg": {"dehw_sample_06": (0.03, 0.42), "dehw_sample_08": (0.04, 0.47)},
    "failures.jpg": {"dehw_sample_05": (0.28, 0.66), "dehw_sample_07": (0.17, 0.4)},
}
WIDTH = 1400  # px of the whole picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of weights, in place of the ones that ship")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder; default: %(default)s")
    args = parser.parse_args()
    eraser = Eraser.load("lite", weights=args.weights)
    for picture, parts in PICTURES.items():
        rows = []
        for name, (top, bottom) in parts.items():
            page = read_image(SAMPLES / f"{name}.jpg")
            shown = slice(round(top * len(page)), round(bottom * len(page)))
            rows.append(panels.side_by_side(page[shown], eraser(page).page[shown]))
        write_image(args.output / picture, panels.contact_sheet(rows, width=WIDTH), jpeg_quality=85)


if __name__ == "__main__":
    main()
