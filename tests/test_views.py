"""Views turn back what they turned, and the average is the mean of the network's views."""

import numpy as np
import pytest

from dehw.page.views import VIEWS, average, fuse


@pytest.fixture
def batch():
    return np.random.default_rng(0).random((2, 3, 4, 6), np.float32)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_undoes_itself(name, batch):
    view = VIEWS[name]
    assert view.name == name
    np.testing.assert_array_equal(view.undo(view.apply(batch)), batch)
    assert view.apply(batch).flags.c_contiguous and view.undo(batch).flags.c_contiguous


def test_views_look_the_way_they_are_named(batch):
    turned = {name: view.apply(batch) for name, view in VIEWS.items()}
    np.testing.assert_array_equal(turned["identity"], batch)
    np.testing.assert_array_equal(turned["hflip"], batch[:, :, :, ::-1])
    np.testing.assert_array_equal(turned["vflip"], batch[:, :, ::-1])
    np.testing.assert_array_equal(turned["rot180"], np.rot90(batch, 2, axes=(2, 3)))


def test_average_of_a_network_that_knows_left_from_right(batch):
    def shift(x):  # every pixel takes its left neighbour's value
        return np.roll(x, 1, axis=-1)

    result = average(shift, [VIEWS["identity"], VIEWS["hflip"]], batch)
    expected = (np.roll(batch, 1, axis=-1) + np.roll(batch, -1, axis=-1)) / 2
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert result.dtype == np.float32


def test_all_inputs_are_seen_the_same_way():
    rng = np.random.default_rng(1)
    page, mask = rng.random((1, 3, 4, 4), np.float32), rng.random((1, 1, 4, 4), np.float32)
    result = average(lambda p, m: p * m, list(VIEWS.values()), page, mask)
    np.testing.assert_allclose(result, page * mask, atol=1e-6)


def test_one_view_leaves_the_network_as_it_is(batch):
    np.testing.assert_array_equal(average(lambda x: x + 1, [VIEWS["identity"]], batch), batch + 1)


def test_networks_are_averaged_by_their_weight(batch):
    fused = fuse([(lambda x: x + 1, 1.0), (lambda x: x + 5, 3.0)], [VIEWS["hflip"]], batch)
    np.testing.assert_allclose(fused, batch + 4, rtol=1e-6)
    assert fused.dtype == np.float32


class OnDevice:
    """What an average left on a device can do: it counts how often it is copied from there."""

    copies = 0

    def __init__(self, values):
        self.values = values

    def __mul__(self, factor):
        return OnDevice(self.values * factor)

    def __add__(self, other):
        return OnDevice(self.values + other.values)

    def __array__(self, *dtype):
        OnDevice.copies += 1
        return self.values


def test_averages_on_a_device_are_copied_once_for_all_networks(batch):
    class Network:
        def average(self, views, x):
            return OnDevice(x + len(views))

    np.testing.assert_allclose(fuse([(Network(), 1.0), (Network(), 1.0)], [VIEWS["identity"]], batch), batch + 1)
    assert OnDevice.copies == 1
