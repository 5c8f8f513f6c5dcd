"""Step 1 of a submission, pages -> segoutput/STEM.png:

python work/pre_and_submit/1_predict_segformer.py [PAGES...]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dehw.commands import main, submit  # noqa: E402  (found through the line above)

if __name__ == "__main__":
    sys.exit(main.guarded(submit.masks_command))
