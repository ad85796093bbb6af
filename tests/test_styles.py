"""Small patches, growth and codes of masks."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from permjax.classes import NO_DATA
from permjax.styles import _refined, check_style, near, recode, refine, small_patches


@given(seed=st.integers(0, 999), share=st.floats(0.05, 0.8), smallest=st.integers(0, 30))
def test_small_patches_are_those_that_labelling_finds(seed, share, smallest):
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=rng.integers(1, 40, 2)) < share
    label = np.zeros(mask.shape, int)
    ndimage.label(mask, np.ones((3, 3)), label)
    size = np.bincount(label.ravel())[label]
    np.testing.assert_array_equal(small_patches(mask, smallest), mask & (size < smallest))


@given(seed=st.integers(0, 999), radius=st.floats(0, 12))
def test_near_is_the_distance_between_centres(seed, radius):
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=rng.integers(1, 30, 2)) < 0.03
    expected = (
        mask if not mask.any() else np.asarray(ndimage.distance_transform_edt(~mask)) <= radius
    )
    np.testing.assert_array_equal(near(mask, radius), expected)


@given(
    seed=st.integers(0, 999),
    dilate_m=st.sampled_from([0, 10, 45]),
    min_size_m=st.sampled_from([0, 20, 30]),
    height=st.integers(1, 9),
)
def test_strips_are_refined_as_the_whole_mask(seed, dilate_m, min_size_m, height):
    rng = np.random.default_rng(seed)
    codes = rng.choice([0, 1, 2, 3, NO_DATA], (60, 17), p=[0.7, 0.1, 0.05, 0.1, 0.05])
    classes = codes.astype(np.uint8)
    whole = _refined(classes, dilate_m / 10, ceil((min_size_m / 10) ** 2))
    strips = np.array_split(classes, range(height, 60, height))
    parts = list(refine(strips, dilate_m, min_size_m, 10.0))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert ((whole == NO_DATA) == (classes == NO_DATA)).all()


def test_small_go_and_the_rest_grows_clouds_over_shadows():
    classes = np.zeros((1, 14), np.uint8)
    classes[0, [1, 4, 5, 7, 8, 13]] = [1, 3, 3, 2, 2, NO_DATA]
    (refined,) = refine([classes], 10, 14.2, 10)  # 2.02 pixels: all patches are too small
    assert refined[0].tolist() == [0] * 13 + [NO_DATA]
    (refined,) = refine([classes], 10, 14, 10)
    # The gap of one pixel is cloud before clouds grow.
    assert refined[0].tolist() == [0, 0, 0, 3, 3, 2, 2, 2, 2, 2, 0, 0, 0, NO_DATA]


def test_styles():
    classes = np.array([[0, 1, 2, 3, NO_DATA]], np.uint8)
    assert recode(classes, "classes").tolist() == classes.tolist()
    assert recode(classes, "cloud").tolist() == [[0, 1, 1, 0, NO_DATA]]
    assert recode(classes, "valid").tolist() == [[1, 0, 0, 0, NO_DATA]]
    with pytest.raises(ValueError, match="unknown style 'clouds'; known are classes, cloud"):
        check_style("clouds")


def test_metres_need_a_size_of_pixels():
    with pytest.raises(ValueError, match="give the gsd"):
        list(refine([np.zeros((2, 2), np.uint8)], 10, 0, np.nan))
    with pytest.raises(ValueError, match="dilate must be a length"):
        list(refine([np.zeros((2, 2), np.uint8)], -1, 0, 10))


def test_a_small_patch_becomes_what_is_around_it():
    """A cloud in a shadow, a shadow and a gap in a cloud, a cloud in the clear, one in no data."""
    classes = np.zeros((20, 50), np.uint8)
    classes[1:9, 1:9], classes[4:6, 4:6] = 3, 1
    classes[1:9, 11:19], classes[4:6, 14] = 2, 3
    classes[1:9, 21:29], classes[4, 24:26] = 1, 0
    expected = classes.copy()
    expected[4:6, 4:6], expected[4:6, 14], expected[4, 24:26] = 3, 2, 1
    classes[4:6, 33:35] = 1
    classes[12:, 30:] = expected[12:, 30:] = NO_DATA
    classes[15, 40], expected[15, 40] = 1, 0
    (refined,) = refine([classes], 0, 30, 10)
    np.testing.assert_array_equal(refined, expected)


def test_a_radius_beyond_the_mask_takes_no_more_memory():
    pixels = np.zeros((5, 7), bool)
    pixels[4, 6] = True
    assert near(pixels, 1e9).all()
    assert near(pixels, 7).sum() == 7 * 5 - 1  # The farthest corner is 7.2 away.
