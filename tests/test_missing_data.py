"""What is missing gets no class, and does not disturb what is there."""

import warnings

import jax
import numpy as np
import pytest
from fake_models import BANDS, DESCRIBED, brightness, cloud_masker
from hypothesis import given, settings
from hypothesis import strategies as st

from permjax.bands import BandDescription
from permjax.classes import NO_DATA
from permjax.inference import Masker
from permjax.windows import STEPS_AFTER, STEPS_BEFORE

CONTEXT = Masker(cloud_masker())


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (37, 53, 2)).astype(np.float32)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_no_data_gets_no_class_and_leaves_its_neighbours_alone(image, missing):
    masker = Masker(brightness, window_size=16)
    full = masker.predict(image, **BANDS)
    holes = image.copy()
    holes[5:20, 7:30] = missing
    mask = masker.predict(holes, **BANDS)
    assert (mask.classes[5:20, 7:30] == NO_DATA).all()
    outside = np.ones(image.shape[:2], bool)
    outside[5:20, 7:30] = False
    np.testing.assert_array_equal(mask.classes[outside], full.classes[outside])
    np.testing.assert_allclose(mask.probabilities[outside], full.probabilities[outside], atol=1e-6)


def test_a_gap_in_an_even_image_is_not_seen_by_its_neighbours():
    image = np.full((96, 96, 2), (0.1, 0.3), np.float32)
    masker = Masker(cloud_masker())
    whole = masker.predict(image, **BANDS)
    image[30:50, 20:90] = np.nan
    image[60, :, 0] = np.nan
    mask = masker.predict(image, **BANDS)
    there = mask.classes != NO_DATA
    assert (~there).sum() == 20 * 70
    np.testing.assert_allclose(mask.probabilities[there], whole.probabilities[there], atol=1e-5)


@pytest.mark.parametrize("width", [1, 20])
def test_a_gap_disturbs_its_neighbours_little_and_none_beyond_the_models_reach(width):
    """Near it, a model with weights at random is disturbed less than by a gap not filled."""
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(0, 0.01, (96, 256, 2)), axis=1) + rng.uniform(0.3, 0.5, 2)
    image = smooth.astype(np.float32)
    model, bands = cloud_masker(), DESCRIBED
    gap = image.copy()
    gap[:, 100 : 100 + width] = np.nan
    before, after = (Masker(model).predict(x, **BANDS).probabilities for x in (image, gap))
    batch = (gap[None], BandDescription(*(part[None] for part in bands)), np.ones((1, 2), bool))
    unfilled = np.asarray(jax.nn.softmax(model(*batch))[0])
    there = ~np.isnan(gap[..., 0])
    disturbed, worse = (np.abs(x - before)[there].mean() for x in (after, unfilled))
    assert disturbed < worse * 2 / 3
    far = np.ones(256, bool)
    far[100 - STEPS_AFTER * model.step : 100 + width + STEPS_BEFORE * model.step] = False
    np.testing.assert_allclose(after[:, far], before[:, far], atol=1e-5)


@settings(max_examples=6)
@given(seed=st.integers(0, 99), order=st.permutations(range(4)), kept=st.integers(1, 4))
def test_order_blank_bands_and_subsets(seed, order, kept):
    """Bands in any order are one image; blank ones are as if they were not there."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.1, 1, (20, 24, 4)).astype(np.float32)
    image[..., 3] = rng.uniform(220, 300, (20, 24))
    wavelength_nm, bandwidth_nm = np.array([490, 665, 833, 10_895]), np.array([65, 31, 106, 590])
    kind = np.array([0, 0, 0, 2])

    def mask(image, chosen):
        return CONTEXT.predict(
            image[..., chosen],
            wavelength_nm=wavelength_nm[chosen],
            bandwidth_nm=bandwidth_nm[chosen],
            kind=kind[chosen].tolist(),
        ).probabilities

    order = np.array(order)
    np.testing.assert_allclose(mask(image, order), mask(image, np.arange(4)), atol=1e-4)
    blank = image.copy()
    blank[..., order[kept:]] = rng.choice([np.nan, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the blank bands
        left_out = mask(blank, np.arange(4))
    np.testing.assert_allclose(left_out, mask(image, order[:kept]), atol=1e-4)


def test_a_blank_band_is_left_out_with_a_notice(image):
    """The mask is that of the other bands, not a mask of nothing."""
    blank = np.concatenate([image, np.full((37, 53, 1), np.nan, np.float32)], axis=-1)
    masker = Masker(brightness)
    with pytest.warns(UserWarning, match="bands without any data were left out: 10895 nm"):
        mask = masker.predict(
            blank,
            wavelength_nm=[665, 833, 10_895],
            bandwidth_nm=[31, 106, 590],
            kind=["reflectance", "reflectance", "brightness_temperature"],
        )
    np.testing.assert_array_equal(mask.classes, masker.predict(image, **BANDS).classes)


def test_an_image_without_data_is_all_no_data():
    with pytest.warns(UserWarning, match="no data at all"):
        mask = Masker(brightness).predict(np.full((5, 6, 2), np.nan), **BANDS)
    assert (mask.classes == NO_DATA).all()
    assert np.isnan(mask.probabilities).all()
