"""How seconds and memory grow with a page's area and with the inked share of its tiles: `dehw bench --scale`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.commands.bench.measure import INKED, Bench, Measured, mosaic
from dehw.engine.machine import forget_peak, peak_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

AREAS = (1, 2, 3, 6, 12, 24, 40, 60)  # megapixels
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a page's tiles
SHARES_AREA = 6  # megapixels of the pages whose inked share is varied
ASPECT = 4 / 3  # height to width


@dataclass(frozen=True)
class Line:
    """A straight line fitted by least squares, and how far the points lie from it: at most, and of their greatest."""

    start: float
    slope: float
    deviation: float
    relative: float

    @classmethod
    def fit(cls, xs: Sequence[float], ys: Sequence[float]) -> Line:
        """Two points at least."""
        import numpy as np

        slope, start = np.polyfit(xs, ys, 1)
        deviation = float(np.abs(np.polyval([slope, start], xs) - ys).max())
        return cls(float(start), float(slope), deviation, deviation / max(ys) if any(ys) else 0.0)


def measure(bench: Bench, sample: Path, folder: Path, chart: Path, largest: float) -> dict[str, Any]:
    """Measure pages put together from a sample, print the fitted lines, and draw the chart.

    largest: in megapixels. Returns the points and the lines. Raises PageError.
    """
    areas = sorted({*(area for area in AREAS if area < largest), largest})
    by_area, memory = [], []
    for area in areas:
        bench.inked = INKED
        by_area.append(_page(bench, sample, folder, area))
        memory.append(peak_memory())
        _tell(f"{by_area[-1].megapixels:5.1f} megapixels", by_area[-1], memory[-1])
    by_share = []
    for share in SHARES:
        bench.inked = share
        by_share.append(_page(bench, sample, folder, min(SHARES_AREA, largest)))
        _tell(f"{share:5.0%} of the tiles inked", by_share[-1], peak_memory())
    facts = {
        "by_area": [asdict(page) | {"memory": held} for page, held in zip(by_area, memory)],
        "by_share": [asdict(page) | {"inked": share} for page, share in zip(by_share, SHARES)],
    }
    pixels = [page.megapixels for page in by_area]
    lines = {
        "seconds": Line.fit(pixels, [_seconds(page) for page in by_area]),
        "memory": Line.fit(pixels, [held / 1e6 for held in memory]),
        "inked": Line.fit(SHARES, [_seconds(page) for page in by_share]),
    }
    print(report(lines, by_share[0].megapixels))
    draw(facts, lines, chart)
    return facts | {"lines": {name: asdict(line) for name, line in lines.items()}}


def report(lines: dict[str, Line], area: float) -> str:
    """The fitted lines in words. area: of the pages whose share varies, megapixels."""
    seconds, memory, inked = (lines[name] for name in ("seconds", "memory", "inked"))

    def off(line: Line, unit: str) -> str:
        return f"; at most {line.deviation:.2f} {unit} from it, {line.relative:.1%} of the greatest"

    return "\n".join(
        [
            "",
            f"seconds = {seconds.start:.2f} + {seconds.slope:.3f} a megapixel, {INKED:.0%} of the tiles inked"
            f"{off(seconds, 's')}",
            f"memory  = {memory.start:.0f} MB + {memory.slope:.1f} bytes a pixel{off(memory, 'MB')}",
            f"seconds = {inked.start:.2f} + {inked.slope:.3f} times the inked share, at {area:.1f} megapixels"
            f"{off(inked, 's')}",
        ]
    )


def draw(facts: dict[str, Any], lines: dict[str, Line], path: Path) -> None:
    """Three charts beside each other in one PNG: points measured, and the lines fitted. Raises PageError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from dehw.files.images import written

    areas = [page["height"] * page["width"] / 1e6 for page in facts["by_area"]]
    shares = [page["inked"] for page in facts["by_share"]]
    panels = [
        ("seconds", "page, megapixels", "seconds a page", areas, [_total(page) for page in facts["by_area"]]),
        ("memory", "page, megapixels", "peak memory, MB", areas, [page["memory"] / 1e6 for page in facts["by_area"]]),
        ("inked", "inked share of the tiles", "seconds a page", shares, [_total(page) for page in facts["by_share"]]),
    ]
    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, across, up, xs, ys) in zip(figure.subplots(1, 3), panels):
        line = lines[name]
        axes.plot(xs, ys, "o", label="measured")
        ends = [0, max(xs)]
        axes.plot(ends, [line.start + line.slope * x for x in ends], label=f"{line.start:.3g} + {line.slope:.3g} x")
        axes.set(xlabel=across, ylabel=up, ylim=(0, 1.1 * max(ys)), xlim=(0, 1.05 * max(xs)))
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    with written(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _page(bench: Bench, sample: Path, folder: Path, area: float) -> Measured:
    """Measure a page of so many megapixels, put together from the sample."""
    from dehw.files.images import read_image, write_image

    width = round((area * 1e6 / ASPECT) ** 0.5)
    path = folder / f"{area:g}.jpg"
    write_image(path, mosaic(read_image(sample), round(width * ASPECT), width))
    forget_peak()
    measured = bench.page(path)
    path.unlink()
    return measured


def _seconds(page: Measured) -> float:
    return sum(page.seconds.values())


def _total(page: dict[str, Any]) -> float:
    return sum(page["seconds"].values())


def _tell(what: str, page: Measured, memory: int) -> None:
    print(f"{what}: {_seconds(page):.2f} s, {memory / 1e6:.0f} MB", file=sys.stderr, flush=True)
