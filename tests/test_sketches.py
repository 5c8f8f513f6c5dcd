"""Figures drawn by hand: opacity patches of the size asked for, thin lines on empty paper."""

import numpy as np
import pytest

from dehw.data.synth.ink import sketches


@pytest.mark.parametrize("seed", range(12))
def test_a_sketch_is_a_patch_of_thin_lines(seed):
    size, width = 200, 2.0
    alpha = sketches.sketch(np.random.default_rng(seed), size, height=20, width=width)
    assert alpha.dtype == np.float32 and alpha.ndim == 2
    assert 0 <= alpha.min() and alpha.max() <= 1
    assert max(alpha.shape) <= 2.5 * size
    inked = (alpha > 0.5).sum()
    assert 40 < inked < 40 * size * width  # lines, no areas
    assert alpha.max() > 0.8


def test_sketches_differ_and_repeat():
    one, again, other = (sketches.sketch(np.random.default_rng(seed), 200, 20, 2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or (one != other).any()


def test_axes_have_arrows_at_their_tips():
    for stroke, head in zip(*[iter(sketches._axes(np.random.default_rng(3)))] * 2):
        np.testing.assert_allclose(head[1], stroke[-1])
        sides = np.hypot(*(head - head[1])[[0, 2]].T)
        np.testing.assert_allclose(sides[0], sides[1])
