"""What benchmarks count and report, without the trainings and images that they take."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import Truth
from benchmarks.csmask import Image
from benchmarks.extremes import squares
from permjax.bands import describe_bands
from permjax.classes import CLEAR, THICK_CLOUD

RED = describe_bands([660], [30])


def uniform(height: int, width: int, reflectance: float = 0.1, label: int = CLEAR) -> Truth:
    """An image [H, W, 1] that is the same everywhere."""
    image = Image(np.full((height, width, 1), reflectance, np.float32), RED)
    return Truth("folder", Path("a.tif"), image, np.full((height, width), label, np.uint8))


def test_squares_are_whole_and_count_each_pixel_once():
    truth = uniform(256, 224)
    pixels = np.arange(256 * 224).reshape(256, 224)
    parts = [square.classes for square in squares(truth, pixels)]
    assert [part.size for part in parts] == [128 * 128, 128 * 96] * 2
    assert np.array_equal(np.sort(np.concatenate(parts)), pixels.ravel())


@pytest.mark.parametrize("shape", [(127, 300), (300, 100)])
def test_an_image_smaller_than_a_square_has_none(shape):
    assert not list(squares(uniform(*shape), np.zeros(shape, np.uint8)))


def test_a_sliver_at_the_edge_is_no_square():
    assert len(list(squares(uniform(130, 128), np.zeros((130, 128), np.uint8)))) == 1


def test_squares_are_called_what_all_their_pixels_are():
    classes = np.zeros((128, 128), np.uint8)
    for given, what in (
        ({}, "clear"),
        ({"reflectance": 0.5}, "clear and bright"),
        ({"label": THICK_CLOUD}, "overcast"),
    ):
        assert [s.what for s in squares(uniform(128, 128, **given), classes)] == [what]
    mixed = uniform(128, 128)
    mixed.label[:64] = THICK_CLOUD
    assert not list(squares(mixed, classes))
