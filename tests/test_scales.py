"""A training's pages are read once, at any number of runs, and decoded at the pipeline's line height."""

import os
from dataclasses import replace

import numpy as np
import pytest
from drawn import READER, print_page
from erasers import tiny

from dehw.config import NetworkConfig, load_pipeline
from dehw.data.crops import decode
from dehw.data.pairs import Pair
from dehw.engine import onnxruntime, openvino, pick
from dehw.files.images import write_image
from dehw.page import layout
from dehw.page.layout import Reader
from dehw.train import scales
from dehw.train.status import StatusLine

PIPELINE = tiny(line_height=20.0, lines=NetworkConfig("ppocr_tiny_lines", "ppocr_tiny_lines.pdparams"))


@pytest.fixture
def pairs(tmp_path):
    found = []
    for height in (20, 30):
        path = tmp_path / f"{height}.png"
        write_image(path, print_page(height, size=(50 * height, 30 * height)))
        found.append(Pair(path.stem, path, path))
    return found


@pytest.fixture
def read(monkeypatch):
    """The pages read so far, by a stand-in."""
    seen = []
    reader = Reader(lambda tiles: seen.append(1) or READER.lines(tiles))
    monkeypatch.setattr(scales, "reader", lambda pipeline, device: reader)
    return seen


def scaled(pairs, folder, pipeline=PIPELINE):
    return scales.scaled(pairs, pipeline, folder, "cpu", StatusLine("test"))


def test_pages_are_decoded_at_one_line_height(pairs, read, tmp_path):
    heights = [layout.measure(decode(pair).image, READER).height for pair in scaled(pairs, tmp_path)]
    assert heights == [pytest.approx(20, rel=0.1)] * 2
    assert scaled(pairs, tmp_path, tiny()) == pairs


def test_pages_are_read_once_until_they_change(pairs, read, tmp_path):
    first = scaled(pairs, tmp_path)
    assert len(read) == 2 and scaled(pairs, tmp_path) == first and len(read) == 2
    other = scaled(pairs, tmp_path, replace(PIPELINE, line_height=40.0))
    assert len(read) == 2 and other[0].factor == pytest.approx(2 * first[0].factor, rel=0.01)
    write_image(pairs[0].image, print_page(40, size=(2000, 1200)))
    os.utime(pairs[0].image, ns=(1, 1))
    again = scaled(pairs, tmp_path)
    assert len(read) == 3 and again[0].factor < first[0].factor and again[1] == first[1]


def test_a_training_reads_its_pages_by_paddle():
    """Nothing of OpenVINO is in its process, whose workers are forked."""
    reader = scales.reader(load_pipeline("lite"), "cpu")
    assert reader.direction is None and scales.reader(tiny(), "cpu") is None
    found = layout.measure(print_page(30), reader)
    assert len(found.lines) >= 20 and np.abs(found.lines[:, 4]).max() < 3


def test_half_turns_go_unseen_without_a_runtime_for_onnx(monkeypatch):
    for engine in (openvino, onnxruntime):
        monkeypatch.setattr(engine, "installed", lambda: False)
    found = pick.reader(load_pipeline("lite"), None, pick.Engine("paddle", "cpu", "asked for"))
    assert found.direction is None
