"""Pictures of scenes with the outlines of their masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax.bands import describe_bands
from permjax.classes import CloudClass
from permjax.quicklook import (
    LARGEST,
    OUTLINES,
    SMALLEST,
    Quicklook,
    outline,
    picture_channels,
    stretched,
)


@pytest.mark.parametrize(
    ("wavelength_nm", "kind", "shown"),
    [
        ([443, 490, 560, 665, 833], 0, [3, 2, 1]),
        ([833, 665, 560, 490], 1, [1, 2, 3]),
        ([550, 650, 750, 950], 0, [2, 1, 0]),  # MSS: no blue
        ([560, 833], 0, [0]),
        ([10_900, 1610], [2, 0], [1]),
        ([10_900], 2, [0]),
    ],
)
def test_bands_are_shown_in_their_colours(wavelength_nm, kind, shown):
    bandwidth_nm = np.array(wavelength_nm) * 0.05
    assert picture_channels(describe_bands(wavelength_nm, bandwidth_nm, kind)) == shown


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), cut=st.integers(1, 700))
def test_a_picture_of_parts_is_every_kth_pixel(height, width, cut):
    """Whatever the parts, and never larger than allowed."""
    look = Quicklook(height, width, describe_bands([665], [30]))
    every = -(-max(height, width) // LARGEST)
    number = np.arange(height)[:, None] * 7 + np.arange(width)[None]
    for row in range(0, height, cut):
        for column in range(0, width, 800):
            window = (slice(row, min(row + cut, height)), slice(column, min(column + 800, width)))
            look.add_image(window, number[window][..., None].astype(np.float32))
            look.add_classes(window, (number[window] % 4).astype(np.uint8))
    np.testing.assert_array_equal(look._values[..., 0], number[::every, ::every])
    np.testing.assert_array_equal(look._classes, number[::every, ::every] % 4)
    assert max(look._classes.shape) <= LARGEST


def test_the_picture_shows_the_image_and_outlines():
    bands = describe_bands([490, 560, 665], [65, 35, 30])
    look = Quicklook(20, 30, bands)
    window = (slice(0, 20), slice(0, 30))
    image = np.full((20, 30, 3), (0.1, 0.2, 0.3), np.float32)
    image[:, 25:] = np.nan
    classes = np.zeros((20, 30), np.uint8)
    classes[5:12, 6:14] = CloudClass.THICK_CLOUD
    look.add_image(window, image)
    look.add_classes(window, classes)
    picture = look.drawn()
    k = SMALLEST // 30
    assert picture.shape == (20 * k, 30 * k, 3)
    vermilion = (picture == OUTLINES[CloudClass.THICK_CLOUD]).all(-1)
    large = classes.repeat(k, 0).repeat(k, 1)
    np.testing.assert_array_equal(vermilion, outline(large == CloudClass.THICK_CLOUD))
    assert vermilion.sum() == 2 * 7 * k + 2 * 8 * k - 4
    red, green, blue = picture[0, 0].astype(int)
    assert red > green > blue
    assert (picture[:, 25 * k :] == 0).all()


@pytest.mark.parametrize(
    ("height", "width", "drawn"),
    [(1, 1, 800), (7, 399, 798), (401, 9, 401), (1024, 9, 1024)],
)
def test_a_small_scene_is_enlarged_by_a_whole_factor(height, width, drawn):
    picture = Quicklook(height, width, describe_bands([665], [30])).drawn()
    assert max(picture.shape) == drawn
    assert picture.shape[0] * width == picture.shape[1] * height


def test_outlines_show_on_what_they_surround():
    """Shadow is dark, and its outline far brighter (relative luminance, ITU-R BT.709)."""
    luminance = {
        code: np.dot((np.array(colour) / 255) ** 2.2, (0.2126, 0.7152, 0.0722))
        for code, colour in OUTLINES.items()
    }
    assert luminance[CloudClass.CLOUD_SHADOW] > 0.35


def test_an_image_without_data_or_contrast_is_drawn():
    assert (stretched(np.full((4, 4, 3), np.nan, np.float32)) == 0).all()
    assert stretched(np.full((4, 4, 1), 0.3, np.float32)).dtype == np.uint8
