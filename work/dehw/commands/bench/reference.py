"""A pipeline's networks run as the contest's winners ran theirs, written plainly: what `dehw bench` compares with.

Paddle dygraph, one tile at a time. The second seed's loop pads the page by 106 px, steps by 300 px and pulls what
lies beyond the end back: on a page of 1500x2000 px 48 tiles, 13 of them over pixels that were done before. Each
tile is run as it is and mirrored. The first seed's mask is PaddleSeg's sliding windows, 512 px, 256 px apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.config import NetworkConfig, Pipeline
from dehw.page import tiling

if TYPE_CHECKING:
    import numpy as np
    from paddle import nn

WINDOW, CENTRE, PAD, STRIDE = 512, 300, 106, 256  # px
FLIPS = 2  # the tile as it is, and mirrored

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class Manner:
    """One way to run the networks over a page: how many passes that are, and how long they take, a page."""

    name: str
    segment_passes: float
    erase_passes: float
    seconds: float


def loop(height: int, width: int) -> list[tuple[int, int]]:
    """The second seed's loop: the corner of each tile on the padded page, in its order, repeats and all."""
    height, width = (max(side + 2 * PAD, WINDOW) for side in (height, width))
    tops, lefts = ([min(at, side - WINDOW) for at in range(0, side, CENTRE)] for side in (height, width))
    return [(top, left) for top in tops for left in lefts]


def windows(height: int, width: int) -> int:
    """How many windows PaddleSeg lays over a page."""
    return len(tiling.tiles(height, width, WINDOW, STRIDE))


def compare(
    pipeline: Pipeline,
    weights: Path | None,
    page: Path,
    sizes: Sequence[tuple[Size, Size]],
    limit: int = 4,
) -> dict[str, Any]:
    """Time the networks of a pipeline on a page, and scale up to all passes over pages of these sizes.

    sizes: each page's own, and the one at which the pipeline shows it to its networks. limit: the passes of each
    network that are timed, 0 for as many as the loop over the page has. Returns the passes timed, seconds a pass
    of each network, and Manners. Raises WeightsError.
    """
    from dehw.engine.weights import find
    from dehw.files.images import read_image

    image = read_image(page)
    seconds, timed = {}, 0
    for network in pipeline.networks:
        layer = _plain(network, find(network, weights, pipeline))
        segments = pipeline.segment is not None and network is pipeline.segment.network
        seconds[network.weights], timed = _time(layer, image, segments, limit)
        del layer
    segment = seconds[pipeline.segment.network.weights] if pipeline.segment else 0.0
    erase = sum(seconds[network.weights] for network in pipeline.erase.networks)
    return {
        "timed": timed,
        "seconds_a_pass": seconds,
        "manners": [asdict(manner) for manner in _manners(pipeline, sizes, segment, erase)],
    }


def _manners(pipeline: Pipeline, sizes: Sequence[tuple[Size, Size]], segment: float, erase: float) -> list[Manner]:
    """The loop with its repeats, without them, and without what the pipeline does not ask for."""
    own = [len(step.views) if step else 0 for step in (pipeline.segment, pipeline.erase)]
    both = [FLIPS if pipeline.segment else 0, FLIPS]
    pages, scaled = zip(*sizes)
    rows = [
        ("their loop, repeats and all, both flips", pages, both, list),
        ("each tile once, both flips", pages, both, set),
        ("each tile once, the pipeline's flips and scale", scaled, own, set),
    ]
    manners = []
    for name, shown, views, tiles in rows:
        windowed = views[0] * sum(windows(*size) for size in shown) / len(shown)
        looped = views[1] * sum(len(tiles(loop(*size))) for size in shown) / len(shown)
        seconds = windowed * segment + looped * erase
        manners.append(Manner(name, windowed, looped * len(pipeline.erase.networks), seconds))
    return manners


def table(compared: dict[str, Any], seconds: float) -> str:
    """The comparison as aligned text. seconds: what dehw needs for the same, a page."""
    lines = [
        "",
        f"the same networks and weights in Paddle dygraph, one tile at a time: {compared['timed']} passes of each "
        "timed, and scaled up to all",
    ]
    lines += [f"  {name}: {each:.3f} s a pass" for name, each in compared["seconds_a_pass"].items()]
    lines += ["", f"{'manner':48} {'passes a page':>14} {'s a page':>9} {'of dehw':>9}"]
    for each in compared["manners"]:
        passes = each["segment_passes"] + each["erase_passes"]
        lines.append(f"{each['name']:48} {passes:14.1f} {each['seconds']:9.2f} {each['seconds'] / seconds:8.1f}x")
    return "\n".join([*lines, f"{'dehw, files not counted':48} {'':14} {seconds:9.2f}"])


def _plain(network: NetworkConfig, path: Path) -> nn.Layer:
    """A network as it was trained, for inference."""
    from dehw import models
    from dehw.engine import weights

    layer = models.build(weights.completed(network, path))
    weights.load(layer, path)
    layer.eval()
    return layer


def _time(layer: nn.Layer, page: np.ndarray, segments: bool, limit: int) -> tuple[float, int]:
    """Mean seconds of a pass over tiles of a page, cutting and mirroring included, and how many passes were timed."""
    import numpy as np
    import paddle

    padded = np.pad(page, ((PAD, PAD), (PAD, PAD), (0, 0)), "reflect")
    short = [(0, max(0, WINDOW - side)) for side in padded.shape[:2]]
    padded = np.pad(padded, (*short, (0, 0)), "edge")

    def run(top: int, left: int, mirrored: bool) -> None:
        tile = padded[top : top + WINDOW, left : left + WINDOW].transpose(2, 0, 1)[None].astype("float32") / 255
        inputs = [paddle.to_tensor(np.ascontiguousarray(tile[..., ::-1] if mirrored else tile))]
        if not segments:
            inputs.append(paddle.ones([1, 1, WINDOW, WINDOW]))
        answer = layer.infer(*inputs).numpy()
        np.ascontiguousarray(answer[..., ::-1] if mirrored else answer)

    passes = [(*corner, mirrored) for corner in loop(*page.shape[:2]) for mirrored in (False, True)]
    passes = passes[: limit or None]
    with paddle.no_grad():
        run(*passes[0])
        started = time.perf_counter()
        for each in passes:
            run(*each)
    return (time.perf_counter() - started) / len(passes), len(passes)
