"""Figures drawn by hand: opacity patches of the size asked for, thin lines on empty paper."""

import numpy as np
import pytest

from dehw.data.synth.ink import pen, sketches


def sketch(seed, size, height=20, width=2.0):
    rng = np.random.default_rng(seed)
    return sketches.sketch(rng, size, lambda text: pen.hershey_line(rng, text, height, width), width)


@pytest.mark.parametrize("seed", range(24))
def test_a_sketch_is_a_patch_of_thin_lines(seed):
    size, width = 200, 2.0
    alpha = sketch(seed, size, width=width)
    assert alpha.dtype == np.float32 and alpha.ndim == 2
    assert 0 <= alpha.min() and alpha.max() <= 1
    assert max(alpha.shape) <= 2.5 * size
    inked = (alpha > 0.5).sum()
    assert 40 < inked < 40 * size * width  # lines, no areas
    assert alpha.max() > 0.8


def test_sketches_differ_and_repeat():
    one, again, other = (sketch(seed, 200) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or (one != other).any()


def test_axes_have_arrows_at_their_tips():
    for stroke, head in zip(*[iter(sketches._axes(np.random.default_rng(3)))] * 2):
        np.testing.assert_allclose(head[1], stroke[-1])
        sides = np.hypot(*(head - head[1])[[0, 2]].T)
        np.testing.assert_allclose(sides[0], sides[1])


@pytest.mark.parametrize("kind", [sketches.graph, sketches.table])
def test_letters_lie_whole_on_a_sketch(kind, monkeypatch):
    monkeypatch.setattr(sketches, "KINDS", (kind,))
    monkeypatch.setattr(sketches, "OFTEN", (1.0,))
    for seed in range(8):
        said = []

        def say(text, said=said):
            said.append(text)
            return np.full((12, 9), 0.5, np.float32)  # so that it is told from strokes

        alpha = sketches.sketch(np.random.default_rng(seed), 150, say, 2.0)
        assert said and (alpha >= 0.5).sum() >= 12 * 9 * len(said) * 0.5


def test_edges_of_a_graph_end_at_its_rings():
    rng = np.random.default_rng(5)
    strokes, letters = sketches.graph(rng, 300, lambda text: np.ones((10, 10), np.float32))
    middles = np.array([middle for _, middle in letters])
    for stroke in strokes:
        if len(stroke) == 16:  # a line between two of them
            nearest = np.hypot(*(middles - stroke[0]).T).min(), np.hypot(*(middles - stroke[-1]).T).min()
            np.testing.assert_allclose(nearest, 7.0, atol=0.01)
