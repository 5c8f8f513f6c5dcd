"""Our crops and pages as PaddleSeg's datasets, `type: DehwCrops` and `type: DehwPages` in its configs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose

from dehw.config import validate
from dehw.data.augment import pad
from dehw.data.crops import CropSettings, CropStream, decode
from dehw.data.pairs import find_pairs, split
from dehw.data.recipes import banks
from dehw.page.masks import threshold


class _Handwriting(paddle.io.Dataset):
    """What PaddleSeg asks of every dataset: two classes, 1 = handwriting."""

    NUM_CLASSES = num_classes = 2
    IMG_CHANNELS = 3
    IGNORE_INDEX = ignore_index = 255


@manager.DATASETS.add_component
class DehwCrops(_Handwriting):
    """Random crops of the training pages: img (3, S, S) float32 as `transforms` leave it, label (S, S) int64.

    dataset_root, masks: what find_pairs takes; val_count pages are kept aside. transforms: PaddleSeg's, at least
    Normalize. line_height: of the pages as their pairs' factors bring them, see CropStream. label_threshold: soft mask
    from which a pixel is handwriting. recipes: keys of data.recipes.Recipes. The other settings are CropSettings'. The
    crops come in the order of a worker's own stream, whatever the index.
    """

    def __init__(
        self,
        dataset_root: str | Sequence[str],
        transforms: list,
        label_threshold: float = 0.5,
        val_count: int = 81,
        line_height: float | None = None,
        seed: int = 2022,
        recipes: dict | None = None,
        masks: str | None = None,
        **settings: Any,
    ) -> None:
        self.pairs, _ = split(find_pairs(dataset_root, masks, labelled=True), val_count)
        self.settings = validate({"recipes": recipes or {}, **settings}, CropSettings, "train_dataset")
        banks(self.settings.recipes)  # what is missing is told here, not by a worker
        self.transforms = Compose(transforms, to_rgb=False)
        self.label_threshold = label_threshold
        self.line_height = line_height
        self.seed = seed
        self.start(0, 1, len(self.pairs) * self.settings.crops_per_page)

    def start(self, steps: int, batch: int, length: int) -> None:
        """Go on after `steps` batches of `batch` crops, for `length` crops: one run of the trainer."""
        self._done, self._length = (steps, batch), length
        self._stream: CropStream | None = None  # opened where it is used, in each worker

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        stream = self._stream or self._open_stream()
        random.seed(f"{self.seed} {stream.lane} {self._next}")
        np.random.seed(random.getrandbits(32))  # PaddleSeg's transforms draw from both
        crop = stream[self._next]
        self._next += 1
        data = self.transforms(_to_paddleseg(crop.image, crop.mask, self.label_threshold))
        return {"img": data["img"], "label": data["label"]}

    def _open_stream(self) -> CropStream:
        worker = paddle.io.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        lane = paddle.distributed.ParallelEnv().rank * workers + number
        self._stream = CropStream(self.pairs, self.settings, self.seed, lane, self.line_height)
        steps, batch = self._done
        self._next = -(-steps // workers) * batch  # a DataLoader deals batches to its workers in turn
        return self._stream


@manager.DATASETS.add_component
class DehwPages(_Handwriting):
    """The whole validation pages: img (3, H, W) float32, label (1, H, W) int64, and PaddleSeg's trans_info.

    Pages below `size` px are mirrored up to it, and the mirrored pixels do not count (label 255).
    """

    def __init__(
        self,
        dataset_root: str | Sequence[str],
        transforms: list,
        size: int = 512,
        label_threshold: float = 0.5,
        val_count: int = 81,
        masks: str | None = None,
    ) -> None:
        _, self.pairs = split(find_pairs(dataset_root, masks, labelled=True), val_count)
        self.transforms = Compose(transforms, to_rgb=False)
        self.size = size
        self.label_threshold = label_threshold

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        page = decode(self.pairs[index])
        height, width = page.image.shape[:2]
        image, mask = pad(page.image, self.size), pad(page.soft_mask(), self.size)
        data = self.transforms(_to_paddleseg(image, mask, self.label_threshold))
        label = data["label"][None]
        label[:, height:], label[:, :, width:] = self.IGNORE_INDEX, self.IGNORE_INDEX
        return {"img": data["img"], "label": label, "trans_info": data["trans_info"]}


def _to_paddleseg(image: np.ndarray, mask: np.ndarray, label_threshold: float) -> dict:
    """What PaddleSeg's transforms take: img (H, W, 3) float32 RGB 0..255, label (H, W) int64."""
    label = threshold(mask, label_threshold).astype(np.int64)
    return {"img": image.astype(np.float32), "label": label, "trans_info": [], "gt_fields": ["label"]}
