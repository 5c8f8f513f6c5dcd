"""The contest winners' released weights, brought to the names that our networks have.

A table a release: each layer with parameters, as the release calls it, and our name for the same; None for one that the
network has and never uses. The names are facts of the two public repositories (zdyshine/
Baidu-netdisk-AI-Image-processing-Challenge-handwriting and wishForget/Hand-Text-Erasure, both Paddle 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dehw.config import NetworkConfig
from dehw.engine import paddle, weights
from dehw.errors import InputError, WeightsError
from dehw.files.atomic import sha256
from dehw.files.pickles import NAMES, read_pickle

Layers = dict[str, str | None]


def _numbered(theirs: str, ours: str, *numbers: tuple[int, int]) -> Layers:
    return {theirs.format(their): ours.format(our) for their, our in numbers}


def _residual(number: int) -> Layers:
    names = {"conv1": "conv1", "conv2": "conv2", "batch_norm2d": "norm"}
    names |= {"conv3": "shortcut"} if number in (3, 5, 7) else {}
    return {f"res{number}.{theirs}": f"res{number}.{ours}" for theirs, ours in names.items()}


def _nonlocal(theirs: str, ours: str) -> Layers:
    names = {"conv_theta": "query", "conv_phi": "key", "conv_g": "value", "conv_mask": "out"}
    return {f"{theirs}.{their}": f"{ours}.{our}" for their, our in names.items()}


def _encoder_decoder(theirs: str, blocks: list[str], ours: str) -> Layers:
    """MTRNet++'s stages; `theirs` stands before the names of encoder and decoder."""
    encoder, decoder = (f"{theirs}{part}coder.conv_block" for part in ("en", "inpaint_de"))
    block = {1: "wide.conv", 2: "wide.norm", 5: "narrow.conv", 6: "narrow.norm"}
    return {
        **_numbered(f"{encoder}.{{}}", f"{ours}.down.{{}}.conv", (1, 0), (4, 1), (7, 2)),
        **_numbered(f"{encoder}.{{}}", f"{ours}.down.{{}}.norm", (2, 0), (5, 1), (8, 2)),
        **{
            f"{name}.conv_block.{place}": f"{ours}.blocks.{number}.{part}"
            for number, name in enumerate(blocks)
            for place, part in block.items()
        },
        **_numbered(f"{decoder}.{{}}", f"{ours}.up.{{}}.conv", (0, 0), (3, 1)),
        **_numbered(f"{decoder}.{{}}", f"{ours}.up.{{}}.norm", (1, 0), (4, 1)),
        f"{decoder}.7": f"{ours}.out",
    }


CONVS = """conv1 conva convb conv2 deconv1 deconv2 deconv3 deconv4 deconv5
    mask_deconv_a mask_conv_a mask_deconv_b mask_conv_b mask_deconv_c mask_conv_c mask_deconv_d""".split()

ERASENET: Layers = {
    **{f"{name}.conv2d": f"{name}.conv" for name in CONVS},
    **{theirs: ours for number in range(1, 9) for theirs, ours in _residual(number).items()},
    **{f"lateral_connection{n}.{i}": f"lateral{n}.conv{i + 1}" for n in range(1, 5) for i in range(4)},
    "conv_o1": "out1",
    "conv_o2": "out2",
    "mask_conv_d": "mask_out",
}

DILATED: Layers = {
    **{f"coarse_conv{letter}.conv2d": f"refine.conv{letter}.conv" for letter in "abcdefklm"},
    **{f"astrous_net.{i}.conv2d": f"refine.atrous{i + 1}.conv" for i in range(4)},
    "coarse_deconva.conv2d": "refine.deconv1.conv",
    "coarse_deconvb.conv2d": "refine.deconv2.conv",
    "coarse_convn.0.conv2d": "refine.convn.conv",
    "coarse_convn.1.conv2d": "refine.out",
    "c1": "refine.skip1",
    "c2": "refine.skip2",
}

