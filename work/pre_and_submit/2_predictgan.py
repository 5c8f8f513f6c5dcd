"""Step 2 of a submission, pages and their masks -> submit/STEM.png, readme.txt and result.zip:

python work/pre_and_submit/2_predictgan.py [PAGES...]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dehw.commands import main, submit  # noqa: E402  (found through the line above)

if __name__ == "__main__":
    sys.exit(main.guarded(submit.pages_command))
