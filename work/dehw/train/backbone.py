"""A segmenter's ImageNet weights: downloaded once, checked, and read as arrays alone."""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import paddle
from paddleseg.utils import seg_env

from dehw.engine import weights
from dehw.errors import ConfigError, WeightsError
from dehw.files.atomic import atomic_path, sha256

MEMBER = "model.pdparams"  # of PaddleSeg's archives
CHECKSUM = "pretrained_sha256"  # our own key beside PaddleSeg's `pretrained`
PATIENCE = 60  # seconds without a byte


def settle(model: dict[str, Any]) -> None:
    """Put the path of the downloaded weights in place of the URL that a model's block names as its backbone's.

    Where the block has `pretrained_sha256`, that must be the SHA-256 of the .pdparams file. Raises ConfigError,
    WeightsError.
    """
    backbone = model.get("backbone")
    if not isinstance(backbone, dict):
        return  # PaddleSeg says what is wrong with it
    source, checksum = backbone.get("pretrained"), backbone.pop(CHECKSUM, None)
    if not source:
        return
    if not isinstance(source, str):
        raise ConfigError(f"model.backbone.pretrained must be a file or an address, got {source!r}.")
    path = fetched(source) if "://" in source else Path(source)
    if checksum is not None and path.is_file() and sha256(path) != str(checksum).lower():
        raise WeightsError(
            f"{path}: its SHA-256 is not the one of model.backbone.{CHECKSUM}; delete the file to have it "
            "downloaded again, or correct the configuration."
        )
    backbone["pretrained"] = str(path)


def fetched(url: str) -> Path:
    """The .pdparams file at `url`, or in the archive there, kept where PaddleSeg keeps it. Raises WeightsError."""
    *_, folder, file = url.split("/")
    name = folder if file.endswith(".pdparams") else file.split(".")[0]
    path = Path(seg_env.PRETRAINED_MODEL_HOME, re.sub(r"[^\w-]", "_", name), MEMBER)
    if path.is_file():
        return path
    try:
        with tempfile.TemporaryFile() as content, atomic_path(path) as temporary, temporary.open("wb") as target:
            download(url, content)
            content.seek(0)
            shutil.copyfileobj(_weights_in(content, url), target)
    except Exception as error:  # whatever urllib, tarfile and the file system raise
        raise WeightsError(
            f"the backbone's ImageNet weights cannot be fetched from {url}: {error}. Download them elsewhere "
            "and name the file by --opts model.backbone.pretrained=FILE.pdparams, or train without them by "
            "--opts model.backbone.pretrained=null, which takes more steps to the same score."
        ) from error
    return path


def download(url: str, target: Any) -> None:
    """Write what is at an http or https address to an opened file. Raises OSError."""
    if not url.startswith(("http://", "https://")):
        raise OSError("it is no http or https address")
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        shutil.copyfileobj(answer, target)


def _weights_in(content: Any, url: str) -> Any:
    """The opened weights of what was downloaded. Of an archive nothing else is unpacked, whatever paths it names."""
    if url.endswith(".pdparams"):
        return content
    with contextlib.suppress(StopIteration):
        archive = tarfile.open(fileobj=content)
        return archive.extractfile(next(each for each in archive if Path(each.name).name == MEMBER and each.isfile()))
    raise OSError(f"there is no {MEMBER} in it")


@contextlib.contextmanager
def arrays_alone() -> Iterator[None]:
    """Have PaddleSeg, which reads weights and checkpoints by paddle.load, get arrays and run nothing of theirs."""
    own = paddle.load
    paddle.load = lambda path, **_: weights.read(path)
    try:
        yield
    finally:
        paddle.load = own
