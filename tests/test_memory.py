"""What a page costs in memory: a constant, and at most 12 bytes a pixel, from file to file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dehw.files.images import write_image

WORK = Path(__file__).resolve().parents[1] / "work"
BOUND = 12  # bytes a pixel: the page, the page erased, a probability, and masks
MEGAPIXELS = (8, 32)

PROBE = """
import sys
from pathlib import Path
import cv2
import numpy as np
from dehw.commands.erase import batch, plan
from dehw.engine import machine
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser
from dehw.files.find import find_pages
from dehw.commands.erase.progress import Progress

batch.READ_AHEAD = 0  # a page that is read ahead costs a constant more
network = NetworkConfig(type="erasenet", weights="tiny.pdparams")
segment = Segment(network=network, stride=448, blend=True)
erase, mask = Erase(paper=31, printed=True), Mask(0.4, dilate=5, spare=0.5)
pipeline = Pipeline(segment=segment, mask=mask, erase=erase, line_height=32)
segmenter = lambda tiles: (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)
eraser = Eraser(pipeline, segmenter, [])
jobs, _ = plan.make(find_pages([sys.argv[1]]), Path(sys.argv[2]))
machine.forget_peak()
(done,) = batch.erase_all(batch.with_eraser(eraser), jobs, Progress(1))
assert done[0].status == "erased", done
print(machine.peak_memory())
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc")
def test_memory_grows_by_no_more_than_12_bytes_a_pixel(tmp_path):
    peaks = {}
    for area in MEGAPIXELS:
        side = round((area * 1e6) ** 0.5)
        page = np.full((side, side, 3), 235, np.uint8)
        page[100::400, 50:-50] = 20
        write_image(tmp_path / f"{area}.jpg", page)
        command = [sys.executable, "-c", PROBE, tmp_path / f"{area}.jpg", tmp_path / "out"]
        run = subprocess.run(command, cwd=WORK, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        peaks[side * side] = int(run.stdout)
    (small, least), (large, most) = peaks.items()
    slope = (most - least) / (large - small)
    print(f"{slope:.1f} bytes a pixel, {(least - slope * small) / 2**20:.0f} MiB besides")
    assert 6 <= slope <= BOUND