AIDR: Layers = {
    **_numbered("refine.en_block1.{}", "refine.en1.convs.{}", (0, 0), (2, 1)),
    **{f"refine.en_block{n}.0": f"refine.en{n}.convs.0" for n in (2, 3, 4)},
    "refine.en_block5.0": "refine.en5a.convs.0",
    **_nonlocal("refine.en_block5.2", "refine.nonlocal5a"),
    "refine.en_block5.5": "refine.en5b.convs.0",
    **_nonlocal("refine.en_block5.7", "refine.nonlocal5b"),
    "refine.de_block1.0": "refine.de1a.convs.0",
    **_nonlocal("refine.de_block1.2", "refine.nonlocal1"),
    "refine.de_block1.4": "refine.de1b.convs.0",
    **{f"refine.de_block{n}.{2 * i}": f"refine.de{n}.convs.{i}" for n in (2, 3, 4, 5) for i in (0, 1)},
    "refine.de_block5.4": "refine.out",
    "c1": None,
    "c2": None,
}

COARSE_BLOCKS = [*(f"pre_middle.{n}" for n in range(2)), *(f"pre_inpaint_res{n}" for n in range(1, 5))]
MTRNET: Layers = {
    **_encoder_decoder("pre_", COARSE_BLOCKS, "coarse"),
    **_encoder_decoder("", ["inpaint_res1", "inpaint_res2"], "fine"),
}


@dataclass(frozen=True)
class Release:
    """A released network: ours for it, `weights` being what pipelines call its file, and its layers' names.

    layers: None where they are our own. part: what of the file holds the arrays; None for the whole.
    """

    network: NetworkConfig
    layers: Layers | None
    part: str | None = None

    def theirs(self, key: str) -> str:
        """What the release calls one of our arrays."""
        if self.layers is None:
            return key
        layer, _, array = key.rpartition(".")
        return f"{next(their for their, our in self.layers.items() if our == layer)}.{array}"

    def is_used(self, key: str) -> bool:
        """Whether one of the release's arrays is more than ballast."""
        return self.layers is None or self.layers.get(_layer(key), "") is not None


RELEASES = {
    "erasenet": Release(NetworkConfig("erasenet", "erasenet.pdparams"), ERASENET | DILATED),
    "erasenet-nonlocal": Release(
        NetworkConfig(
            "erasenet", "erasenet_nonlocal.pdparams", {"refinement": "nonlocal", "nonlocal_form": "released"}
        ),
        ERASENET | AIDR,
    ),
    "mtrnet": Release(
        NetworkConfig("mtrnet", "mtrnet.pdparams", {"mask_input": True, "whiten": True}), MTRNET, "generator"
    ),
    "segformer_b2": Release(NetworkConfig("segformer_b2", "segformer_b2.pdparams", {"embedding_dim": 768}), None),
}


def import_weights(path: Path, name: str, folder: Path) -> Path:
    """Write a released file, one of RELEASES, to `folder` as pipelines load it; returns the new file.

    Every layer must be there, no other, each of its shape. Raises InputError where the folder has that file already,
    WeightsError where the file is damaged, unsafe or another network's.
    """
    paddle.require("weights import")
    from dehw import models

    release = RELEASES[name]
    network, target = release.network, folder / release.network.weights
    if target.exists():
        raise InputError(f"{target} exists; choose another folder with -o, or remove it.")
    state = _arrays(read_pickle(path), release.part, path)
    used = {key: value for key, value in state.items() if release.is_used(key)}
    layer = models.build(network)
    weights.assign(layer, used, path, release.theirs, _remedy(state, name))
    facts = {"sources": [f"{path.name}, released", f"sha256 {sha256(path)}"]}
    weights.save(layer, target, "float32", type=network.type, args=network.args, **facts)
    return target


def _arrays(content: Any, part: str | None, path: Path) -> dict[str, np.ndarray]:
    """The named arrays of what a file holds; a network may be one `part` of it, or all."""
    if isinstance(content, dict) and part in content:
        content = content[part]
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not named arrays; is it a weight file?")
    named = {}
    for key, value in content.items():
        if key == NAMES:
            continue
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise WeightsError(f"{path}: {key} is no array of numbers; is it a weight file?")
        named[key] = value
    return named


def _layer(key: str) -> str:
    return key.rpartition(".")[0]


def _remedy(state: dict[str, np.ndarray], name: str) -> str:
    """What to do with a file that is not the release it was said to be."""
    layers = {_layer(key) for key in state}
    fits = [other for other, each in RELEASES.items() if other != name and each.layers and layers == set(each.layers)]
    return f"Import it --as {fits[0]}." if fits else "Only the networks as released, at full size, can be imported."
