"""A segmenter's training configuration: PaddleSeg's grammar with our own keys in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Any, Literal

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
from paddleseg.cvlibs import Config
from pydantic import Field
from pydantic.dataclasses import dataclass

from dehw.config import STRICT, Batch, Count, Folders, Seed, Side, Workers, read, validate
from dehw.errors import ConfigError

Size = Annotated[list[Side], Field(min_length=2, max_length=2)]  # width, height


@dataclass(config=STRICT)
class TestConfig:
    """PaddleSeg's `test_config`: whether and in which windows whole pages are judged."""

    is_slide: bool = False
    crop_size: Size | None = None
    stride: Size | None = None


@dataclass(config=STRICT, kw_only=True)
class RunSettings:
    """The keys of a segmentation config: first PaddleSeg's, whose blocks PaddleSeg checks, then ours.

    pipeline: name or file of the pipeline whose segmenter this trains. data: folders of datasets, for training and
    validation alike, in place of PaddleSeg's dataset_root. save_interval: steps between
    checkpoints, each followed by a validation; `keep` of them stay. precision: fp32, or fp16 on a GPU.
    """

    iters: Count
    batch_size: Batch
    train_dataset: dict[str, Any]
    val_dataset: dict[str, Any]
    model: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    lr_scheduler: dict[str, Any]
    test_config: TestConfig = field(default_factory=TestConfig)

    pipeline: str = "seed000"
    data: Folders = field(default_factory=lambda: ["data"])
    save_interval: Count = 5000
    log_iters: Count = 50
    keep: Count = 3
    num_workers: Workers = 4
    precision: Literal["fp32", "fp16"] = "fp32"
    val_count: Count = 81
    seed: Seed = 2022

    def __post_init__(self) -> None:
        for name in ("train_dataset", "val_dataset"):
            if "dataset_root" in getattr(self, name):
                raise ValueError(f"{name}.dataset_root is the key data here, of both datasets: data: [FOLDER]")


class PaddleSegConfig(Config):
    """PaddleSeg's own view of a configuration that is read already."""

    def __init__(self, tree: dict[str, Any]):
        self.dic = tree
        self._build_default_checker().apply_all_rules(self)


def read_config(path: str, opts: Sequence[str] = ()) -> tuple[Config, RunSettings]:
    """Read a PaddleSeg configuration with our own keys in it. Raises ConfigError.

    opts: "a.b=value", each value read as YAML, in blocks that the configuration has.
    """
    tree, source = read(path, opts, grow=False)
    run = validate(tree, RunSettings, source)
    try:
        return PaddleSegConfig(tree), run
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:  # of PaddleSeg's checks
        raise ConfigError(f"{source}: PaddleSeg cannot use it ({type(error).__name__}: {error}).") from error
