"""How far a page's mask can be trusted, and what about it is implausible."""

from dataclasses import dataclass

import numpy as np

POSSIBLE, SURE = 0.3, 0.7  # probabilities: from the first on a pixel may be handwriting, above the second it surely is
# Measured with the weights of 2026-11; the shares on 20 pages whose truth is known, 31 clean ones and 25 others:
LARGE = 0.15  # share of the page; answered pages had 0.01 to 0.11, one on which print and shadow went 0.47
UNSURE = 0.57  # of what is possible; of 36 pages 7 had less sure, among them the 3 that lost most print
FEW = 0.001  # share of possible pixels below which there is no handwriting to be sure of; 4 clean pages had more
PRINT = 0.1  # share of printed characters; the 20 pages had up to 0.04, others of which words went 0.2 to 0.6
WORD = 5  # characters; fewer may be symbols or an answer in neat digits
COVERED = 0.5  # of a character's box: more of it in the mask than a stroke crossing it would take


@dataclass(frozen=True)
class Confidence:
    """How sure a mask is, all in [0, 1].

    possible: share of the page's pixels that may be handwriting (a probability of 0.3 and more). sure: share of
    these that surely are (above 0.7), 1 where there are none. print: share of the page's printed characters that
    the mask takes, 0 where these are fewer than a word.
    """

    possible: float
    sure: float
    print: float


def measure(prob: np.ndarray, mask: np.ndarray, letters: np.ndarray) -> Confidence:
    """The confidence of a mask.

    prob: (h, w) float32 in [0, 1], of the page at any size; mask: (H, W) bool; letters: (N, 4), Layout.letters.
    """
    possible = np.count_nonzero(prob >= POSSIBLE)
    sure = np.count_nonzero(prob > SURE) / possible if possible else 1.0
    taken = covered(letters, mask)
    share = taken / len(letters) if taken >= WORD else 0.0
    return Confidence(round(possible / prob.size, 6), round(sure, 4), round(share, 4))


def covered(letters: np.ndarray, mask: np.ndarray) -> int:
    """How many of the letters' boxes, (N, 4) left, top, width, height, a mask, (H, W) bool, covers for the most."""
    count = 0
    for left, top, width, height in letters:
        rows, columns = slice(round(top), round(top + height)), slice(round(left), round(left + width))
        count += bool(mask[rows, columns].mean() > COVERED)
    return count


def doubts(share: float, confidence: Confidence | None) -> list[str]:
    """What is implausible about a mask that erases this share of its page, a sentence each; none without confidence."""
    if confidence is None:
        return []
    found = {
        f"{share:.0%} of the page was erased, where answered pages have 1 to 5 %": share > LARGE,
        f"only {confidence.sure:.0%} of what may be handwriting surely is, so some may be left, or print be erased": (
            confidence.possible >= FEW and confidence.sure < UNSURE
        ),
        f"{confidence.print:.0%} of the printed characters seem to be erased": confidence.print > PRINT,
    }
    return [f"{sentence}; look at this page" for sentence, true in found.items() if true]
