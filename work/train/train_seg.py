"""The seed's command: see dehw.train.train_segmenter."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a bare clone too

from dehw.train import train_segmenter  # noqa: E402

if __name__ == "__main__":
    sys.exit(train_segmenter())
