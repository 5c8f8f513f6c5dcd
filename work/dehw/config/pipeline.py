"""What a pipeline is: the schema of configs/pipelines/*.yml."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from dehw.config.plain import is_file
from dehw.config.reader import CONFIGS, STRICT, Batch, BelowOne, Fraction, Side, load, nearest
from dehw.errors import ConfigError

PIPELINES = CONFIGS / "pipelines"

# px, of which sides are multiples: of the tiles that a network halves down to its middle
SIDES = {"erasenet": 32, "mtrnet": 4, "ppocr_small": 32}

FINEST = 16  # windows, or what a tile answers for, in the length of one: each costs a pass of the network

Views = Annotated[list[str], Field(min_length=1, max_length=16)]
Pixels = Annotated[int, Field(ge=0, le=4096)]
Text = Annotated[str, Field(max_length=200)]


@dataclass(config=STRICT)
class NetworkConfig:
    """One network: `type` is a key of `dehw.models.MODELS`, `args` go to its builder.

    `weights` is a file name inside a weights directory; `weight` is its share where networks are averaged;
    `train` is the configuration that trains it, as a path from the repository's root.
    """

    type: Text
    weights: Text
    args: dict[str, Any] = field(default_factory=dict)
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    train: Text | None = None

    def __post_init__(self) -> None:
        _require(_is_bare(self.weights), f"weights must be a bare file name, got {self.weights!r}")


@dataclass(config=STRICT)
class Segment:
    """Finding the handwriting: windows of `window` px, `stride` px apart, averaged over `views`.

    `average`: whether windows and views are averaged as probabilities, or as logits as PaddleSeg 2.8 does it.
    `blend`: the fewest windows that `stride` allows are made as small as will do, spread evenly, and fade into each
    other; without, they are laid as PaddleSeg does, and each counts the same everywhere.
    """

    network: NetworkConfig
    window: Side = 512
    stride: Side = 256
    views: Views = field(default_factory=lambda: ["identity"])
    average: Literal["probability", "logit"] = "probability"
    blend: bool = False
    batch: Batch = 4

    def __post_init__(self) -> None:
        least = -(-self.window // FINEST)
        inside = least <= self.stride <= self.window
        _require(inside, f"stride must lie in {least}..window ({self.window}), got {self.stride}")
        _check_side("window", self.window, self.network)
        _check_views(self.views)


@dataclass(config=STRICT)
class Mask:
    """From probability to mask: handwriting where prob >= `threshold`.

    dilate: px of the square that it is grown by, at the networks' scale.
    spare: letters that the mask reaches into leave it where prob is below this, see printed.spare; 0 for never.
    """

    threshold: Fraction = 0.5
    dilate: Annotated[int, Field(ge=0, le=255)] = 3
    spare: BelowOne = 0.0


@dataclass(config=STRICT)
class Erase:
    """Removing the handwriting, by networks or by the paper's colour.

    networks: see tiles of `tile` px that answer for all but `margin` px on each side. `cmp` keeps the page's own
    pixels outside the mask.
    paper: what the mask holds takes the paper's colour, seen within so many px at the networks' scale, see paper.tone;
    0 where networks paint. `printed`: print that the mask runs over is put back where the page shows it, see printed.
    """

    networks: Annotated[list[NetworkConfig], Field(max_length=16)] = field(default_factory=list)
    tile: Side = 512
    margin: Pixels = 106
    views: Views = field(default_factory=lambda: ["identity"])
    batch: Batch = 4
    cmp: bool = True
    paper: Pixels = 0
    printed: bool = False

    def __post_init__(self) -> None:
        for network in self.networks:
            _check_side("tile", self.tile, network)
        most = (self.tile - self.tile // FINEST) // 2
        _require(self.margin <= most, f"margin must lie in 0..{most} for tiles of {self.tile} px, got {self.margin}")
        _require(bool(self.networks) != bool(self.paper), "give networks, or paper: a number of px; one of them")
        _require(self.cmp or not self.paper, "paper needs cmp; leave it on")
        _require(not self.printed or self.paper > 0, "printed needs paper, a number of px")
        _check_views(self.views)


@dataclass(config=STRICT, kw_only=True)
class Pipeline:
    """A page's whole way; `train` is the command that trains it.

    line_height: px that lines of text are brought to; None takes pages as they are. lines: the network that finds them;
    direction: the ONNX file of the one that tells which way up they stand, None for none.
    """

    name: Text = ""  # the file's stem, unless the file says otherwise
    segment: Segment | None = None
    mask: Mask = field(default_factory=Mask)
    erase: Erase
    line_height: Annotated[float, Field(gt=0, le=1000)] | None = None
    lines: NetworkConfig | None = None
    direction: Text | None = None
    train: Text | None = None

    def __post_init__(self) -> None:
        _require(_is_bare(self.name), f"name must be one of a folder, got {self.name!r}")
        bare = self.direction is None or _is_bare(self.direction)
        _require(bare, f"direction must be a bare file name, got {self.direction!r}")
        _require(not self.erase.printed or self.line_height is not None, "printed needs line_height; set both")
        _require(not self.mask.spare or self.line_height is not None, "spare needs line_height; set both")

    @property
    def networks(self) -> list[NetworkConfig]:
        """Those that training makes: the segmenter, if there is one, then the generators."""
        return [*([self.segment.network] if self.segment else []), *self.erase.networks]


def load_pipeline(name_or_path: str | Path, opts: Sequence[str] = ()) -> Pipeline:
    """Read a pipeline by the name it has in configs/pipelines, or from a file. Raises ConfigError."""
    path = Path(name_or_path)
    if path.suffix not in (".yml", ".yaml"):
        path = PIPELINES / f"{name_or_path}.yml"
        if not is_file(path):
            names = sorted(found.stem for found in PIPELINES.glob("*.yml"))
            raise ConfigError(
                f"there is no pipeline {str(name_or_path)!r}{nearest(str(name_or_path), names)}. "
                f"Known in {PIPELINES}: {', '.join(names) or 'none'}; a path ending in .yml works too."
            )
    pipeline = load(path, Pipeline, opts)
    return pipeline if pipeline.name else dataclasses.replace(pipeline, name=path.stem)


def _is_bare(name: str) -> bool:
    """Whether a text names something in a folder, and nothing elsewhere."""
    return name not in (".", "..") and not set(name) & set("/\\:")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_side(name: str, side: int, network: NetworkConfig) -> None:
    step = SIDES.get(network.type, 1)
    advice = f"{name} must be a multiple of {step} px for {network.type}, such as {-(-side // step) * step}"
    _require(side % step == 0, f"{advice}, got {side}")


def _check_views(views: list[str]) -> None:
    from dehw.page.views import VIEWS

    for view in views:
        _require(
            view in VIEWS,
            f"views: there is no view {view!r}{nearest(view, VIEWS)}; known: {', '.join(VIEWS)}",
        )
